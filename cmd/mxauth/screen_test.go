package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A pane is a terminal of 80x24 in a tmux of its own.
type pane struct {
	t    *testing.T
	tmux string
	sock string
}

// openPane runs the binary in a terminal and tells its exit code there.
func openPane(t *testing.T, b box, args ...string) pane {
	t.Helper()
	return openPaneOf(t, b, binary, args...)
}

func openPaneOf(t *testing.T, b box, program string, args ...string) pane {
	t.Helper()
	tmux, err := exec.LookPath("tmux")
	if err != nil {
		missing(t, "tmux is not installed, so there is no terminal to look at")
	}
	p := pane{t, tmux, filepath.Join(b.dir, "tmux")}
	line := "env -i"
	for _, v := range append(b.env, "TERM=tmux-256color") {
		line += " " + shellQuote(v)
	}
	for _, a := range append([]string{program}, args...) {
		line += " " + shellQuote(a)
	}
	p.do("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", line+`; echo "[exit $?]"; exec sleep 600`)
	p.do("set", "-g", "status", "off")
	p.do("resize-window", "-x", "80", "-y", "24")
	t.Cleanup(func() { p.show(b); p.do("kill-server") })
	return p
}

// show has what stands in the terminal searched for secrets.
func (p pane) show(b box) {
	p.t.Helper()
	b.sawScreen(p.do("capture-pane", "-p", "-J", "-S", "-"), p.do("display-message", "-p", "#{pane_title}"))
}

func (p pane) do(args ...string) string {
	p.t.Helper()
	out, err := exec.Command(p.tmux, append([]string{"-S", p.sock}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("tmux %s: %v: %s", args[0], err, out)
	}
	return string(out)
}

// wait returns the screen, with what has scrolled away, once it matches.
func (p pane) wait(pattern string) string {
	p.t.Helper()
	want := regexp.MustCompile(pattern)
	deadline := time.Now().Add(30 * time.Second)
	for {
		screen := p.do("capture-pane", "-p", "-S", "-")
		switch {
		case want.MatchString(screen):
			return screen
		case time.Now().After(deadline):
			p.t.Fatalf("the screen never showed %s:\n%s", pattern, screen)
		}
	}
}

// TestScreen logs in on a terminal, approves in a browser, and looks at what
// stays in the scrollback: one line, and neither the code nor the link.
func TestScreen(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	p := openPane(t, b, "login", s.URL)
	screen := p.wait(`Waiting\. \d+:\d\d left`)
	codes := s.Pending()
	if len(codes) != 1 || !strings.Contains(screen, codes[0]) || !strings.Contains(screen, s.Issuer+"link") {
		t.Fatalf("the code and the link do not stand on the screen:\n%s", screen)
	}
	newBrowser(t).approveAtMAS(s.Issuer+"link", codes[0], "alice", "alice")
	end := strings.TrimSpace(p.wait(`\[exit \d+\]`))
	if want := fmt.Sprintf("[ok] Logged in as @alice:%s; token in a plain file\n[exit 0]", s.ServerName); end != want {
		t.Errorf("the terminal holds\n%s\nwant\n%s", end, want)
	}
	b.must(0, "whoami")
}

// TestScreenEnds leaves a login by its keys. The terminal gets its modes back,
// and nothing of the login stays in it.
func TestScreenEnds(t *testing.T) {
	for key, want := range map[string]string{"q": "[exit 130]", "C-c": "[exit 130]"} {
		t.Run(key, func(t *testing.T) {
			s := startServer(t)
			b := newBox(t, "MXAUTH_STORE=plaintext")
			p := openPane(t, b, "login", s.URL)
			p.wait(`Waiting\.`)
			p.do("send-keys", key)
			end := p.wait(`\[exit \d+\]`)
			if !strings.Contains(end, want) || strings.Contains(end, s.Pending()[0]) || strings.Contains(end, "/link") {
				t.Errorf("the terminal holds\n%s", end)
			}
			if list := b.must(0, "list"); list.stdout != "" {
				t.Errorf("it left %s", list.stdout)
			}
		})
	}
}

// TestScreenAsksForTheServer starts without one.
func TestScreenAsksForTheServer(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	p := openPane(t, b, "login")
	p.wait(`Server`)
	p.do("send-keys", "-l", "no#name")
	p.do("send-keys", "Enter")
	p.wait(`not a server name`)
	p.do("send-keys", "C-u")
	p.do("send-keys", "-l", s.URL)
	p.do("send-keys", "Enter")
	p.wait(`Waiting\.`)
	if err := s.Reject(s.Pending()[0], "alice"); err != nil {
		t.Fatal(err)
	}
	p.wait(`\[!\].*declined`)
	p.do("send-keys", "n")
	p.wait(`Waiting\.`)
	if err := s.Approve(s.Pending()[0], "alice"); err != nil {
		t.Fatal(err)
	}
	p.wait(`\[exit 0\]`)
	if n := s.Count(flowtest.Device); n != 2 {
		t.Errorf("%d codes were asked for, want 2", n)
	}
}

// TestHome starts without a command: looks at the sessions, logs one in again,
// logs it out, and leaves.
func TestHome(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	b.loggedIn(s, "--name", "bot")
	p := openPane(t, b)
	p.wait(`(?s)@alice:example.test.*bot`)
	p.do("send-keys", "Down")
	p.do("send-keys", "u")
	p.wait(`bot \*`)
	p.do("send-keys", "l")
	p.wait(`Waiting\.`)
	if err := s.Approve(s.Pending()[0], "alice"); err != nil {
		t.Fatal(err)
	}
	p.wait(`(?s)2 sessions.*bot \*`)
	if n := s.Succeeded(flowtest.Revoke); n != 1 {
		t.Errorf("%d sessions were ended, want the one that was replaced", n)
	}
	p.do("send-keys", "d")
	p.wait(`y/N`)
	p.do("send-keys", "y")
	p.wait(`(?s)Logged out`)
	p.do("send-keys", "q")
	p.wait(`\[exit 0\]`)
	b.must(4, "token", "bot")
	b.must(0, "token")
}
