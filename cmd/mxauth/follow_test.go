package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A stream is a "token --follow" that is running.
type stream struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   io.ReadCloser
	lines *bufio.Scanner
	errs  *said
}

// said collects what a program writes while it runs.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (b box) follow(args ...string) *stream {
	b.t.Helper()
	s := &stream{t: b.t, cmd: b.command(append([]string{"token", "--follow"}, args...)...), errs: &said{}}
	s.cmd.Stderr = s.errs
	var err error
	if s.out, err = s.cmd.StdoutPipe(); err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	guard := time.AfterFunc(2*time.Minute, func() { _ = s.cmd.Process.Kill() }) // it may be over already
	b.t.Cleanup(func() { guard.Stop(); _ = s.cmd.Process.Kill() })
	var read said
	s.lines = bufio.NewScanner(io.TeeReader(s.out, &read))
	b.t.Cleanup(func() { b.saw(s.cmd.Args, read.String(), "") })
	return s
}

// next reads one line.
func (s *stream) next() string {
	s.t.Helper()
	if !s.lines.Scan() {
		s.t.Fatalf("the stream ended: %s", s.errs)
	}
	return s.lines.Text()
}

// ends waits for the end.
func (s *stream) ends(within time.Duration) int {
	s.t.Helper()
	guard := time.AfterFunc(within, func() {
		s.t.Errorf("it did not end within %s: %s", within, s.errs)
		_ = s.cmd.Process.Kill() // it may be over already
	})
	defer guard.Stop()
	_ = s.cmd.Wait() // how it ended is what is returned
	return s.cmd.ProcessState.ExitCode()
}

// says waits until something was said.
func (s *stream) says(what string) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if strings.Contains(s.errs.String(), what) {
			return
		}
	}
	s.t.Fatalf("it does not say %q: %s", what, s.errs)
}

// lives asks the homeserver whether it takes a token.
func lives(t *testing.T, s *flowtest.Server, token string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/_matrix/client/v3/account/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // it is not read
	return resp.StatusCode == http.StatusOK
}

// TestFollow reads tokens that live for three seconds. Each must come before the
// one before has run out, and must be good. The end of the pipe must end it, with
// no refresh that nobody reads.
func TestFollow(t *testing.T) {
	t.Parallel()
	const life = 3 * time.Second
	s := startServer(t, flowtest.WithTokenLifetime(life))
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	f := b.follow()
	var before string
	var came time.Time
	for range 4 {
		token := f.next()
		if token == before || !lives(t, s, token) {
			t.Error("the same token again, or a dead one")
		}
		if before != "" && time.Since(came) > life {
			t.Errorf("a token came %s after the one before, which lived for %s", time.Since(came), life)
		}
		before, came = token, time.Now()
	}
	n := s.Count(flowtest.Refresh)
	if err := f.out.Close(); err != nil {
		t.Fatal(err)
	}
	if code := f.ends(3 * time.Second); code != 0 || f.errs.String() != "" {
		t.Errorf("exit %d, it said %q", code, f.errs)
	}
	if more := s.Count(flowtest.Refresh) - n; more > 1 {
		t.Errorf("%d refreshes for nobody", more)
	}
}

// TestFollowIsInNoHurry follows a token that lives for five minutes: it must be
// handed over once, and not be refreshed. The end of the pipe must be seen all the
// same.
func TestFollowIsInNoHurry(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	f := b.follow("--min-ttl", "1h") // more than any token has: half of its life must do
	token := f.next()
	time.Sleep(12 * time.Second) // in which nothing may happen
	if s.Count(flowtest.Refresh) != 0 || !lives(t, s, token) {
		t.Errorf("%d refreshes", s.Count(flowtest.Refresh))
	}
	if err := f.out.Close(); err != nil {
		t.Fatal(err)
	}
	if code := f.ends(3 * time.Second); code != 0 || s.Count(flowtest.Refresh) != 0 {
		t.Errorf("exit %d, %d refreshes, it said %q", code, s.Count(flowtest.Refresh), f.errs)
	}
}

// TestFollowStopsAtASignal stops it where it waits.
func TestFollowStopsAtASignal(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		f := b.follow("-o", "header")
		if line := f.next(); !strings.HasPrefix(line, "Authorization: Bearer mat_") {
			t.Error("the first line is no header")
		}
		if err := f.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if code := f.ends(3 * time.Second); code != 128+int(signal) || f.errs.String() != "" {
			t.Errorf("%s: exit %d, it said %q", signal, code, f.errs)
		}
	}
	b.must(0, "whoami")
}

