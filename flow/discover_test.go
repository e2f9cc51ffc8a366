package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	wellKnownURL = "https://example.org/.well-known/matrix/client"
	stableURL    = "https://example.org/_matrix/client/v1/auth_metadata"
	unstableURL  = "https://example.org/_matrix/client/unstable/org.matrix.msc2965/auth_metadata"
	issuerURL    = "https://example.org/_matrix/client/unstable/org.matrix.msc2965/auth_issuer"
	openidURL    = asURL + ".well-known/openid-configuration"
	flowsURL     = "https://example.org/_matrix/client/v3/login"
)

func ok(body string) []reply { return []reply{{status: 200, body: body}} }

func TestDiscoverFinds(t *testing.T) {
	wellKnown := ok(`{"m.homeserver":{"base_url":"https://example.org/"}}`)
	for name, tt := range map[string]struct {
		replies  map[string][]reply
		requests int
	}{
		"stable":                 {map[string][]reply{wellKnownURL: wellKnown, stableURL: ok(metaBody)}, 2},
		"no well-known":          {map[string][]reply{stableURL: ok(metaBody)}, 2},
		"unstable":               {map[string][]reply{wellKnownURL: wellKnown, unstableURL: ok(metaBody)}, 3},
		"issuer":                 {map[string][]reply{wellKnownURL: wellKnown, issuerURL: ok(`{"issuer":"https://auth.example.org/"}`), openidURL: ok(metaBody)}, 5},
		"unstable, 405":          {map[string][]reply{wellKnownURL: wellKnown, stableURL: {{status: 405}}, unstableURL: ok(metaBody)}, 3},
		"unstable, 400":          {map[string][]reply{wellKnownURL: wellKnown, stableURL: {{status: 400, body: `{"errcode":"M_UNRECOGNIZED"}`}}, unstableURL: ok(metaBody)}, 3},
		"issuer without a slash": {map[string][]reply{wellKnownURL: wellKnown, issuerURL: ok(`{"issuer":"https://auth.example.org"}`), openidURL: ok(metaBody)}, 5},
		"issuer in well-known": {map[string][]reply{wellKnownURL: ok(`{"m.homeserver":{"base_url":"https://example.org"},"org.matrix.msc2965.authentication":{"issuer":"https://auth.example.org/"}}`),
			openidURL: ok(metaBody)}, 5},
		"redirected well-known": {map[string][]reply{wellKnownURL: {{status: 301, header: "Location: https://www.example.org/wk"}}, "https://www.example.org/wk": wellKnown, stableURL: ok(metaBody)}, 3},
	} {
		sc := &script{replies: tt.replies}
		s, err := sc.agent().Discover(t.Context(), "@alice:example.org")
		if err != nil || s.Token != asURL+"token" || s.Homeserver != "https://example.org" || s.Name != "example.org" {
			t.Errorf("%s: %v %+v", name, err, s)
		}
		if len(sc.seen) != tt.requests {
			t.Errorf("%s: %d requests, want %d", name, len(sc.seen), tt.requests)
		}
		for _, r := range sc.seen {
			if r.agent != "mxauth/1.2.3" {
				t.Errorf("%s: discovery says %q", name, r.agent)
			}
		}
	}
}

