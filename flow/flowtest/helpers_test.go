package flowtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

const (
	apiScope    = "urn:matrix:client:api:*"
	deviceScope = apiScope + " urn:matrix:client:device:TESTDEVICE"
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
)

// A terminal is a client of the device grant, as plain as can be.
type terminal struct {
	t      *testing.T
	s      *flowtest.Server
	client string
}

func newTerminal(t *testing.T, s *flowtest.Server) *terminal {
	t.Helper()
	c := &terminal{t: t, s: s}
	status, m := c.json(http.MethodPost, s.Issuer+"oauth2/registration", "", map[string]any{
		"client_name": "Terminal <b>", "client_uri": "https://example.org/", "application_type": "native",
		"grant_types": []string{deviceGrant, "refresh_token"}, "token_endpoint_auth_method": "none",
	})
	if status != http.StatusCreated {
		t.Fatalf("registration: %d, %v", status, m)
	}
	c.client = m["client_id"].(string)
	return c
}

func (c *terminal) do(req *http.Request) (int, map[string]any) {
	c.t.Helper()
	resp, err := c.s.Client().Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	m := map[string]any{}
	_ = json.Unmarshal(b, &m) // some answers are no JSON, and then have no members
	return resp.StatusCode, m
}

func (c *terminal) request(method, address, token, contentType, body string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("User-Agent", "terminal/1 (<i>box</i>; Linux)")
	return req
}

func (c *terminal) json(method, address, token string, body any) (int, map[string]any) {
	c.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do(c.request(method, address, token, "application/json", string(b)))
}

func (c *terminal) get(address, token string) (int, map[string]any) {
	c.t.Helper()
	return c.do(c.request(http.MethodGet, address, token, "", ""))
}

func (c *terminal) form(path string, fields ...string) *http.Request {
	c.t.Helper()
	form := url.Values{"client_id": {c.client}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return c.request(http.MethodPost, c.s.Issuer+path, "", "application/x-www-form-urlencoded", form.Encode())
}

func (c *terminal) codes(scope string) map[string]any {
	c.t.Helper()
	status, m := c.do(c.form("oauth2/device", "scope", scope))
	if status != http.StatusOK {
		c.t.Fatalf("device: %d, %v", status, m)
	}
	return m
}

func (c *terminal) poll(codes map[string]any) (int, map[string]any) {
	c.t.Helper()
	return c.do(c.form("oauth2/token", "grant_type", deviceGrant, "device_code", codes["device_code"].(string)))
}

func (c *terminal) refresh(token string) (int, map[string]any) {
	c.t.Helper()
	return c.do(c.form("oauth2/token", "grant_type", "refresh_token", "refresh_token", token))
}

// login is a whole one, approved by alice.
func (c *terminal) login(scope string) (access, refresh string) {
	c.t.Helper()
	codes := c.codes(scope)
	if err := c.s.Approve(codes["user_code"].(string), "alice"); err != nil {
		c.t.Fatal(err)
	}
	status, m := c.poll(codes)
	if status != http.StatusOK {
		c.t.Fatalf("token: %d, %v", status, m)
	}
	return m["access_token"].(string), m["refresh_token"].(string)
}

func (c *terminal) whoami(token string) int {
	c.t.Helper()
	status, _ := c.get(c.s.URL+"/_matrix/client/v3/account/whoami", token)
	return status
}

// each runs a test against a server on loopback and one in memory.
func each(t *testing.T, test func(*testing.T, func(...flowtest.Option) *flowtest.Server)) {
	for name, start := range map[string]func(...flowtest.Option) *flowtest.Server{"loopback": flowtest.NewServer, "memory": flowtest.New} {
		t.Run(name, func(t *testing.T) {
			test(t, func(opts ...flowtest.Option) *flowtest.Server {
				s := start(opts...)
				t.Cleanup(s.Close)
				return s
			})
		})
	}
}