// TestFollowOverTrouble takes the server away for a while. It is said once, and
// once when it is over; no token is lost.
func TestFollowOverTrouble(t *testing.T) {
	t.Parallel()
	s := startServer(t, flowtest.WithTokenLifetime(4*time.Second))
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	s.Inject(flowtest.Refresh, flowtest.Status(503, "Retry-After", "13")) // longer than one refresh waits
	f := b.follow()
	first := f.next()
	f.says("trying on")
	f.says("has run out")
	second := f.next()
	if second == first || !lives(t, s, second) {
		t.Error("after the trouble came the same token, or a dead one")
	}
	f.says("answers again")
	if lines := strings.Count(f.errs.String(), "\n"); lines != 3 {
		t.Errorf("it said %d lines, want 3: %s", lines, f.errs)
	}
	if n := s.Count(flowtest.Refresh); n != 2 {
		t.Errorf("%d requests, want one that failed and one that did not", n)
	}
}

// TestFollowToTheEnd ends the session, at the server and here.
func TestFollowToTheEnd(t *testing.T) {
	t.Run("at the server", func(t *testing.T) {
		t.Parallel()
		s := startServer(t, flowtest.WithTokenLifetime(2*time.Second))
		b := newBox(t, "MXAUTH_STORE=plaintext")
		b.loggedIn(s)
		f := b.follow()
		if err := s.EndSession(f.next()); err != nil {
			t.Fatal(err)
		}
		for f.lines.Scan() { // to the end
		}
		if code := f.ends(10 * time.Second); code != 4 || !strings.Contains(f.errs.String(), "mxauth login") {
			t.Errorf("exit %d, it said %q", code, f.errs)
		}
	})
	t.Run("by a logout", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		b := newBox(t, "MXAUTH_STORE=plaintext")
		b.loggedIn(s)
		f := b.follow()
		f.next()
		b.must(0, "logout")
		if code := f.ends(5 * time.Second); code != 4 {
			t.Errorf("exit %d, it said %q", code, f.errs)
		}
	})
}

// TestFollowSeesOthers refreshes the session elsewhere, renames it, and logs in
// again under its name: the stream must have the token that lives, soon.
func TestFollowSeesOthers(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s, "--name", "bot")
	f := b.follow("bot", "-o", "json")
	token := func() string {
		var j tokenJSON
		if err := json.Unmarshal([]byte(f.next()), &j); err != nil {
			t.Fatal(err)
		}
		return j.AccessToken
	}
	first := token()
	for range 2 {
		b.must(0, "refresh", "bot")
		if next := token(); next == first || next != strings.TrimSpace(b.must(0, "token", "bot").stdout) {
			t.Error("another token than the one that lives")
		}
	}
	f.says("a session of its own")
	if n := strings.Count(f.errs.String(), "\n"); n != 1 {
		t.Errorf("it warned in %d lines: %s", n, f.errs)
	}
	b.must(0, "rename", "bot", "robot")
	b.must(0, "refresh", "robot")
	if next := token(); next != strings.TrimSpace(b.must(0, "token", "robot").stdout) {
		t.Error("after a new name came another token than the one that lives")
	}
	b.loggedIn(s, "--name", "robot")
	if next := token(); !lives(t, s, next) {
		t.Error("after a new login came a dead token")
	}
}

// TestFollowIntoAFile keeps a credentials file fresh, and takes stdout for
// nothing.
func TestFollowIntoAFile(t *testing.T) {
	t.Parallel()
	s := startServer(t, flowtest.WithTokenLifetime(3*time.Second))
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	path := filepath.Join(b.dir, "credentials.json")
	f := b.follow("--write", "matrix-commander", path)
	seen := map[string]bool{}
	for end := time.Now().Add(20 * time.Second); len(seen) < 3 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var file struct {
			Token string `json:"access_token"`
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has only begun
		}
		if err != nil || json.Unmarshal(text, &file) != nil {
			t.Fatalf("the file holds %d bytes, %v", len(text), err)
		}
		seen[file.Token] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d tokens stood in the file, want 3", len(seen))
	}
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(f.out)
	if code := f.ends(5 * time.Second); err != nil || code != 143 || len(rest) != 0 || f.errs.String() != "" {
		t.Errorf("exit %d, %d bytes on stdout, it said %q, %v", code, len(rest), f.errs, err)
	}
}
