package flow

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// A parrot gives every request the same answer.
type parrot struct {
	status int
	body   string
}

func (p parrot) RoundTrip(req *http.Request) (*http.Response, error) {
	return reply{status: p.status, body: p.body}.response(req)
}

func (p parrot) agent() *Agent { return &Agent{HTTP: &http.Client{Transport: p}} }

// fuzzAnswer runs f with every status and body, and looks at the error that comes
// of it. Statuses are the 1xx to 5xx that HTTP has.
func fuzzAnswer(f *testing.F, bodies []string, read func(t *testing.T, p parrot) error) {
	for _, s := range append(bodies, "", "null", "[]", "{", `{"error":"x"}`, `{"errcode":"M_X","error":"\u001b[31m"}`, `{"error":{"a":1}}`, "\ufeff{}", "<html>") {
		for _, status := range []int{200, 201, 302, 400, 403, 404, 429, 500} {
			f.Add(status, s)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip()
		}
		fit(t, read(t, parrot{status, body}))
	})
}

// fit checks that an error can be shown and classified.
func fit(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var e *Error
	if !errors.As(err, &e) || e.Kind == KindBug || e.Kind == KindUsage {
		t.Errorf("an answer led to %v (%T)", err, err)
	}
	if strings.ContainsFunc(err.Error(), unsafeRune) || len(err.Error()) > 4*saidMax+400 {
		t.Errorf("not fit to be shown: %q", err.Error())
	}
}

// believed checks addresses that came from a server.
func believed(t *testing.T, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		if _, err := ParseAddress(a); a != "" && err != nil {
			t.Errorf("%q was believed: it %v", a, err)
		}
	}
}

// FuzzWellKnown reads .well-known/matrix/client.
func FuzzWellKnown(f *testing.F) {
	fuzzAnswer(f, []string{`{"m.homeserver":{"base_url":"https://hs.example.org/"}}`, `{"m.homeserver":{"base_url":"https://a/?b"},"org.matrix.msc2965.authentication":{"issuer":"https://i/"}}`, `{"m.homeserver":[]}`},
		func(t *testing.T, p parrot) error {
			place, err := parsePlace("example.org")
			if err != nil {
				t.Fatal(err)
			}
			l, err := p.agent().wellKnown(t.Context(), place)
			if err == nil {
				believed(t, l.base, l.base+"/_matrix/client/v3/login")
				if l.base == "" {
					t.Errorf("%q names no homeserver", p.body)
				}
			}
			return err
		})
}

// FuzzMetadata reads the metadata of an authorization server.
func FuzzMetadata(f *testing.F) {
	fuzzAnswer(f, []string{metaBody, `{"issuer":"https://a?b","token_endpoint":"https://a"}`, `{"issuer":"https://a","token_endpoint":"http://a","account_management_actions_supported":["x\u0007"]}`},
		func(t *testing.T, p parrot) error {
			s, err := p.agent().DiscoverIssuer(t.Context(), asURL)
			if err != nil {
				return err
			}
			believed(t, s.Issuer, s.Token, s.Device, s.Registration, s.Revocation, s.Authorization, s.Userinfo, s.Account)
			if s.Token == "" || s.Issuer == "" || slices.ContainsFunc(s.Actions, func(a string) bool { return !printable(a, 100) }) {
				t.Errorf("%+v was believed", s)
			}
			return nil
		})
}

// FuzzRegistration reads the answer to a registration.
func FuzzRegistration(f *testing.F) {
	fuzzAnswer(f, []string{`{"client_id":"c1"}`, `{"client_id":"c1","client_secret":"s e"}`, `{"client_id":"c","token_endpoint_auth_method":"private_key_jwt\u001b"}`, `{"client_id":"\u0000"}`, `{"error":"invalid_client_metadata"}`},
		func(t *testing.T, p parrot) error {
			c, err := p.agent().Register(t.Context(), testServer(), Registration{InitialToken: NewSecret("ini_canary99")})
			if err == nil && (!printable(c.ID, 512) || !c.Secret.Empty() && !printable(c.Secret.Reveal(), 1024) || c.Basic && c.Secret.Empty()) {
				t.Errorf("client %q was believed", c.ID)
			}
			return err
		})
}

