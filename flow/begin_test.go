package flow

import (
	"errors"
	"strings"
	"testing"
)

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
		"S21 no client_id":                 {ok(`{}`), nil, 1, KindInvalid},
		"S23 client_id with CRLF":          {ok(`{"client_id":"a\r\nb"}`), nil, 1, KindInvalid},
		"S23 client_id with NUL":           {ok(`{"client_id":"a\u0000b"}`), nil, 1, KindInvalid},
		"S23 client_id of 512 KiB":         {ok(`{"client_id":"` + strings.Repeat("a", 1<<19) + `"}`), nil, 1, KindInvalid},
		"S23 client_id of 1 MiB":           {ok(`{"client_id":"` + strings.Repeat("a", 1<<20) + `"}`), nil, 1, KindInvalid},
		"S23 client_id is a number":        {ok(`{"client_id":7}`), nil, 1, KindInvalid},
		"S22 registration: 429 in HTML":    {[]reply{{status: 429, header: "Retry-After: 7", body: "<h1>"}}, nil, 1, KindTemporary},
		"S22 registration is off":          {[]reply{{status: 404, header: "Content-Type: text/plain", body: "no"}}, nil, 1, KindRefused},
		"S22 Matrix error":                 {[]reply{{status: 403, body: `{"errcode":"M_FORBIDDEN","error":"initial token"}`}}, nil, 1, KindRefused},
		"S29 error with 200":               {ok(registered), ok(`{"error":"invalid_scope",` + codeBody[1:]), 1, KindRefused},
		"unknown client at once":           {ok(registered), []reply{{status: 401, body: `{"error":"invalid_client"}`}}, 1, KindRefused},
		"grant is off, and said":           {ok(registered), []reply{{status: 400, body: `{"error":"invalid_request","error_description":"The Device Authorization Grant is disabled on this server"}`}}, 1, KindRefused},
		"device_code with a newline":       {ok(registered), ok(strings.Replace(codeBody, `"dc"`, `"d\nc"`, 1)), 1, KindInvalid},
		"S24 user_code empty":              {ok(registered), ok(strings.Replace(codeBody, "ABC123", "", 1)), 1, KindInvalid},
		"S24 user_code with bidi":          {ok(registered), ok(strings.Replace(codeBody, "ABC123", "AB\u202eC", 1)), 1, KindInvalid},
		"S24 user_code with a blank":       {ok(registered), ok(strings.Replace(codeBody, "ABC123", "AB C", 1)), 1, KindInvalid},
		"S24 user_code in another script":  {ok(registered), ok(strings.Replace(codeBody, "ABC123", "АВС", 1)), 1, KindInvalid},
		"S26 verification_uri over http":   {ok(registered), ok(strings.Replace(codeBody, "https://auth", "http://auth", 1)), 1, KindInvalid},
		"S26 verification_uri missing":     {ok(registered), ok(strings.Replace(codeBody, "verification_uri", "x", 1)), 1, KindInvalid},
		"S26 public suffix in common":      {ok(registered), ok(strings.Replace(codeBody, "https://auth.example.org", "https://example.com", 1)), 1, KindInvalid},
		"S24 device_code empty":            {ok(registered), ok(strings.Replace(codeBody, `"dc"`, `""`, 1)), 1, KindInvalid},
		"S24 user_code with ESC":           {ok(registered), ok(strings.Replace(codeBody, "ABC123", `A\u001b[0m`, 1)), 1, KindInvalid},
		"S24 user_code of 500":             {ok(registered), ok(strings.Replace(codeBody, "ABC123", strings.Repeat("A", 500), 1)), 1, KindInvalid},
		"S26 verification_uri: javascript": {ok(registered), ok(strings.Replace(codeBody, "https://auth.example.org/link", "javascript:x", 1)), 1, KindInvalid},
		"S26 verification_uri elsewhere":   {ok(registered), ok(strings.Replace(codeBody, "https://auth.example.org/link", "https://evil.test/link", 1)), 1, KindInvalid},
		"verification_uri of a sibling":    {ok(registered), ok(strings.Replace(codeBody, "https://auth.example.org/link", "https://account.example.org/link", 1)), 1, KindBug},
		"S19 expires_in missing":           {ok(registered), ok(strings.Replace(codeBody, "expires_in", "x", 1)), 1, KindInvalid},
		"S17 interval is prose":            {ok(registered), ok(strings.Replace(codeBody, `"interval":5`, `"interval":"soon"`, 1)), 1, KindInvalid},
		"S17 interval of 3.5":              {ok(registered), ok(strings.Replace(codeBody, `"interval":5`, `"interval":3.5`, 1)), 1, KindInvalid},
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
		if n := sc.count(asURL + "device"); name == "grant is off" && n != 1 { // the same client came back
			t.Errorf("%s: %d codes asked for", name, n)
		}
	}
}

func TestCompleteURI(t *testing.T) {
	// S27: one that leads elsewhere, or hides another code, is as good as none.
	for complete, kept := range map[string]bool{
		"https://auth.example.org/link?code=ABC123":                              true,
		"https://auth.example.org/link?code=OTHER":                               false,
		"https://evil.test/link?code=ABC123":                                     false,
		"http://auth.example.org/link?code=ABC123":                               false,
		"https://auth.example.org/link?code=ABC123#":                             false,
		"https://auth.example.org:444/link?code=ABC123":                          false,
		"https://u@auth.example.org/link?code=ABC123":                            false,
		"javascript:alert('ABC123')":                                             false,
		"https://auth.example.org/link?code=ABC123" + strings.Repeat("x", 4<<10): false, // S28
	} {
		sc := &script{replies: map[string][]reply{asURL + "device": ok(strings.TrimSuffix(codeBody, "}") + `,"verification_uri_complete":"` + complete + `"}`)}}
		c, err := start(t, sc)
		if err != nil || (c.Link() == complete) != kept {
			t.Errorf("%s: link %q, %v", complete, c.Link(), err)
		}
	}
}

