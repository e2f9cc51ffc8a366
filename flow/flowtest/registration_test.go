package flowtest_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestRegistrationPolicy goes where the recordings do not.
func TestRegistrationPolicy(t *testing.T) {
	s := flowtest.New()
	c := &terminal{t: t, s: s}
	const code = "authorization_code"
	for name, w := range map[string]struct {
		change map[string]any
		code   string
		says   string
	}{
		"as it is":              {nil, "", ""},
		"web, own host":         {map[string]any{"application_type": "web", "redirect_uris": []string{"https://app.example.org/cb"}}, "", ""},
		"web, other host":       {map[string]any{"application_type": "web", "redirect_uris": []string{"https://notexample.org/cb"}}, "invalid_redirect_uri", "invalid redirect_uri"},
		"web, loopback":         {map[string]any{"application_type": "web", "redirect_uris": []string{"http://127.0.0.1/cb"}}, "invalid_redirect_uri", "invalid redirect_uri"},
		"reversed scheme":       {map[string]any{"redirect_uris": []string{"org.example.terminal:/cb"}}, "", ""},
		"scheme of another":     {map[string]any{"redirect_uris": []string{"org.examples:/cb"}}, "invalid_redirect_uri", "invalid redirect_uri"},
		"scheme with authority": {map[string]any{"redirect_uris": []string{"org.example://cb/"}}, "invalid_redirect_uri", "invalid redirect_uri"},
		"localhost":             {map[string]any{"redirect_uris": []string{"http://localhost:1/cb"}}, "", ""},
		"no redirect URI":       {map[string]any{"redirect_uris": []string{}}, "invalid_redirect_uri", "at least one"},
		"two things wrong":      {map[string]any{"client_uri": nil, "logo_uri": "http://example.org/"}, "invalid_client_metadata", "invalid logo_uri; logo_uri not on the same host as the client_uri; missing client_uri"},
		"port in client_uri":    {map[string]any{"client_uri": "https://example.org:8443/"}, "invalid_client_metadata", "invalid client_uri"},
		"query in client_uri":   {map[string]any{"client_uri": "https://example.org/?a"}, "invalid_client_metadata", "invalid client_uri"},
		"a path at a forge":     {map[string]any{"client_uri": "https://github.com/Some/thing"}, "", ""},
		"relative client_uri":   {map[string]any{"client_uri": "example.org"}, "invalid_client_metadata", "client_uri: relative URL without a base"},
		"code without grant":    {map[string]any{"grant_types": []string{"refresh_token"}}, "invalid_client_metadata", ""},
		"public credentials":    {map[string]any{"grant_types": []string{code, "client_credentials"}}, "invalid_client_metadata", "client_credentials grant_type requires"},
		"number for a name":     {map[string]any{"client_name": 7}, "invalid_client_metadata", "client_name: invalid type: number `7`, expected a string"},
	} {
		body := map[string]any{
			"client_name": "x", "client_uri": "https://example.org/", "application_type": "native", "token_endpoint_auth_method": "none",
			"grant_types": []string{code}, "response_types": []string{"code"}, "redirect_uris": []string{"http://[::1]:7/cb"},
		}
		maps.Copy(body, w.change)
		status, m := c.json(http.MethodPost, s.Issuer+"oauth2/registration", "", body)
		said, _ := m["error_description"].(string)
		if w.code == "" {
			if status != http.StatusCreated {
				t.Errorf("%s: %d, %v", name, status, m)
			}
		} else if status != http.StatusBadRequest || m["error"] != w.code || !strings.Contains(said, w.says) {
			t.Errorf("%s: %d, %v", name, status, m)
		}
	}
}

// TestSecretClient registers clients with a secret: each its own, known by Basic
// or by the form, but not by both.
func TestSecretClient(t *testing.T) {
	s := flowtest.New()
	c := &terminal{t: t, s: s}
	register := func(method string) (id, secret string) {
		status, m := c.json(http.MethodPost, s.Issuer+"oauth2/registration", "", map[string]any{
			"client_uri": "https://example.org", "grant_types": []string{deviceGrant}, "token_endpoint_auth_method": method,
		})
		if status != http.StatusCreated || m["client_uri"] != "https://example.org/" {
			t.Fatalf("%d, %v", status, m)
		}
		return m["client_id"].(string), m["client_secret"].(string)
	}
	basic, secret := register("client_secret_basic")
	if again, _ := register("client_secret_basic"); again == basic {
		t.Error("two clients with a secret are one")
	}
	post, postSecret := register("client_secret_post")
	header := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	}
	for name, w := range map[string]struct {
		authorization, form string
		status              int
		code                string
	}{
		"basic":            {header(basic, secret), "", 200, ""},
		"basic, id twice":  {header(basic, secret), "client_id=" + basic, 200, ""},
		"basic, two ids":   {header(basic, secret), "client_id=" + post, 400, "invalid_grant"},
		"wrong secret":     {header(basic, "x"), "", 401, "invalid_client"},
		"post":             {"", "client_id=" + post + "&client_secret=" + postSecret, 200, ""},
		"post for basic":   {"", "client_id=" + basic + "&client_secret=" + secret, 401, "invalid_client"},
		"no secret":        {"", "client_id=" + post, 401, "invalid_client"},
		"unreadable":       {"Basic !", "client_id=" + post, 400, "invalid_request"},
		"unknown scheme":   {"Digest x", "client_id=" + post, 400, "invalid_request"},
		"bearer alone":     {"Bearer x", "", 401, "invalid_client"},
		"field twice":      {"", "client_id=a&client_id=b", 500, "server_error"},
		"scope with quote": {header(basic, secret), "scope=%22", 500, "server_error"},
	} {
		req := c.request(http.MethodPost, s.Issuer+"oauth2/device", "", "application/x-www-form-urlencoded; charset=utf-8", w.form)
		if w.authorization != "" {
			req.Header.Set("Authorization", w.authorization)
		}
		status, m := c.do(req)
		if got, _ := m["error"].(string); status != w.status || got != w.code {
			t.Errorf("%s: %d, %v", name, status, m)
		}
	}
}
