package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestRegistrationClosed logs in where nobody registers without the
// administrator: what to ask for is said, and then it works.
func TestRegistrationClosed(t *testing.T) {
	const token = "initial-access-token-1"
	s := startServer(t, flowtest.As(flowtest.Tuwunel), flowtest.WithInitialToken(token))
	b := newBox(t, "MXAUTH_STORE=plaintext")
	r := b.must(6, "login", "--plain", s.URL)
	for _, want := range []string{"administrator", "M_FORBIDDEN", "public client with the device code grant", "--client-id ID", "--initial-token FILE"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("%q is missing in:\n%s", want, r.stderr)
		}
	}
	file := filepath.Join(b.dir, "token")
	if err := os.WriteFile(file, []byte("initial-access-token-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = b.must(6, "login", "--plain", s.URL, "--initial-token", file)
	if !strings.Contains(r.stderr, "does not accept the initial access token") || !strings.Contains(r.stderr, "ask the administrator for another") ||
		strings.Contains(r.stderr, "access-token-2") {
		t.Errorf("another token:\n%s", r.stderr)
	}
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.loggedIn(s, "--initial-token", file)
	if n := s.Succeeded(flowtest.Register); n != 1 {
		t.Errorf("%d registrations", n)
	}
}

// TestRegistrationElsewhere has an administrator's client ID instead.
func TestRegistrationElsewhere(t *testing.T) {
	s := startServer(t)
	made, err := s.LogIn("alice", "urn:matrix:client:api:*")
	if err != nil {
		t.Fatal(err)
	}
	s.Inject(flowtest.Metadata, flowtest.Edit(func(m map[string]any) { delete(m, "registration_endpoint") }))
	b := newBox(t, "MXAUTH_STORE=plaintext")
	r := b.must(6, "login", "--plain", s.URL)
	if !strings.Contains(r.stderr, "no registration_endpoint") || !strings.Contains(r.stderr, "--client-id ID") {
		t.Errorf("%s", r.stderr)
	}
	b.loggedIn(s, "--client-id", made.ClientID)
	if n := s.Count(flowtest.Register); n != 0 {
		t.Errorf("%d registrations", n)
	}
}
