package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestOutputThatNobodyTakes writes tokens to where they do not arrive. The
// session must not suffer.
func TestOutputThatNobodyTakes(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full here")
	}
	defer func() { _ = full.Close() }()
	for name, c := range map[string]struct {
		out  *os.File
		exit int
	}{"full": {full, 1}, "closed pipe": {brokenPipe(t), -1}} {
		t.Run(name, func(t *testing.T) {
			cmd := b.command("token", "--min-ttl", "8760h")
			var errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = c.out, &errs
			_ = cmd.Run() // how it ended is looked at below
			state := cmd.ProcessState
			if c.exit >= 0 && state.ExitCode() != c.exit {
				t.Errorf("exit %d, want %d: %s", state.ExitCode(), c.exit, errs.String())
			}
			if status, ok := state.Sys().(syscall.WaitStatus); c.exit < 0 && (!ok || status.Signal() != syscall.SIGPIPE) {
				t.Errorf("%v, want death by SIGPIPE", state)
			}
			if strings.Contains(errs.String(), "mat_") {
				t.Error("the token came out elsewhere")
			}
			b.must(0, "whoami")
		})
	}
}

func brokenPipe(t *testing.T) *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// TestSignals stops logins and refreshes where they wait. A login that is
// stopped leaves nothing; a refresh that is under way is stored first.
func TestSignals(t *testing.T) {
	for name, c := range map[string]struct {
		signal syscall.Signal
		at     flowtest.Endpoint
		args   []string
	}{
		"discovering": {syscall.SIGINT, flowtest.Metadata, []string{"login"}},
		"registering": {syscall.SIGTERM, flowtest.Register, []string{"login"}},
		"asking":      {syscall.SIGINT, flowtest.Device, []string{"login"}},
		"polling":     {syscall.SIGHUP, flowtest.Poll, []string{"login"}},
		"refreshing":  {syscall.SIGTERM, flowtest.Refresh, []string{"refresh"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			b := newBox(t, "MXAUTH_STORE=plaintext")
			args := c.args
			if args[0] == "login" {
				args = []string{"login", s.URL}
			} else {
				b.loggedIn(s)
			}
			s.ForgetRequests()
			s.Inject(c.at, flowtest.Hold(500*time.Millisecond))
			cmd := b.command(args...)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			until(t, "the request is at the server", func() bool { return s.Count(c.at) > 0 })
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			var exit *exec.ExitError
			if c.at == flowtest.Refresh {
				if err != nil { // it was nearly done
					t.Errorf("%v: %s", err, errs.String())
				}
				b.must(0, "whoami")
				return
			}
			if !errors.As(err, &exit) || exit.ExitCode() != 128+int(c.signal) {
				t.Errorf("%v, want exit %d: %s", err, 128+int(c.signal), errs.String())
			}
			if list := b.must(0, "list"); list.stdout != "" {
				t.Errorf("it left %s", list.stdout)
			}
			if left := b.must(0, "doctor").stdout; strings.Contains(left, "unfinished") {
				t.Errorf("it left an unfinished login: %s", left)
			}
		})
	}
}
