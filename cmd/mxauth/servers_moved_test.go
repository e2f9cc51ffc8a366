package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A signpost is a server name of its own: its .well-known points to a homeserver
// somewhere else, and can be turned.
type signpost struct {
	url string
	to  atomic.Value // the homeserver's URL
}

func newSignpost(t *testing.T, to *flowtest.Server) *signpost {
	t.Helper()
	p := &signpost{}
	p.to.Store(to.URL)
	l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/matrix/client" {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprintf(w, `{"m.homeserver":{"base_url":%q}}`, p.to.Load())
	}))
	t.Cleanup(l.Close)
	p.url = l.URL
	return p
}

// tokenOf prints a session's token, which must be one of a server's own.
func (b box) tokenOf(s *flowtest.Server, name string) string {
	b.t.Helper()
	token := strings.TrimSpace(b.must(0, "token", name).stdout)
	if r := b.must(0, "whoami", name); !strings.Contains(r.stdout, s.ServerName) {
		b.t.Errorf("%s belongs to %s", name, r.stdout)
	}
	return token
}

// TestSideBySide has two accounts at one server and one at another. None of them
// touches the others.
func TestSideBySide(t *testing.T) {
	one, two := startServer(t), startServer(t, flowtest.WithServerName("other.test"))
	one.AddUser("bob", "bob")
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(one)
	b.loggedIn(two)
	if done, code := b.login(approveAs(t, one, "bob"), one.URL); code != 0 {
		t.Fatalf("exit %d, %s", code, done.Error)
	}
	names := map[string]*flowtest.Server{"@alice:example.test": one, "@bob:example.test": one, "@alice:other.test": two}
	seen := map[string]string{}
	for name, s := range names {
		token := b.tokenOf(s, name)
		if seen[token] != "" {
			t.Errorf("%s and %s have one token", name, seen[token])
		}
		seen[token] = name
	}
	r := b.must(2, "token")
	for name := range names {
		if !strings.Contains(r.stderr, name) {
			t.Errorf("%s is not among the choices:\n%s", name, r.stderr)
		}
	}
	b.must(0, "logout", "@alice:example.test")
	b.must(4, "token", "@alice:example.test")
	b.must(0, "refresh", "@bob:example.test")
	b.must(0, "refresh", "@alice:other.test")
	if one.Succeeded(flowtest.Revoke) != 1 || two.Count(flowtest.Revoke) != 0 {
		t.Errorf("%d and %d revocations", one.Succeeded(flowtest.Revoke), two.Count(flowtest.Revoke))
	}
}

// TestServerMoved turns the signpost after a login. The session goes on where it
// was made, and the new place gets nothing of it; doctor tells; a login under the
// name takes its place.
func TestServerMoved(t *testing.T) {
	before, after := startServer(t), startServer(t)
	post := newSignpost(t, before)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	login := func(s *flowtest.Server, user string) (event, int) {
		return b.login(approveAs(t, s, user), post.url, "--name", "bot")
	}
	if done, code := login(before, "alice"); code != 0 {
		t.Fatalf("exit %d, %s", code, done.Error)
	}
	post.to.Store(after.URL)
	b.must(0, "refresh", "bot")
	b.tokenOf(before, "bot")
	if n := after.Count(flowtest.Any); n != 0 {
		t.Errorf("the new place got %d requests: %v", n, after.Requests())
	}
	r := b.run("doctor")
	if r.code != 6 || !strings.Contains(r.stdout, "the sessions here were made at "+before.Issuer) || !strings.Contains(r.stdout, "log in again") {
		t.Errorf("doctor: exit %d\n%s", r.code, r.stdout)
	}
	for _, sent := range after.Requests() {
		if sent.Header.Get("Authorization") != "" || len(sent.FormKeys) > 0 {
			t.Errorf("doctor sent %+v", sent)
		}
	}
	// Somebody else's approval there replaces nothing.
	if done, code := login(after, "root"); code != 2 || !strings.Contains(done.Error, "the old one is kept") {
		t.Errorf("exit %d, %s", code, done.Error)
	}
	b.tokenOf(before, "bot")
	if done, code := login(after, "alice"); code != 0 {
		t.Fatalf("the same account in the new place: exit %d, %s", code, done.Error)
	}
	b.tokenOf(after, "bot")
	if before.Succeeded(flowtest.Revoke) != 1 {
		t.Errorf("%d revocations in the old place", before.Succeeded(flowtest.Revoke))
	}
	if r := b.must(0, "doctor"); !strings.Contains(r.stdout, after.Issuer) {
		t.Errorf("doctor afterwards:\n%s", r.stdout)
	}
}

// TestHomeserverMoved has a homeserver at another address, with the issuer it had.
func TestHomeserverMoved(t *testing.T) {
	s := startServer(t)
	post := newSignpost(t, s)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	if done, code := b.login(approveAs(t, s, "alice"), post.url); code != 0 {
		t.Fatalf("exit %d, %s", code, done.Error)
	}
	home, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	moved := httptest.NewServer(httputil.NewSingleHostReverseProxy(home))
	t.Cleanup(moved.Close)
	post.to.Store(moved.URL)
	if r := b.run("doctor"); r.code != 6 || !strings.Contains(r.stdout, "it names the homeserver "+moved.URL) {
		t.Errorf("doctor: exit %d\n%s", r.code, r.stdout)
	}
}

// TestIssuerChanged has a homeserver name another issuer from now on.
func TestIssuerChanged(t *testing.T) {
	s, other := startServer(t), startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	s.RestartHomeserver()
	change := flowtest.Edit(func(m map[string]any) {
		for name, value := range m {
			if address, ok := value.(string); ok {
				m[name] = strings.Replace(address, s.Issuer, other.Issuer, 1)
			}
		}
	})
	s.Inject(flowtest.Metadata, change)
	b.must(0, "refresh", "@alice:example.test")
	b.tokenOf(s, "@alice:example.test")
	if n := s.Injected(flowtest.Metadata); n != 1 || other.Count(flowtest.Any) != 0 {
		t.Errorf("%d answers left, and the new issuer got %v", n, other.Requests())
	}
	r := b.run("doctor")
	if r.code != 6 || !strings.Contains(r.stdout, "it names the issuer "+other.Issuer) {
		t.Errorf("doctor: exit %d\n%s", r.code, r.stdout)
	}
	if n := other.Count(flowtest.Any); n != 0 {
		t.Errorf("the new issuer got %v", other.Requests())
	}
}

// TestLegacyServer has a homeserver without OAuth say what it offers.
func TestLegacyServer(t *testing.T) {
	s := startServer(t, flowtest.WithLegacyOnly())
	s.Inject(flowtest.Login, flowtest.Raw(200, "application/json", `{"flows":[{"type":"m.login.password"},{"type":"x\u001b[31m"},
		{"type":"m.login.sso","identity_providers":[{"id":"1","name":"Example \u001b[31mID"},{"id":"2","name":"Other"}]}]}`))
	b := newBox(t, "MXAUTH_STORE=plaintext")
	r := b.must(6, "login", "--plain", s.URL)
	for _, want := range []string{"m.login.password", "m.login.sso (Example", "Other)", "OAuth 2.0", "matrix-authentication-service"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("%q is missing in:\n%s", want, r.stderr)
		}
	}
	if strings.Contains(r.stderr, "\x1b[31m") || r.stdout != "" || strings.Count(r.stderr, "\n") > 4 {
		t.Errorf("stdout %q, stderr:\n%q", r.stdout, r.stderr)
	}
}
