package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// opener returns what opens a page in a browser on this machine, nil where there
// is none to be expected: over SSH the browser would open in front of somebody
// else.
func (a *app) opener() func(context.Context, string) error {
	if a.getenv("SSH_CONNECTION") != "" || a.getenv("SSH_TTY") != "" {
		return nil
	}
	if runtime.GOOS != "darwin" && runtime.GOOS != "windows" && a.getenv("DISPLAY") == "" && a.getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	return openPage
}

// openPage runs the platform's opener by its absolute path, and not one that a
// PATH leads to. The address has been checked by flow: http or https, no blank.
func openPage(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, opener := range openers() {
		if _, err := os.Stat(opener[0]); err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, opener[0], append(opener[1:], address)...)
		cmd.Env = withoutOurs(os.Environ())
		cmd.Dir = string(filepath.Separator)
		return cmd.Run()
	}
	return errors.New("there is no program that opens pages")
}

func openers() [][]string {
	switch runtime.GOOS {
	case "darwin":
		return [][]string{{"/usr/bin/open"}}
	case "windows":
		return [][]string{{filepath.Join(os.Getenv("SystemRoot"), "System32", "rundll32.exe"), "url.dll,FileProtocolHandler"}}
	}
	return [][]string{{"/usr/bin/xdg-open"}, {"/usr/local/bin/xdg-open"}, {"/usr/bin/gio", "open"}, {"/usr/bin/x-www-browser"}}
}

// withoutOurs drops what only mxauth should read.
func withoutOurs(env []string) []string {
	var out []string
	for _, v := range env {
		if !strings.HasPrefix(v, "MXAUTH_") && !strings.HasPrefix(v, "CREDENTIALS_DIRECTORY=") {
			out = append(out, v)
		}
	}
	return out
}
