package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestLoginWithBadInput runs logins that cannot succeed. Each must end with its
// exit code and an error of at most three lines, and leave nothing behind.
func TestLoginWithBadInput(t *testing.T) {
	answers := func(h http.HandlerFunc) func(*testing.T) string {
		return func(t *testing.T) string {
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			return s.URL
		}
	}
	faulty := func(at flowtest.Endpoint, f flowtest.Fault) func(*testing.T) string {
		return func(t *testing.T) string {
			s := startServer(t)
			s.Inject(at, f)
			return s.URL
		}
	}
	given := func(server string) func(*testing.T) string { return func(*testing.T) string { return server } }
	without := func(members ...string) flowtest.Fault {
		return flowtest.Edit(func(all map[string]any) {
			for _, m := range members {
				delete(all, m)
			}
		})
	}
	for name, c := range map[string]struct {
		server func(*testing.T) string
		args   []string
		exit   int
		says   string
	}{
		"no name":          {given("not a name"), nil, 2, "not a server name"},
		"http elsewhere":   {given("http://matrix.example.org"), nil, 2, "plain http"},
		"nobody there":     {deadEnd, nil, 5, "refused the connection"},
		"HTML":             {answers(portal), nil, 6, "not"},
		"endless":          {answers(endless), nil, 6, "1048576 bytes"},
		"redirect circle":  {answers(circle), nil, 6, "circle"},
		"no device grant":  {faulty(flowtest.Metadata, without("device_authorization_endpoint")), nil, 6, "does not offer device login"},
		"no registration":  {faulty(flowtest.Metadata, without("registration_endpoint")), nil, 6, "client ID"},
		"refused":          {faulty(flowtest.Register, flowtest.OAuthError(400, "invalid_client_metadata")), nil, 6, "invalid_client_metadata"},
		"legacy":           {legacyServer, nil, 6, "older logins: m.login."},
		"server is ill":    {faulty(flowtest.Metadata, flowtest.HTML(502)), nil, 5, "answered 502"},
		"unwise scope":     {given("matrix.example.org"), []string{"--scope", "offline_access"}, 2, "offline_access"},
		"no such store":    {given("matrix.example.org"), []string{"--store", "cloud"}, 2, "cloud"},
		"name of a flag":   {given("matrix.example.org"), []string{"--name", "-x"}, 2, "cannot be called"},
		"issuer, no name":  {given(""), []string{"--issuer", "https://id.example.org"}, 2, "--name"},
		"no refresh token": {noRefreshToken, nil, 6, "no refresh token"},
		"declined":         {declining, nil, 3, "declined"},
		"expired":          {expiring, nil, 3, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, "MXAUTH_STORE=plaintext")
			args := append([]string{"login"}, c.args...)
			if server := c.server(t); server != "" {
				args = append(args, server)
			}
			r := b.must(c.exit, args...)
			said := r.stderr[strings.LastIndex(r.stderr, "mxauth: "):]
			if !strings.Contains(said, c.says) || strings.Count(said, "\n") > 3 {
				t.Errorf("it should say %q in three lines at most:\n%s", c.says, said)
			}
			if list := b.must(0, "list"); list.stdout != "" {
				t.Errorf("it left %s", list.stdout)
			}
		})
	}
}

func portal(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<html>Please log in to this café's network</html>"))
}

func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(strings.Repeat("[", 64<<10))); err != nil {
			return
		}
	}
}

func circle(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Path+"?", http.StatusFound)
}

// deadEnd is an address where nobody listens.
func deadEnd(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "http://" + l.Addr().String()
}

func legacyServer(t *testing.T) string { return startServer(t, flowtest.WithLegacyOnly()).URL }

func noRefreshToken(t *testing.T) string {
	s := startServer(t)
	s.Inject(flowtest.Poll, flowtest.Edit(func(all map[string]any) { delete(all, "refresh_token") }))
	return soon(t, s, func(code string) { _ = s.Approve(code, "alice") })
}

func declining(t *testing.T) string {
	s := startServer(t)
	return soon(t, s, func(code string) { _ = s.Reject(code, "alice") })
}

func expiring(t *testing.T) string {
	s := startServer(t)
	return soon(t, s, func(code string) { _ = s.ExpireCode(code) })
}

// soon does something with the first code that a server gives out.
func soon(t *testing.T, s *flowtest.Server, do func(code string)) string {
	go func() {
		for ; t.Context().Err() == nil; time.Sleep(5 * time.Millisecond) {
			if codes := s.Pending(); len(codes) > 0 {
				do(codes[0])
				return
			}
		}
	}()
	return s.URL
}
