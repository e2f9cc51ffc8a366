package flow

import (
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
		"well-known empty":        {map[string][]reply{wellKnownURL: ok("")}, KindInvalid},
		"well-known an array":     {map[string][]reply{wellKnownURL: ok("[]")}, KindInvalid},
		"well-known null":         {map[string][]reply{wellKnownURL: ok("null")}, KindInvalid},
		"well-known HTML":         {map[string][]reply{wellKnownURL: ok("<html>")}, KindInvalid},
		"no base_url":             {map[string][]reply{wellKnownURL: ok("{}")}, KindInvalid},
		"base_url over http":      {map[string][]reply{wellKnownURL: ok(`{"m.homeserver":{"base_url":"http://example.org"}}`)}, KindInvalid},
		"duplicate keys":          {map[string][]reply{wellKnownURL: ok(`{"m.homeserver":{"base_url":"https://a.org","base_url":"https://b.org"}}`)}, KindInvalid},
		"BOM":                     {map[string][]reply{wellKnownURL: ok("\ufeff{}")}, KindInvalid},
		"deep":                    {map[string][]reply{wellKnownURL: ok(strings.Repeat(`{"a":`, 100_000))}, KindInvalid},
		"10 MiB":                  {map[string][]reply{wellKnownURL: ok(strings.Repeat(" ", 10<<20))}, KindInvalid},
		"trailing data":           {map[string][]reply{wellKnownURL: ok(`{"m.homeserver":{"base_url":"https://example.org"}} {}`)}, KindInvalid},
		"redirect in a circle":    {map[string][]reply{wellKnownURL: circle}, KindInvalid},
		"redirect to http":        {map[string][]reply{wellKnownURL: {{status: 302, header: "Location: http://127.0.0.1/x"}}}, KindInvalid},
		"redirect to nowhere":     {map[string][]reply{wellKnownURL: {{status: 302}}}, KindInvalid},
		"host is down":            {map[string][]reply{wellKnownURL: {{}}}, KindTemporary},
		"metadata 503":            {map[string][]reply{stableURL: {{status: 503}}}, KindTemporary},
		"metadata HTML":           {map[string][]reply{stableURL: ok("<html>")}, KindInvalid},
		"issuer over http":        {map[string][]reply{stableURL: ok(strings.Replace(metaBody, "https://auth.example.org/\"", "http://auth.example.org/\"", 1))}, KindInvalid},
		"issuer with a query":     {map[string][]reply{stableURL: ok(strings.Replace(metaBody, "org/\"", "org/?x\"", 1))}, KindInvalid},
		"token with user info":    {map[string][]reply{stableURL: ok(strings.Replace(metaBody, "auth.example.org/token", "u:p@auth.example.org/token", 1))}, KindInvalid},
		"revocation: javascript":  {map[string][]reply{stableURL: ok(strings.Replace(metaBody, "https://auth.example.org/revoke", "javascript:x", 1))}, KindInvalid},
		"no token endpoint":       {map[string][]reply{stableURL: ok(`{"issuer":"https://auth.example.org/"}`)}, KindInvalid},
		"not a Matrix server":     {map[string][]reply{flowsURL: {{status: 404, body: "<html>"}}, stableURL: {{status: 404, body: "<html>"}}}, KindInvalid},
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
		if (err == nil) != (hops+1 <= redirectsMax) {
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
}

func TestBegin(t *testing.T) {
	registered := `{"client_id":"c1","grant_types":["authorization_code"]}`
	refused := reply{status: 401, body: `{"error":"unauthorized_client"}`}
	for name, tt := range map[string]struct {
		register, device []reply
		registrations    int
		want             Kind
	}{
		"usual":                            {ok(registered), ok(codeBody), 1, KindBug},
		"stale registration":               {[]reply{{status: 201, body: registered}, {status: 201, body: `{"client_id":"c2"}`}}, []reply{refused, {status: 200, body: codeBody}}, 2, KindBug},
		"grant is off":                     {ok(registered), []reply{refused}, 2, KindUnsupported},
		"registration refused":             {[]reply{{status: 400, body: `{"error":"invalid_client_metadata","error_description":"no\u001b"}`}}, nil, 1, KindRefused},
		"registration closed":              {[]reply{{status: 403, body: `{"error":"insufficient_scope"}`}}, nil, 1, KindRefused},
		"registration 429":                 {[]reply{{status: 429, body: `{"errcode":"M_LIMIT_EXCEEDED"}`}}, nil, 1, KindTemporary},
		"no client_id":                     {ok(`{}`), nil, 1, KindInvalid},
		"client_id with a newline":         {ok(`{"client_id":"a\nb"}`), nil, 1, KindInvalid},
		"client_id of 1 MiB":               {ok(`{"client_id":"` + strings.Repeat("a", 1<<19) + `"}`), nil, 1, KindInvalid},
		"code without a device_code":       {ok(registered), ok(strings.Replace(codeBody, `"dc"`, `""`, 1)), 1, KindInvalid},
		"user_code with an escape":         {ok(registered), ok(strings.Replace(codeBody, "ABC123", `A\u001b[0m`, 1)), 1, KindInvalid},
		"user_code of 500":                 {ok(registered), ok(strings.Replace(codeBody, "ABC123", strings.Repeat("A", 500), 1)), 1, KindInvalid},
		"verification_uri: javascript":     {ok(registered), ok(strings.Replace(codeBody, "https://auth.example.org/link", "javascript:x", 1)), 1, KindInvalid},
		"verification_uri elsewhere":       {ok(registered), ok(strings.Replace(codeBody, "https://auth.example.org/link", "https://evil.test/link", 1)), 1, KindInvalid},
		"verification_uri of a sibling":    {ok(registered), ok(strings.Replace(codeBody, "https://auth.example.org/link", "https://account.example.org/link", 1)), 1, KindBug},
		"expires_in missing":               {ok(registered), ok(strings.Replace(codeBody, "expires_in", "x", 1)), 1, KindInvalid},
		"expires_in negative":              {ok(registered), ok(strings.Replace(codeBody, "1200", "-5", 1)), 1, KindInvalid},
		"interval is prose":                {ok(registered), ok(strings.Replace(codeBody, `"interval":5`, `"interval":"soon"`, 1)), 1, KindInvalid},
		"bad scope at once (Continuwuity)": {ok(registered), []reply{{status: 400, body: `{"error":"invalid_grant"}`}}, 1, KindRefused},
	} {
		sc := &script{replies: map[string][]reply{asURL + "register": tt.register, asURL + "device": tt.device}}
		_, _, err := sc.agent().Begin(t.Context(), testServer(), Client{}, Registration{}, Request{Scope: ScopeAPI})
		if tt.want == KindBug && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if tt.want != KindBug {
			wantKind(t, name, err, tt.want)
		}
		if n := sc.count(asURL + "register"); n != tt.registrations {
			t.Errorf("%s: %d registrations", name, n)
		}
	}
}

func TestCompleteURI(t *testing.T) {
	for complete, kept := range map[string]bool{
		"https://auth.example.org/link?code=ABC123":  true,
		"https://auth.example.org/link?code=OTHER":   false,
		"https://evil.test/link?code=ABC123":         false,
		"http://auth.example.org/link?code=ABC123":   false,
		"https://auth.example.org/link?code=ABC123#": false,
	} {
		sc := &script{replies: map[string][]reply{asURL + "device": ok(strings.TrimSuffix(codeBody, "}") + `,"verification_uri_complete":"` + complete + `"}`)}}
		c, err := start(t, sc)
		if err != nil || (c.Link() == complete) != kept {
			t.Errorf("%s: link %q, %v", complete, c.Link(), err)
		}
	}
}
