package main

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestLoginAgain replaces a session by a login under its name.
func TestLoginAgain(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	first := b.loggedIn(s)
	old := b.must(0, "token").stdout
	if second := b.loggedIn(s); second.Name != first.Name {
		t.Errorf("the second login is called %q, the first %q", second.Name, first.Name)
	}
	if b.must(0, "token").stdout == old {
		t.Error("the old session is still the one")
	}
	if n := s.Succeeded(flowtest.Revoke); n != 1 {
		t.Errorf("%d sessions were revoked, want the old one", n)
	}
	b.must(0, "whoami")
	if lines := strings.Count(b.must(0, "list").stdout, "\n"); lines != 2 {
		t.Errorf("list has %d lines, want a head and one session", lines)
	}
}

// TestLoginRefusesToReplace tries what would take a name from a session that it
// does not fit: the old session must live, and the new one must not.
func TestLoginRefusesToReplace(t *testing.T) {
	s, other := startServer(t), startServer(t)
	for name, try := range map[string]struct {
		on   *flowtest.Server
		user string
		args []string
		exit int
		asks bool // the server is asked before it is known
	}{
		"another server":  {other, "alice", []string{"--name", "bot"}, 2, false},
		"another account": {s, "root", []string{"--name", "bot"}, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, "MXAUTH_STORE=plaintext")
			b.loggedIn(s, "--name", "bot")
			s.ForgetRequests()
			other.ForgetRequests()
			done, code := b.login(approveAs(t, try.on, try.user), append([]string{try.on.URL}, try.args...)...)
			if code != try.exit || done.Event != "error" {
				t.Errorf("exit %d, %s %s", code, done.Event, done.Error)
			}
			if asked := len(try.on.Requests()) > 0; asked != try.asks {
				t.Errorf("the server was asked: %t", asked)
			}
			if try.asks && try.on.Succeeded(flowtest.Revoke) != 1 {
				t.Error("the new session was not revoked")
			}
			b.must(0, "whoami", "bot")
		})
	}
}

// TestAnotherScopeNeedsAName logs in twice as the same user for two purposes.
func TestAnotherScopeNeedsAName(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	as := approveAs(t, s, "root")
	if done, code := b.login(as, s.URL); code != 0 {
		t.Fatal(done.Error)
	}
	done, code := b.login(as, s.URL, "--scope", "synapse-admin")
	if code != 2 || !strings.Contains(done.Error, "--name") {
		t.Errorf("exit %d, %s", code, done.Error)
	}
	if done, code = b.login(as, s.URL, "--scope", "synapse-admin", "--name", "admin"); code != 0 {
		t.Fatal(done.Error)
	}
	if got := b.must(2, "token").stderr; !strings.Contains(got, "admin") || !strings.Contains(got, "mxauth use") {
		t.Errorf("with two sessions and no name: %q", got)
	}
	if b.must(0, "token", "--scope", "synapse-admin").stdout != b.must(0, "token", "admin").stdout {
		t.Error("--scope took another session")
	}
	if got := b.must(4, "token", "--scope", "mas-admin").stderr; !strings.Contains(got, "mxauth login") || !strings.Contains(got, "mas-admin") {
		t.Errorf("without such a session: %q", got)
	}
	b.must(0, "use", "admin")
	if b.must(0, "token").stdout != b.must(0, "token", "admin").stdout {
		t.Error("use picked nothing")
	}
}
