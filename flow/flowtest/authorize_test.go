package flowtest_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A nativeClient is a client of the authorization code grant.
type nativeClient struct {
	*terminal
	verifier string
}

func newNativeClient(t *testing.T, s *flowtest.Server) nativeClient {
	t.Helper()
	c := &terminal{t: t, s: s}
	status, m := c.json(http.MethodPost, s.Issuer+"oauth2/registration", "", map[string]any{
		"client_name": "Native", "client_uri": "https://example.org/", "application_type": "native", "redirect_uris": []string{"http://127.0.0.1/callback"},
		"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none",
	})
	if status != http.StatusCreated {
		t.Fatalf("registration: %d, %v", status, m)
	}
	c.client = m["client_id"].(string)
	return nativeClient{c, oauth2.GenerateVerifier()}
}

// link is an authorization request; fields replace or, if empty, take out what is
// in it.
func (c nativeClient) link(fields ...string) string {
	q := url.Values{"client_id": {c.client}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:4000/callback"}, "scope": {deviceScope},
		"state": {"st"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(c.verifier)}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(fields); i += 2 {
		if q.Set(fields[i], fields[i+1]); fields[i+1] == "" {
			q.Del(fields[i])
		}
	}
	return c.s.Issuer + "authorize?" + q.Encode()
}

func (c nativeClient) exchange(code, verifier string) (int, map[string]any) {
	c.t.Helper()
	fields := []string{"grant_type", "authorization_code", "code", code}
	if verifier != "" {
		fields = append(fields, "code_verifier", verifier)
	}
	return c.do(c.form("oauth2/token", fields...))
}

// allowed is the code that alice gives.
func (c nativeClient) allowed(fields ...string) string {
	c.t.Helper()
	back, err := c.s.Authorize(c.link(fields...), "alice")
	if err != nil {
		c.t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil || u.Query().Get("code") == "" {
		c.t.Fatalf("the browser ends on %s, %v", back, err)
	}
	return u.Query().Get("code")
}

func TestAuthorizeInBrowser(t *testing.T) {
	each(t, func(t *testing.T, start func(...flowtest.Option) *flowtest.Server) {
		s := start(flowtest.WithDeviceGrant(false))
		c, b := newNativeClient(t, s), newBrowser(t, s)
		status, login, _ := b.visit(c.link(), nil)
		if status != http.StatusSeeOther || !strings.HasPrefix(login, s.Issuer+"login?kind=continue_authorization_grant&id=") {
			t.Fatalf("the link: %d to %q", status, login)
		}
		_, _, body := b.visit(login, nil)
		_, consent, _ := b.visit(login, url.Values{"csrf": {csrf(t, body)}, "username": {"alice"}, "password": {"alice"}})
		if !strings.HasPrefix(consent, s.Issuer+"consent/") {
			t.Fatalf("the login leads to %q", consent)
		}
		_, _, body = b.visit(consent, nil)
		if !strings.Contains(body, "Continue to Native?") || !strings.Contains(body, "http://127.0.0.1:4000/callback?error=access_denied&amp;state=st#") {
			t.Errorf("the consent page is\n%s", body)
		}
		if status, _, _ := b.visit(consent, url.Values{"csrf": {"x"}}); status != http.StatusBadRequest {
			t.Errorf("a forged form: %d", status)
		}
		status, back, _ := b.visit(consent, url.Values{"csrf": {csrf(t, body)}})
		u, err := url.Parse(back)
		if err != nil || status != http.StatusSeeOther || u.Host != "127.0.0.1:4000" || u.Query().Get("state") != "st" {
			t.Fatalf("the consent: %d to %q", status, back)
		}
		if status, m := c.exchange(u.Query().Get("code"), c.verifier); status != http.StatusOK || c.whoami(m["access_token"].(string)) != http.StatusOK || m["refresh_token"] == nil {
			t.Errorf("the exchange: %d, %v", status, m)
		}
		if status, _, _ := b.visit(consent, nil); status != http.StatusConflict {
			t.Errorf("the consent page a second time: %d", status)
		}
	})
}

// What MAS has against a request is shown to the person where the redirect is
// doubtful, and told to the client otherwise.
func TestAuthorizeRefuses(t *testing.T) {
	s := flowtest.New()
	c := newNativeClient(t, s)
	for name, fields := range map[string][]string{
		"unknown client": {"client_id", "x"}, "another redirect": {"redirect_uri", "http://127.0.0.1:4000/other"}, "another host": {"redirect_uri", "http://localhost:4000/callback"},
		"a site": {"redirect_uri", "https://example.org:4000/callback"}, "response mode": {"response_mode", "x"}, "scope": {"scope", "a  b"},
	} {
		if back, err := s.Authorize(c.link(fields...), "alice"); err == nil {
			t.Errorf("%s: the browser ends on %s", name, back)
		}
		if status, _, _ := newBrowser(t, s).visit(c.link(fields...), nil); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	for name, tt := range map[string]struct{ link, want string }{
		"response type": {c.link("response_type", "token"), "http://127.0.0.1:4000/callback?error=unsupported_response_type"},
		"fragment":      {c.link("response_mode", "fragment"), "http://127.0.0.1:4000/callback#code="},
		"no port":       {c.link("redirect_uri", "http://127.0.0.1/callback"), "http://127.0.0.1/callback?code="},
	} {
		if back, err := s.Authorize(tt.link, "alice"); err != nil || !strings.HasPrefix(back, tt.want) {
			t.Errorf("%s: the browser ends on %q, %v", name, back, err)
		}
	}
	if _, err := s.Authorize(c.link("scope", "profile"), "alice"); !errors.Is(err, flowtest.ErrPolicy) {
		t.Errorf("a scope that is not allowed: %v", err)
	}
	if back, err := s.Deny(c.link(), "alice"); err != nil || back != "http://127.0.0.1:4000/callback?error=access_denied&state=st#" {
		t.Errorf("cancelled: %q, %v", back, err)
	}
}

func TestExchangeCode(t *testing.T) {
	s := flowtest.New()
	c := newNativeClient(t, s)
	other := newTerminal(t, s)
	for name, tt := range map[string]struct {
		mean   func() (code, verifier string)
		status int
		want   string
	}{
		"good":             {func() (string, string) { return c.allowed(), c.verifier }, 200, ""},
		"without PKCE":     {func() (string, string) { return c.allowed("code_challenge", "", "code_challenge_method", ""), "" }, 200, ""},
		"no verifier":      {func() (string, string) { return c.allowed(), "" }, 400, "invalid_request"},
		"no challenge":     {func() (string, string) { return c.allowed("code_challenge", ""), c.verifier }, 400, "invalid_request"},
		"another verifier": {func() (string, string) { return c.allowed(), oauth2.GenerateVerifier() }, 400, "invalid_grant"},
		"a short verifier": {func() (string, string) {
			return c.allowed("code_challenge_method", "plain", "code_challenge", "x"), "x"
		}, 400, "invalid_grant"},
		"unknown code":      {func() (string, string) { return "x", c.verifier }, 400, "invalid_grant"},
		"after ten minutes": {func() (string, string) { code := c.allowed(); s.Advance(601 * time.Second); return code, c.verifier }, 400, "invalid_grant"},
		"nobody agreed": {func() (string, string) {
			_, _, _ = newBrowser(t, s).visit(c.link(), nil)
			return "", c.verifier
		}, 400, "invalid_grant"},
	} {
		code, verifier := tt.mean()
		status, m := c.exchange(code, verifier)
		if e, _ := m["error"].(string); status != tt.status || e != tt.want {
			t.Errorf("%s: %d, %v", name, status, m)
		}
	}
	if status, m := (nativeClient{other, c.verifier}).exchange(c.allowed(), c.verifier); status != 401 || m["error"] != "unauthorized_client" {
		t.Errorf("another's code: %d, %v", status, m)
	}
}

// A code that comes again is refused, and after 20 seconds its session ends.
func TestCodeReuse(t *testing.T) {
	s := flowtest.New()
	c := newNativeClient(t, s)
	code := c.allowed()
	_, m := c.exchange(code, c.verifier)
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{0, 200}, {21 * time.Second, 401}} {
		s.Advance(tt.after)
		if status, m := c.exchange(code, c.verifier); status != 400 || m["error"] != "invalid_grant" {
			t.Errorf("after %v: %d, %v", tt.after, status, m)
		}
		if status := c.whoami(m["access_token"].(string)); status != tt.want {
			t.Errorf("after %v whoami says %d, want %d", tt.after, status, tt.want)
		}
	}
}