// FuzzDeviceCode reads the answer to a request for a code.
func FuzzDeviceCode(f *testing.F) {
	fuzzAnswer(f, []string{codeBody, `{"device_code":"d","user_code":"A-1","verification_uri":"https://auth.example.org/l","verification_uri_complete":"https://auth.example.org/l?c=A1","expires_in":"1e3","interval":9223372037}`,
		`{"device_code":"d","user_code":"A","verification_uri":"https://evil.example/","expires_in":5}`, `{"device_code":"d","user_code":"A","verification_uri":"https://auth.example.org:443","verification_uri_complete":"https://auth.example.org/A","expires_in":1,"interval":-1}`},
		func(t *testing.T, p parrot) error {
			before := time.Now()
			c, err := p.agent().Start(t.Context(), testServer(), Client{ID: "cid"}, Request{Scope: ScopeAPI})
			if err != nil {
				return err
			}
			if !goodUserCode(c.UserCode) || !printable(c.deviceCode.Reveal(), tokenMax) || !related(c.VerificationURI, testServer()) {
				t.Errorf("%+v was believed", c)
			}
			believed(t, c.VerificationURI, c.VerificationURIComplete)
			if c.Interval < intervalMin || c.Interval > intervalMax || c.Expiry.Before(before) || c.Expiry.After(time.Now().Add(codeLifeMax)) {
				t.Errorf("polls every %v until %v", c.Interval, c.Expiry)
			}
			if c.VerificationURIComplete != "" && !sameOrigin(c.VerificationURIComplete, c.VerificationURI) {
				t.Errorf("the QR code leads to %q, the text to %q", c.VerificationURIComplete, c.VerificationURI)
			}
			return nil
		})
}

// FuzzToken reads the answer to a refresh. A session ends by three codes alone,
// and no token with a character that could end a header is taken.
func FuzzToken(f *testing.F) {
	fuzzAnswer(f, []string{tokenBody, `{"access_token":"a b","token_type":"bearer"}`, `{"access_token":"a","token_type":"mac"}`, `{"access_token":"a","token_type":"Bearer","expires_in":1e400,"scope":"x"}`,
		`{"error":"invalid_grant"}`, `{"error":"invalid_client","errcode":"M_X"}`, `{"error":"invalid_grant","access_token":"a"}`, `{"ACCESS_TOKEN":"a","access_token":"b"}`, `{"access_token":"a","access_token":"b"}`},
		func(t *testing.T, p parrot) error {
			old := testSession()
			s, err := p.agent().refreshOnce(t.Context(), old)
			if KindOf(err) == KindEnded {
				var e struct{ Error, ErrCode any }
				if json.Unmarshal([]byte(p.body), &e) != nil || !slices.Contains([]any{"invalid_grant", "invalid_client", "unauthorized_client"}, e.Error) {
					t.Errorf("%d %q ended the session", p.status, p.body)
				}
			}
			if err != nil {
				return err
			}
			if !goodToken(s.AccessToken.Reveal()) || !goodToken(s.RefreshToken.Reveal()) || p.status > 299 {
				t.Errorf("%d %q gave a session", p.status, p.body)
			}
			if s.Expiry.After(time.Now().Add(lifetimeMax * time.Second)) {
				t.Errorf("lives until %v", s.Expiry)
			}
			if more, _ := CompareScopes(old.Scope, s.Scope); len(more) > 0 {
				t.Errorf("the scope grew to %q", s.Scope)
			}
			return nil
		})
}

// FuzzIdentity reads whoami and userinfo.
func FuzzIdentity(f *testing.F) {
	fuzzAnswer(f, []string{`{"user_id":"@alice:example.org","device_id":"X"}`, `{"user_id":"alice"}`, `{"sub":"s","username":"\u202ea"}`, `{"errcode":"M_USER_LOCKED","soft_logout":true}`},
		func(t *testing.T, p parrot) error {
			s := testSession()
			id, err := p.agent().WhoAmI(t.Context(), s)
			fit(t, err)
			if err == nil && !goodUserID(id.UserID) {
				t.Errorf("%q was believed", id.UserID)
			}
			s.Scope, s.Server.Userinfo = "openid", asURL+"userinfo"
			id, err = p.agent().WhoAmI(t.Context(), s)
			if err == nil && (!printable(id.UserID, 255) || strings.ContainsFunc(id.Name, unsafeRune)) {
				t.Errorf("%+v was believed", id)
			}
			return err
		})
}

// FuzzErrorBody reads every error that any request can be answered with. What
// was sent is not repeated.
func FuzzErrorBody(f *testing.F) {
	for _, s := range []string{pendBody, `{"error":"slow_down","error_description":"you sent mar_canary99"}`, `{"error":"mar_canary99"}`, `{"errcode":"mar_canary99","error":"x"}`, `{"error":{"mar_canary99":1}}`, `{"error":"X","error_description":"mar\u200b_canary99"}`, "mar_canary99"} {
		f.Add(400, s, "")
		f.Add(503, s, "5")
	}
	const canary = "mar_canary99"
	f.Fuzz(func(t *testing.T, status int, body, after string) {
		for op := opDiscover; op <= opIdentity; op++ {
			a := answer{op: op, host: "example.org", status: status, header: http.Header{"Retry-After": {after}}, body: []byte(body), whole: true, secret: []Secret{NewSecret(canary)}}
			a.readError()
			if a.code != "" && !codeLike(a.code) {
				t.Errorf("%q was taken for a code", a.code)
			}
			e := a.refusal(judge(a))
			fit(t, e)
			if strings.Contains(e.Error()+e.Code+e.Said, canary) {
				t.Errorf("the secret shows: %v", e)
			}
		}
	})
}