// S26: a person who was shown both sites may go on.
func TestOtherSite(t *testing.T) {
	sc := &script{replies: map[string][]reply{asURL + "device": ok(strings.Replace(codeBody, asURL, "https://login.example.com/", 1))}}
	want := Request{Scope: ScopeAPI}
	_, err := sc.agent().Start(t.Context(), testServer(), Client{ID: "cid"}, want)
	var other *SiteError
	if !errors.As(err, &other) || other.Page != "https://login.example.com/link" || other.Issuer != asURL {
		t.Fatalf("%v", err)
	}
	want.OtherSite = other.Host()
	c, err := sc.agent().Start(t.Context(), testServer(), Client{ID: "cid"}, want)
	if err != nil || c.VerificationURI != other.Page {
		t.Errorf("%v, %q", err, c.VerificationURI)
	}
	sc.replies[asURL+"device"] = ok(strings.Replace(codeBody, asURL, "https://evil.example.com/", 1))
	_, err = sc.agent().Start(t.Context(), testServer(), Client{ID: "cid"}, want)
	wantKind(t, "another one than was agreed to", err, KindInvalid)
	sc.replies[asURL+"device"] = ok(strings.Replace(codeBody, asURL, "http://login.example.com/", 1))
	_, err = sc.agent().Start(t.Context(), testServer(), Client{ID: "cid"}, want)
	wantKind(t, "over http", err, KindInvalid)
}

// An address has no owner in common with another.
func TestOtherSiteOfAddresses(t *testing.T) {
	for page, fine := range map[string]bool{"https://192.0.2.1/": true, "https://192.0.2.9/": false, "https://box/": false} {
		s := Server{Issuer: "https://192.0.2.1/", Device: "https://192.0.2.1/device"}
		sc := &script{replies: map[string][]reply{s.Device: ok(strings.Replace(codeBody, asURL+"link", page, 1))}}
		_, err := sc.agent().Start(t.Context(), s, Client{ID: "cid"}, Request{})
		if fine && err != nil {
			t.Errorf("%s: %v", page, err)
		} else if !fine {
			wantKind(t, page, err, KindInvalid)
		}
		if sc.seen[0].form.Has("scope") {
			t.Errorf("an empty scope was sent: %v", sc.seen[0].form)
		}
	}
}

// S21: the server decides how the client authenticates.
func TestRegisteredClient(t *testing.T) {
	for body, want := range map[string]Client{
		`{"client_id":"c"}`: {ID: "c"},
		`{"client_id":"c","token_endpoint_auth_method":"none"}`:                                         {ID: "c"},
		`{"client_id":"c","token_endpoint_auth_method":"none","client_secret":"s3cret"}`:                {ID: "c"},
		`{"client_id":"c","client_secret":"s3cret"}`:                                                    {ID: "c", Secret: NewSecret("s3cret"), Basic: true},
		`{"client_id":"c","token_endpoint_auth_method":"client_secret_basic","client_secret":"s3cret"}`: {ID: "c", Secret: NewSecret("s3cret"), Basic: true},
		`{"client_id":"c","token_endpoint_auth_method":"client_secret_post","client_secret":"s3cret"}`:  {ID: "c", Secret: NewSecret("s3cret")},
	} {
		sc := &script{replies: map[string][]reply{asURL + "register": {{status: 201, body: body}}}}
		c, err := sc.agent().Register(t.Context(), testServer(), Registration{InitialToken: NewSecret("initial")})
		if err != nil || c.ID != want.ID || !c.Secret.Equal(want.Secret) || c.Basic != want.Basic {
			t.Errorf("%s: %v, %+v", body, err, c)
		}
		if sc.seen[0].bearer != "Bearer initial" || sc.seen[0].agent != "mxauth/1.2.3" {
			t.Errorf("sent %+v", sc.seen[0])
		}
	}
	for body, want := range map[string]Kind{
		`{"client_id":"c","token_endpoint_auth_method":"private_key_jwt"}`:                            KindUnsupported,
		`{"client_id":"c","token_endpoint_auth_method":"client_secret_jwt","client_secret":"s3cret"}`: KindUnsupported,
		`{"client_id":"c","token_endpoint_auth_method":"client_secret_post"}`:                         KindInvalid,
		`{"client_id":"c","client_secret":"s3\ncret"}`:                                                KindInvalid,
	} {
		sc := &script{replies: map[string][]reply{asURL + "register": {{status: 201, body: body}}}}
		_, err := sc.agent().Register(t.Context(), testServer(), Registration{})
		wantKind(t, body, err, want)
	}
}

// A client secret goes where the registration says, and nowhere else.
func TestClientSecretOnTheWire(t *testing.T) {
	for name, tt := range map[string]struct {
		client       Client
		header, form string
	}{
		"public": {Client{ID: "c+1"}, "", ""},
		"basic":  {Client{ID: "c+1", Secret: NewSecret("a b"), Basic: true}, "Basic YyUyQjE6YSti", ""},
		"post":   {Client{ID: "c+1", Secret: NewSecret("a b")}, "", "a b"},
	} {
		s := testSession()
		s.Client = tt.client
		sc := &script{replies: map[string][]reply{asURL + "token": ok(tokenBody)}}
		if _, err := sc.agent().Refresh(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		got := sc.seen[0]
		if got.form.Get("client_id") != "c+1" || got.form.Get("client_secret") != tt.form || got.bearer != tt.header {
			t.Errorf("%s: %v, %q", name, got.form, got.bearer)
		}
	}
}