func TestDiscoverRefuses(t *testing.T) {
	circle := []reply{{status: 302, header: "Location: " + wellKnownURL}}
	for name, tt := range map[string]struct {
		replies map[string][]reply
		want    Kind
	}{
		"well-known 500":          {map[string][]reply{wellKnownURL: {{status: 500}}}, KindTemporary},
		"well-known 403":          {map[string][]reply{wellKnownURL: {{status: 403}}}, KindInvalid},
		"no base_url":             {map[string][]reply{wellKnownURL: ok("{}")}, KindInvalid},
		"base_url over http":      {map[string][]reply{wellKnownURL: ok(`{"m.homeserver":{"base_url":"http://example.org"}}`)}, KindInvalid},
		"redirect in a circle":    {map[string][]reply{wellKnownURL: circle}, KindInvalid},
		"redirect to http":        {map[string][]reply{wellKnownURL: {{status: 302, header: "Location: http://127.0.0.1/x"}}}, KindInvalid},
		"redirect to nowhere":     {map[string][]reply{wellKnownURL: {{status: 302}}}, KindInvalid},
		"host is down":            {map[string][]reply{wellKnownURL: {{}}}, KindTemporary},
		"metadata 503":            {map[string][]reply{stableURL: {{status: 503}}}, KindTemporary},
		"issuer over http":        {map[string][]reply{stableURL: ok(strings.Replace(metaBody, "https://auth.example.org/\"", "http://auth.example.org/\"", 1))}, KindInvalid},
		"issuer with a query":     {map[string][]reply{stableURL: ok(strings.Replace(metaBody, "org/\"", "org/?x\"", 1))}, KindInvalid},
		"token with user info":    {map[string][]reply{stableURL: ok(strings.Replace(metaBody, "auth.example.org/token", "u:p@auth.example.org/token", 1))}, KindInvalid},
		"revocation: javascript":  {map[string][]reply{stableURL: ok(strings.Replace(metaBody, "https://auth.example.org/revoke", "javascript:x", 1))}, KindInvalid},
		"no token endpoint":       {map[string][]reply{stableURL: ok(`{"issuer":"https://auth.example.org/"}`)}, KindInvalid},
		"not a Matrix server":     {map[string][]reply{flowsURL: {{status: 404, body: "<html>"}}, stableURL: {{status: 404, body: "<html>"}}}, KindInvalid},
		"legacy login 503":        {map[string][]reply{flowsURL: {{status: 503, body: `{"errcode":"M_UNKNOWN"}`}}}, KindTemporary},
		"issuer of a 2024 server": {map[string][]reply{issuerURL: ok(`{"issuer":"http://auth.example.org/"}`)}, KindInvalid},
		"issuer endpoint 503":     {map[string][]reply{issuerURL: {{status: 503}}}, KindTemporary},
		"a homeserver without it": {map[string][]reply{flowsURL: ok(`{"flows":[{"type":"m.login.password"},{"type":"m.login.sso\u001b[0m"}]}`)}, KindUnsupported},
	} {
		sc := &script{replies: tt.replies}
		_, err := sc.agent().Discover(t.Context(), "example.org")
		wantKind(t, name, err, tt.want)
	}
	for hops := range 8 {
		replies := map[string][]reply{wellKnownURL: {{status: 302, header: "Location: https://example.org/0"}}, stableURL: ok(metaBody)}
		for i := range hops {
			replies[fmt.Sprintf("https://example.org/%d", i)] = []reply{{status: 302, header: fmt.Sprintf("Location: /%d", i+1)}}
		}
		replies[fmt.Sprintf("https://example.org/%d", hops)] = ok(`{"m.homeserver":{"base_url":"https://example.org"}}`)
		_, err := (&script{replies: replies}).agent().Discover(t.Context(), "example.org")
		if (err == nil) != (hops+1 <= 5) {
			t.Errorf("%d redirects: %v", hops+1, err)
		}
	}
}

func TestLegacyNamesTheFlows(t *testing.T) {
	sc := &script{replies: map[string][]reply{flowsURL: ok(`{"flows":[{"type":"m.login.password"}]}`)}}
	_, err := sc.agent().Discover(t.Context(), "example.org")
	var legacy *LegacyError
	if !errors.As(err, &legacy) || len(legacy.Flows) != 1 || !strings.Contains(err.Error(), "m.login.password") || !strings.Contains(err.Error(), "administrator") {
		t.Error(err)
	}
}

func TestNameWithPort(t *testing.T) {
	sc := &script{replies: map[string][]reply{
		wellKnownURL: {{}}, "https://example.org:8448/_matrix/client/v1/auth_metadata": ok(metaBody),
	}}
	s, err := sc.agent().Discover(t.Context(), "example.org:8448")
	if err != nil || s.Homeserver != "https://example.org:8448" {
		t.Errorf("%v %q", err, s.Homeserver)
	}
	// Only where nothing answers is there a second place to look.
	for _, first := range []reply{{status: 500}, {status: 302, header: "Location: http://example.org/"}} {
		sc := &script{replies: map[string][]reply{wellKnownURL: {first}}}
		if _, err := sc.agent().Discover(t.Context(), "example.org:8448"); err == nil || len(sc.seen) != 1 {
			t.Errorf("%d: %v after %d requests", first.status, err, len(sc.seen))
		}
	}
}

func TestDiscoverGivesUpWithTheCaller(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := (&script{}).agent().Discover(ctx, "example.org"); !errors.Is(err, gone) {
		t.Error(err)
	}
}

func TestAccountActions(t *testing.T) {
	body := metaBody[:len(metaBody)-1] + `,"account_management_uri":"https://auth.example.org/account/","account_management_actions_supported":["org.matrix.profile","\u001b[0m","","` + strings.Repeat("x", 101) + `"]}`
	s, err := (&script{replies: map[string][]reply{stableURL: ok(body)}}).agent().Discover(t.Context(), "example.org")
	if err != nil || len(s.Actions) != 1 || s.Actions[0] != "org.matrix.profile" {
		t.Errorf("%v %q", err, s.Actions)
	}
}

// S3: the error names the hop that leads astray, and nothing of it is asked.
func TestDiscoverNamesTheHop(t *testing.T) {
	for location, want := range map[string]string{
		"http://example.org/x":                 "cdn.example.org redirects (302) to an address that is plain http",
		"http://127.0.0.1/x":                   "cdn.example.org redirects (302) to an address that is not https",
		"https://user:pw@example.org/":         "holds user information",
		"javascript:alert(1)":                  "is not an https URL",
		"//evil.test:0/":                       "has a malformed port",
		"https://example.org/x#y":              "holds a fragment",
		"":                                     "is not a URL",
		"https://cdn.example.org/":             "redirects in a circle",
		"\x1b[31m":                             "is not a URL",
		"https://" + strings.Repeat("a", 3000): "is longer than 2048",
	} {
		sc := &script{replies: map[string][]reply{
			wellKnownURL:               {{status: 301, header: "Location: https://cdn.example.org/"}},
			"https://cdn.example.org/": {{status: 302, header: "Location: " + location}},
		}}
		_, err := sc.agent().Discover(t.Context(), "example.org")
		wantKind(t, location, err, KindInvalid)
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", location, err)
		}
		if len(sc.seen) != 2 {
			t.Errorf("%q: %d requests", location, len(sc.seen))
		}
	}
}

