package main

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestRunEnvironment looks at what a command finds: the session, whole, nothing
// of another one, and nothing that is mxauth's own.
func TestRunEnvironment(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext", "MXAUTH_KEY_COMMAND=canary", "CREDENTIALS_DIRECTORY=/canary",
		"MATRIX_USER_ID=@canary:elsewhere.test", "MATRIX_DEVICE_ID=CANARY", "MATRIX_ROOM=!kept:example.test")
	done := b.loggedIn(s)
	r := b.must(0, "run", "--", "env")
	got := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if _, twice := got[name]; twice {
			t.Errorf("%s is set twice", name)
		}
		got[name] = value
	}
	for name, want := range map[string]string{"MATRIX_HOMESERVER": s.URL, "MATRIX_USER_ID": done.UserID, "MATRIX_ROOM": "!kept:example.test",
		"MATRIX_ACCESS_TOKEN": strings.TrimSpace(b.must(0, "token").stdout), "HOME": b.dir} {
		if got[name] != want {
			t.Errorf("%s is not what it should be", name)
		}
	}
	if len(got["MATRIX_DEVICE_ID"]) < 10 || strings.Contains(r.stdout, "MXAUTH_") || strings.Contains(strings.ToLower(r.stdout), "canary") {
		t.Error("something came through, or the device is missing")
	}
	if r.stderr != "" {
		t.Errorf("it said %q", r.stderr)
	}
}

// TestRunKeepsOtherSessionsOut runs a command with a session that has no device
// and no known user: it must not find those of the session around it.
func TestRunKeepsOtherSessionsOut(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext", "MATRIX_USER_ID=@canary:elsewhere.test", "MATRIX_DEVICE_ID=CANARY")
	if done, code := b.login(approveAs(t, s, "root"), s.URL, "--scope", "mas-admin", "--name", "admin"); code != 0 {
		t.Fatal(done.Error)
	}
	if r := b.must(0, "run", "admin", "--", "env"); strings.Contains(r.stdout, "MATRIX_DEVICE_ID") || strings.Contains(strings.ToLower(r.stdout), "canary") {
		t.Error("another session's variables came through")
	}
}

// TestRunStreams gives the command stdin and arguments as they are: no shell may
// come between.
func TestRunStreams(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	if r := b.must(0, "run", "--", "printf", "%s|", "$(id)", "*", "a b", "", "-v"); r.stdout != "$(id)|*|a b||-v|" {
		t.Errorf("arguments came as %q", r.stdout)
	}
	cmd := b.command("run", "--", "sh", "-c", "cat; echo done >&2")
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("line\n"), &out, &errs
	if err := cmd.Run(); err != nil || out.String() != "line\n" || errs.String() != "done\n" {
		t.Errorf("%v, %q, %q", err, out.String(), errs.String())
	}
}

// TestRunEndsAsItsCommand passes on how the command ended, and says nothing more.
func TestRunEndsAsItsCommand(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	for script, code := range map[string]int{"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -TERM $$": 143, "kill -KILL $$": 137} {
		if r := b.must(code, "run", "--", "sh", "-c", script); r.stderr != "" {
			t.Errorf("%s: it said %q", script, r.stderr)
		}
	}
}

// TestRunRefusesWithoutARefresh tries what cannot be run: no token may be wasted
// on it.
func TestRunRefusesWithoutARefresh(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.expired(s)
	s.ForgetRequests()
	for name, args := range map[string][]string{
		"no dashes": {"run", "env"}, "no command": {"run", "--"}, "two names": {"run", "a", "b", "--", "env"},
		"not there": {"run", "--", "no-such-command-canary"}, "a folder": {"run", "--", "/"}, "negative": {"run", "--min-ttl", "-1s", "--", "env"},
	} {
		if r := b.must(2, args...); strings.Count(r.stderr, "\n") > 3 {
			t.Errorf("%s: %s", name, r.stderr)
		}
	}
	b.must(4, "run", "nobody", "--", "env")
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// TestRunTellsOfTokensThatDie runs commands for longer than their token lives.
func TestRunTellsOfTokensThatDie(t *testing.T) {
	t.Run("ran out", func(t *testing.T) {
		t.Parallel()
		s := startServer(t, flowtest.WithTokenLifetime(2*time.Second))
		b := newBox(t, "MXAUTH_STORE=plaintext")
		b.loggedIn(s)
		if r := b.must(0, "run", "--", "sleep", "3"); strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "has run out") {
			t.Errorf("it said %q", r.stderr)
		}
	})
	t.Run("replaced", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		b := newBox(t, "MXAUTH_STORE=plaintext")
		b.loggedIn(s)
		cmd := b.command("run", "--", "sh", "-c", "echo ready; read x")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		b.must(0, "refresh")
		if _, err := io.WriteString(in, "go on\n"); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || strings.Count(errs.String(), "\n") != 1 || !strings.Contains(errs.String(), "another process refreshed") {
			t.Errorf("%v, it said %q", err, errs.String())
		}
	})
	t.Run("refreshed for it", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		b := newBox(t, "MXAUTH_STORE=plaintext")
		b.expired(s)
		if r := b.must(0, "run", "--", "true"); r.stderr != "" || s.Succeeded(flowtest.Refresh) != 1 {
			t.Errorf("%d refreshes, it said %q", s.Succeeded(flowtest.Refresh), r.stderr)
		}
	})
}
