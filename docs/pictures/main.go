// Command pictures makes the pictures of the README from the real program: it
// runs mxauth in tmux against a homeserver in this process, and draws what the
// terminal shows. From the top of the repository:
//
//	go run ./docs/pictures
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	err := run(ctx)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

// A studio is what the pictures are taken in.
type studio struct {
	server *flowtest.Server
	dir    string // temporary
	env    []string
}

func run(ctx context.Context) error {
	server, err := flowtest.Listen(flowtest.WithAddr("127.0.0.1:8008"), flowtest.WithAuthAddr("127.0.0.1:8090"), flowtest.WithInterval(time.Second))
	if err != nil {
		return err
	}
	defer server.Close()
	dir, err := os.MkdirTemp("", "pictures-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s := studio{server, dir, []string{"HOME=" + dir, "LANG=C.UTF-8", "TERM=tmux-256color", "MXAUTH_STORE=plaintext", "MXAUTH_STATE_DIR=" + dir + "/state"}}
	if err := command(ctx, "go", "build", "-o", s.binary(), "./cmd/mxauth").Run(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := s.take(ctx, "login", "left", "login", server.URL, "--device-name", "build-box"); err != nil {
		return err
	}
	for _, name := range []string{"", "deploybot", "backup"} {
		if err := s.login(ctx, name); err != nil {
			return err
		}
	}
	return s.take(ctx, "sessions", "3 sessions")
}

func (s studio) binary() string { return filepath.Join(s.dir, "mxauth") }

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	return cmd
}

// login makes a session, approved by a method call.
func (s studio) login(ctx context.Context, name string) error {
	args := []string{"login", s.server.URL, "--plain"}
	if name != "" {
		args = append(args, "--name", name)
	}
	cmd := command(ctx, s.binary(), args...)
	cmd.Env, cmd.Stderr = s.env, nil
	if err := cmd.Start(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if codes := s.server.Pending(); len(codes) > 0 {
			if err := s.server.Approve(codes[len(codes)-1], "alice"); err != nil {
				return err
			}
			return cmd.Wait()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.Join(ctx.Err(), cmd.Wait())
}

// take runs the program in a terminal of 80x24 until it shows what is waited
// for, and draws that.
func (s studio) take(ctx context.Context, picture, until string, args ...string) error {
	tmux := func(args ...string) (string, error) {
		cmd := command(ctx, "tmux", append([]string{"-S", filepath.Join(s.dir, picture)}, args...)...)
		out, err := cmd.Output()
		return string(out), err
	}
	line := "env -i " + strings.Join(append(append(s.env, s.binary()), args...), " ")
	if _, err := tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", line); err != nil {
		return err
	}
	defer func() { _, _ = tmux("kill-server") }()
	for _, set := range [][]string{{"set", "-g", "status", "off"}, {"resize-window", "-x", "80", "-y", "24"}} {
		if _, err := tmux(set...); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		screen, err := tmux("capture-pane", "-p", "-e")
		if err != nil {
			return err
		}
		if strings.Contains(screen, until) {
			for _, code := range s.server.Pending() { // of no use to anybody any more
				_ = s.server.ExpireCode(code)
			}
			return os.WriteFile(filepath.Join("docs", "pictures", picture+".svg"), []byte(drawing(screen)), 0o644) // #nosec G306 -- a picture is for everybody
		}
		time.Sleep(50 * time.Millisecond)
	}
	return ctx.Err()
}