// S7, S13: every address in the metadata is checked, and named if it is bad.
func TestMetadataAddresses(t *testing.T) {
	const good = `{"issuer":"https://auth.example.org/","token_endpoint":"https://auth.example.org/x","device_authorization_endpoint":"https://auth.example.org/x",
		"registration_endpoint":"https://auth.example.org/x","revocation_endpoint":"https://auth.example.org/x","authorization_endpoint":"https://auth.example.org/x",
		"userinfo_endpoint":"https://auth.example.org/x","account_management_uri":"https://auth.example.org/x"}`
	discover := func(members map[string]any) (Server, error) {
		body, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return (&script{replies: map[string][]reply{stableURL: ok(string(body))}}).agent().Discover(t.Context(), "example.org")
	}
	members := func() (m map[string]any) {
		if err := json.Unmarshal([]byte(good), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if _, err := discover(members()); err != nil {
		t.Fatalf("as it is: %v", err)
	}
	bad := []string{"http://auth.example.org/", "http://127.0.0.1.evil.test/", "file:///etc/passwd", "javascript:alert(1)", "//auth.example.org/", "auth.example.org",
		"https://u:p@auth.example.org/", "https:///x", "https://auth.example.org:0/", "https://auth.example.org:x/", "https://auth.example.org:65536/", "https://auth.example.org/#x",
		"https://auth.example.org/\r\nX: y", "https://auth.example.org/\u202e", "https://auth example.org/", "https://auth.example.org/" + strings.Repeat("x", 8<<10)}
	for name := range members() {
		more := []string{}
		if name == "issuer" {
			more = []string{"", "https://auth.example.org/?tenant=1", "https://auth.example.org/?"}
		}
		for _, address := range append(more, bad...) {
			m := members()
			m[name] = address
			_, err := discover(m)
			wantKind(t, name+" "+address, err, KindInvalid)
			if err != nil && (!strings.Contains(err.Error(), strings.TrimSuffix(name, "_uri")) || strings.Contains(err.Error(), "passwd")) {
				t.Errorf("%s: the error does not name it, or repeats the address: %v", name, err)
			}
		}
		m := members()
		m[name] = 5
		_, err := discover(m)
		wantKind(t, name+" is a number", err, KindInvalid)
	}
}

// S11: what a server does not offer is said, with what an administrator can do.
func TestCheckDeviceLogin(t *testing.T) {
	for name, tt := range map[string]struct {
		drop       func(*Server)
		registered bool
		want       string // "" if the login can be
	}{
		"all there":                     {func(*Server) {}, false, ""},
		"no device endpoint":            {func(s *Server) { s.Device = "" }, false, "does not offer device login"},
		"no registration":               {func(s *Server) { s.Registration = "" }, false, "does not let programs register"},
		"no registration, --client-id":  {func(s *Server) { s.Registration = "" }, true, ""},
		"no device endpoint, client-id": {func(s *Server) { s.Device = "" }, true, "does not offer device login"},
	} {
		s := testServer()
		tt.drop(&s)
		sc := &script{replies: map[string][]reply{asURL + "register": ok(`{"client_id":"c"}`), asURL + "device": ok(codeBody)}}
		c := Client{}
		if tt.registered {
			c.ID = "given"
		}
		_, _, err := sc.agent().Begin(t.Context(), s, c, Registration{}, Request{Scope: ScopeAPI})
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantKind(t, name, err, KindUnsupported)
		if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "administrator") || len(sc.seen) != 0 {
			t.Errorf("%s: %v, after %d requests", name, err, len(sc.seen))
		}
	}
}

func TestDiscoverIssuer(t *testing.T) {
	const address = "https://id.example.org/realms/demo"
	body := strings.Replace(metaBody, asURL+`"`, address+`"`, 1)
	for issuer, want := range map[string]Kind{
		address: KindBug, address + "/": KindBug,
		"http://id.example.org/": KindUsage, address + "?x": KindUsage, "id.example.org": KindUsage, "": KindUsage,
		"https://id.example.org/realms/other": KindInvalid,
	} {
		sc := &script{replies: map[string][]reply{
			address + "/.well-known/openid-configuration":                          ok(body),
			"https://id.example.org/realms/other/.well-known/openid-configuration": ok(body),
		}}
		s, err := sc.agent().DiscoverIssuer(t.Context(), issuer)
		if want != KindBug {
			wantKind(t, issuer, err, want)
		} else if err != nil || s.Name != "id.example.org/realms/demo" || s.Matrix() || s.Issuer != address {
			t.Errorf("%q: %v, %+v", issuer, err, s)
		}
	}
}
