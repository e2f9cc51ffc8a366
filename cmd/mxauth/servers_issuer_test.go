package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// clients are the IDs that codes were asked for with.
func clients(s *flowtest.Server) (ids []string) {
	for _, r := range s.Requests() {
		if r.Endpoint == flowtest.Device {
			ids = append(ids, r.ClientID)
		}
	}
	return ids
}

// loginAt logs in at a plain issuer and returns the scope that was asked for.
func (b box) loginAt(s *flowtest.Server, args ...string) (scope string) {
	b.t.Helper()
	done, code := b.login(approveAs(b.t, s, "alice"), append([]string{"--issuer", s.Issuer}, args...)...)
	if code != 0 {
		b.t.Fatalf("exit %d, %s", code, done.Error)
	}
	for _, r := range s.Requests() {
		if r.Endpoint == flowtest.Device {
			scope = r.Scope
		}
	}
	return scope
}

// TestIssuerKeepsItsClient logs in several times: a plain issuer's registration is
// used again, also when its session has ended, until the issuer does not know it
// any more. A homeserver gets a new one each time.
func TestIssuerKeepsItsClient(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	if scope := b.loginAt(s, "--name", "ci"); scope != "openid" {
		t.Errorf("asked for %q, and offline_access is not among what the issuer lists", scope)
	}
	b.loginAt(s, "--name", "ci")
	b.loginAt(s, "--name", "other")
	s.Inject(flowtest.Refresh, flowtest.OAuthError(400, "invalid_grant"))
	b.must(4, "refresh", "ci")
	b.loginAt(s, "--name", "ci")
	if ids := clients(s); s.Count(flowtest.Register) != 1 || len(ids) != 4 || strings.Count(strings.Join(ids, " "), ids[0]) != 4 {
		t.Errorf("%d registrations, clients %q", s.Count(flowtest.Register), ids)
	}
	s.Inject(flowtest.Device, flowtest.OAuthError(401, "invalid_client"))
	b.loginAt(s, "--name", "ci")
	if n := s.Count(flowtest.Register); n != 2 {
		t.Errorf("%d registrations after the client was deleted, want 2", n)
	}
	b.loggedIn(s, "--name", "bot")
	b.loggedIn(s, "--name", "bot")
	if n := s.Count(flowtest.Register); n != 4 {
		t.Errorf("%d registrations after two logins at the homeserver, want 4", n)
	}
}

// TestIssuerWithoutRegistration ties sessions to the client ID, as Dex does: the
// ID that was given is kept for the name, and for no other.
func TestIssuerWithoutRegistration(t *testing.T) {
	s := startServer(t)
	made, err := s.LogIn("alice", "openid")
	if err != nil {
		t.Fatal(err)
	}
	closed := flowtest.Edit(func(m map[string]any) { delete(m, "registration_endpoint") })
	s.Inject(flowtest.Discovery, closed, closed, closed)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loginAt(s, "--name", "ci", "--client-id", made.ClientID)
	b.loginAt(s, "--name", "ci")
	r := b.must(6, "login", "--plain", "--issuer", s.Issuer, "--name", "other")
	if !strings.Contains(r.stderr, "--client-id ID") || s.Count(flowtest.Register) != 0 {
		t.Errorf("%d registrations\n%s", s.Count(flowtest.Register), r.stderr)
	}
}

// TestIdleLimit is told at the login, where the answer shows it.
func TestIdleLimit(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	for life, want := range map[any]string{1800: "not used for 30 minutes", "2592000": "not used for 30 days", 0: "", "never": ""} {
		s.Inject(flowtest.Poll, flowtest.Edit(func(m map[string]any) { m["refresh_expires_in"] = life }))
		cmd := b.command("login", "--plain", "--issuer", s.Issuer, "--name", "ci")
		stderr := &bytes.Buffer{}
		cmd.Stderr = stderr
		if err := approved(t, s, cmd); err != nil {
			t.Fatal(err)
		}
		said := strings.Contains(stderr.String(), "The server ends this session")
		if said != (want != "") || !strings.Contains(stderr.String(), want) {
			t.Errorf("refresh_expires_in %v:\n%s", life, stderr.String())
		}
	}
}
