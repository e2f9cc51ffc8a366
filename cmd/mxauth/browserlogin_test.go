package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// withoutDeviceGrant is a server that takes logins by browser only.
func withoutDeviceGrant(t *testing.T) *flowtest.Server {
	return startServer(t, flowtest.WithDeviceGrant(false))
}

// authorize follows the link of a login by browser through the pages of a server,
// to wherever it leads.
func (b browser) authorize(link, user string) page {
	b.t.Helper()
	p := b.get(link)
	for range 8 {
		switch {
		case strings.Contains(p.body, "Back to the terminal"):
			return p
		case strings.Contains(p.body, `name="password"`) && strings.Contains(p.body, `name="login"`): // node-oidc-provider
			p = b.submit(p, `name="login"`, url.Values{"login": {user}, "password": {"any"}})
		case strings.Contains(p.body, `name="password"`):
			p = b.submit(p, `name="password"`, url.Values{"username": {user}, "password": {user}})
		default:
			p = b.submit(p, "<form", url.Values{})
		}
	}
	b.t.Fatalf("the link led nowhere:\n%s", p.body)
	return p
}

// ending is the address that a browser on another machine would end on.
func ending(t *testing.T, s *flowtest.Server, link string) string {
	t.Helper()
	address, err := s.Authorize(link, "alice")
	if err != nil {
		t.Error(err)
	}
	return address
}

// lives walks a session to its end.
func (b box) lives(who string) {
	b.t.Helper()
	first := b.must(0, "token").stdout
	if got := strings.TrimSpace(b.must(0, "whoami").stdout); got != who {
		b.t.Errorf("whoami: %s, want %s", got, who)
	}
	b.must(0, "refresh")
	if b.must(0, "token").stdout == first {
		b.t.Error("the token did not rotate")
	}
	b.must(0, "logout")
	b.must(4, "token")
}

// TestBrowserLogin goes through the pages of a server to the binary's own port.
func TestBrowserLogin(t *testing.T) {
	t.Run("flowtest", func(t *testing.T) {
		t.Parallel()
		s := withoutDeviceGrant(t)
		b := newBox(t, "MXAUTH_STORE=plaintext")
		done, code := b.login(func(e event) {
			p := newBrowser(t).authorize(e.Link, "alice")
			if p.at.String() != strings.Replace(e.Redirect, "/callback", "/done", 1) {
				t.Errorf("the browser ends on %s", p.at)
			}
		}, "--browser", s.URL)
		if code != 0 || done.UserID != "@alice:"+s.ServerName {
			t.Fatalf("exit %d, %+v", code, done)
		}
		b.lives(done.UserID)
	})
	t.Run("node-oidc-provider", func(t *testing.T) {
		t.Parallel()
		issuer := startProvider(t)
		b := newBox(t, "MXAUTH_STORE=plaintext")
		done, code := b.login(func(e event) { newBrowser(t).authorize(e.Link, "alice") }, "--browser", "--issuer", issuer, "--name", "ci")
		if code != 0 || done.Name != "ci" {
			t.Fatalf("exit %d, %+v", code, done)
		}
		b.lives("alice")
	})
}

// A running is the binary with both of its streams in the test's hands.
type running struct {
	*exec.Cmd
	t    *testing.T
	in   io.WriteCloser
	said *said // stderr and stdout
}