// FuzzDecode: an answer that is believed is UTF-8 and says nothing twice, by the
// standard library's reading, and is not nested without a bound.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{tokenBody, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"b":{"a":1,"a":2}}`, `{"b":[{"a":1,"a":1}]}`, `{} {}`, "{\"a\":\"\xff\"}", `{"a":` + strings.Repeat("[", 20_000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		ans, err := parrot{200, body}.agent().get(t.Context(), opDiscover, asURL, Secret{})
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			A any `json:"access_token"`
		}
		if err := ans.decode(&v); err != nil {
			fit(t, err)
			return
		}
		if !utf8.ValidString(body) {
			t.Errorf("%q is no UTF-8", body)
		}
		d := json.NewDecoder(strings.NewReader(body))
		if err := nothingTwice(d, 0); err != nil {
			t.Errorf("%q was believed: %v", body, err)
		}
		if _, err := d.Token(); err != io.EOF {
			t.Errorf("%q has something behind it", body)
		}
	})
}

// nothingTwice walks over one value.
func nothingTwice(d *json.Decoder, depth int) error {
	if depth > 10_000 {
		return errors.New("too deep")
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	opened, _ := token.(json.Delim)
	if opened != '{' && opened != '[' {
		return nil
	}
	names := map[string]bool{}
	for d.More() {
		if opened == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if s, _ := name.(string); names[s] {
				return errors.New("twice: " + s)
			} else {
				names[s] = true
			}
		}
		if err := nothingTwice(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// A tap is a body of n bytes that counts what is taken from it.
type tap struct {
	piece []byte
	left  int
	taken int
}

func (b *tap) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), b.left, len(b.piece))
	copy(p[:n], b.piece)
	b.left -= n
	b.taken += n
	return n, nil
}

func (b *tap) Close() error { return nil }

// FuzzReader: whatever comes, from the wire or in a body, one request reads at
// most 1 MiB and a byte, and is over in time.
func FuzzReader(f *testing.F) {
	f.Add([]byte("x"), uint32(2<<20), uint16(0))
	f.Add([]byte(`{"a":1}`), uint32(7), uint16(10))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}"), uint32(40), uint16(300))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}   \r\n0\r\n\r\n"), uint32(1<<20), uint16(0))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\n"), uint32(5000), uint16(60_000))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b"), uint32(60), uint16(1))
	f.Fuzz(func(t *testing.T, piece []byte, size uint32, pause uint16) {
		if len(piece) == 0 {
			t.Skip()
		}
		body := &tap{piece: piece, left: int(size % (3 << 20))}
		size = uint32(body.left)
		a := &Agent{HTTP: &http.Client{Transport: bodyOnly{body}}}
		ans, err := a.get(t.Context(), opDiscover, asURL, Secret{})
		if err != nil || body.taken > bodyMax+1 || len(ans.body) > bodyMax+1 || ans.whole != (size <= bodyMax) {
			t.Errorf("%d of %d bytes were read, %d kept, whole: %v, %v", body.taken, size, len(ans.body), ans.whole, err)
		}
		if !ans.whole && ans.decode(&struct{}{}) == nil {
			t.Error("a piece of an answer was believed")
		}
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			s := &rawServer{answers: []func(io.Writer){dripping(piece, pause)}}
			ans, err := s.agent(t).get(t.Context(), opDiscover, asURL, Secret{})
			if took := time.Since(begun); took > requestTimeout {
				t.Errorf("it took %v", took)
			}
			if len(ans.body) > bodyMax+1 {
				t.Errorf("%d bytes were kept", len(ans.body))
			}
			fit(t, err)
		})
	})
}

type bodyOnly struct{ body io.ReadCloser }

func (b bodyOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: b.body, Request: req}, nil
}

// dripping sends eight bytes at a time, with pauses in milliseconds.
func dripping(raw []byte, pause uint16) func(io.Writer) {
	return func(w io.Writer) {
		for piece := range slices.Chunk(raw, 8) {
			if _, err := w.Write(piece); err != nil {
				return
			}
			time.Sleep(time.Duration(pause) * time.Millisecond)
		}
	}
}
