package main

import (
	"os/exec"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// startServer starts a homeserver that lets its clients poll every second.
func startServer(t *testing.T, options ...flowtest.Option) *flowtest.Server {
	t.Helper()
	s := flowtest.NewServer(append([]flowtest.Option{flowtest.WithInterval(1e9)}, options...)...)
	canaries.watch(s)
	t.Cleanup(func() { s.Close(); canaries.leave(s) })
	return s
}

// until waits for a condition, which another process or goroutine brings about.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// approveAs approves by a method call, as somebody.
func approveAs(t *testing.T, s *flowtest.Server, user string) func(event) {
	return func(e event) {
		if err := s.Approve(e.UserCode, user); err != nil {
			t.Error(err)
		}
	}
}

// approved runs a login whose streams are the test's, and approves it as alice.
func approved(t *testing.T, s *flowtest.Server, cmd *exec.Cmd) error {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "a code", func() bool { return len(s.Pending()) == 1 })
	if err := s.Approve(s.Pending()[0], "alice"); err != nil {
		t.Fatal(err)
	}
	return cmd.Wait()
}

// loggedIn logs a box in as alice.
func (b box) loggedIn(s *flowtest.Server, args ...string) event {
	b.t.Helper()
	done, code := b.login(approveAs(b.t, s, "alice"), append([]string{s.URL}, args...)...)
	if code != 0 {
		b.t.Fatalf("login: exit %d, %s", code, done.Error)
	}
	return done
}

// expired logs in with an access token that is as good as dead at once.
func (b box) expired(s *flowtest.Server) {
	b.t.Helper()
	s.Inject(flowtest.Poll, flowtest.Edit(func(members map[string]any) { members["expires_in"] = 0 }))
	b.loggedIn(s)
}