func (b box) start(args ...string) *running {
	b.t.Helper()
	r := &running{Cmd: b.command(args...), t: b.t, said: &said{}}
	r.Stdout, r.Stderr = r.said, r.said
	var err error
	if r.in, err = r.StdinPipe(); err != nil {
		b.t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// until waits for words and returns what the first group of them is.
func (r *running) until(pattern string) string {
	r.t.Helper()
	want := regexp.MustCompile(pattern)
	until(r.t, pattern, func() bool { return want.MatchString(r.said.String()) })
	return append(want.FindStringSubmatch(r.said.String()), "", "")[1]
}

func (r *running) paste(line string) {
	r.t.Helper()
	if _, err := io.WriteString(r.in, line+"\n"); err != nil {
		r.t.Fatal(err)
	}
}

// ends waits for the end and wants an exit code.
func (r *running) ends(code int) {
	r.t.Helper()
	guard := time.AfterFunc(time.Minute, func() { _ = r.Process.Kill() }) // it may be over already
	defer guard.Stop()
	_ = r.Wait() // the code says it
	if got := r.ProcessState.ExitCode(); got != code {
		r.t.Errorf("exit %d, want %d:\n%s", got, code, r.said.String())
	}
}

const linkLine = `(?m)^(http://127\.0\.0\.1:\d+/authorize\?\S+)$`

// TestPastedAddress has the browser elsewhere: its last address comes on stdin,
// after others that are not the login's.
func TestPastedAddress(t *testing.T) {
	s := withoutDeviceGrant(t)
	t.Run("plain", func(t *testing.T) {
		b := newBox(t, "MXAUTH_STORE=plaintext")
		r := b.start("login", "--plain", "--browser", s.URL)
		good := ending(t, s, r.until(linkLine))
		r.paste("https://evil.test/callback?code=x&state=x")
		r.until(`not the address that this login ends on`)
		r.paste("  " + good)
		r.ends(0)
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(r.said.String(), u.Query().Get("code")) {
			t.Errorf("the code is repeated:\n%s", r.said.String())
		}
		b.lives("@alice:" + s.ServerName)
	})
	t.Run("json", func(t *testing.T) {
		b := newBox(t, "MXAUTH_STORE=plaintext")
		r := b.start("login", "--json", "--browser", s.URL)
		link := r.until(`"authorization_uri":"([^"]+)"`)
		r.paste("x")
		r.until(`"event":"stray"`)
		r.paste(ending(t, s, strings.ReplaceAll(link, `\u0026`, "&")))
		r.ends(0)
		b.lives("@alice:" + s.ServerName)
	})
	t.Run("stdin is closed", func(t *testing.T) {
		b := newBox(t, "MXAUTH_STORE=plaintext")
		r := b.start("login", "--plain", "--browser", s.URL)
		if err := r.in.Close(); err != nil {
			t.Fatal(err)
		}
		newBrowser(t).authorize(r.until(linkLine), "alice")
		r.ends(0)
		b.must(0, "logout")
	})
}

// TestBrowserLoginEnds declines, interrupts and fails, and nothing is left.
func TestBrowserLoginEnds(t *testing.T) {
	s := withoutDeviceGrant(t)
	for name, tt := range map[string]struct {
		end  func(r *running, link string)
		code int
	}{
		"declined": {func(r *running, link string) {
			address, err := s.Deny(link, "alice")
			if err != nil {
				t.Error(err)
			}
			resp, err := http.Get(address) // the browser comes back with an error
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}, 3},
		"interrupted": {func(r *running, _ string) {
			if err := r.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}, 128 + int(syscall.SIGINT)},
		"answer lost": {func(r *running, link string) {
			s.Inject(flowtest.Exchange, flowtest.LoseAnswer())
			r.paste(ending(t, s, link))
		}, 4},
		"another issuer": {func(r *running, link string) {
			r.paste(strings.TrimSuffix(ending(t, s, link), "#") + "&iss=https://evil.test/")
		}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, "MXAUTH_STORE=plaintext")
			r := b.start("login", "--plain", "--browser", s.URL)
			tt.end(r, r.until(linkLine))
			r.ends(tt.code)
			if list := b.must(0, "list"); list.stdout != "" {
				t.Errorf("it left %s", list.stdout)
			}
			if lines := strings.Split(strings.TrimSpace(r.said.String()), "\n"); tt.code < 100 && !strings.HasPrefix(lines[len(lines)-2], "mxauth: ") {
				t.Errorf("it said:\n%s", r.said.String())
			}
		})
	}
}

// TestBrowserIsNamed: a login with a code that cannot be leads to the one that can.
func TestBrowserIsNamed(t *testing.T) {
	s := withoutDeviceGrant(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	r := b.must(6, "login", "--plain", s.URL)
	if !strings.Contains(r.stderr, "does not offer device login") || !strings.Contains(r.stderr, "mxauth login --browser "+s.URL+"\n") {
		t.Errorf("it said:\n%s", r.stderr)
	}
}

// TestBrowserOnTheScreen takes what the screen offers, and pastes the address.
func TestBrowserOnTheScreen(t *testing.T) {
	s := withoutDeviceGrant(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	p := openPane(t, b, "login", s.URL)
	p.wait(`b log in by browser`)
	p.do("send-keys", "b")
	screen := p.wait(`Waiting\. \d+:\d\d left`)
	link := regexp.MustCompile(`http://127\.0\.0\.1:\d+/authorize\?[!-~]+`).FindString(strings.ReplaceAll(screen, "\n", ""))
	if i := strings.Index(link, "In a browser"); i >= 0 { // what stands under it
		link = link[:i]
	}
	good := ending(t, s, link[:strings.Index(link, "&state=")+len("&state=")+26])
	p.do("set-buffer", "http://127.0.0.1:1/callback?code=x")
	p.do("paste-buffer", "-p")
	p.wait(`not the address that this login ends on`)
	p.do("set-buffer", good)
	p.do("paste-buffer", "-p")
	end := strings.TrimSpace(p.wait(`\[exit \d+\]`))
	if want := fmt.Sprintf("[ok] Logged in as @alice:%s; token in a plain file\n[exit 0]", s.ServerName); end != want {
		t.Errorf("the terminal holds\n%s\nwant\n%s", end, want)
	}
	b.lives("@alice:" + s.ServerName)
}

// TestStdinIsLeftAlone gives a login with a code something on stdin that is meant
// for another.
func TestStdinIsLeftAlone(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	if _, err := out.WriteString("for another\n"); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := b.command("login", "--plain", s.URL)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &said
	if err := approved(t, s, cmd); err != nil {
		t.Fatal(err, said.String())
	}
	if left, err := io.ReadAll(in); err != nil || string(left) != "for another\n" {
		t.Errorf("of stdin is left %q, %v", left, err)
	}
}
