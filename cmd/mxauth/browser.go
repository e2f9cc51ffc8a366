package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/mxauth/mxauth/flow"
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
	return func(ctx context.Context, address string) error { return openPage(ctx, openers(), address) }
}

// openPage runs the platform's opener by its absolute path, and not one that a
// PATH leads to. Nothing but an address that a login may show is opened: it
// begins with a scheme, and so is no option of the opener.
func openPage(ctx context.Context, openers [][]string, address string) error {
	if _, err := flow.ParseAddress(address); err != nil {
		return fmt.Errorf("the address %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, opener := range openers {
		if _, err := os.Stat(opener[0]); err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, opener[0], append(opener[1:], address)...) // #nosec G204 -- no shell; the address is an https one that was checked
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
