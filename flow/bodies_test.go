package flow

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf16"
)

// endpoints are the requests whose answers are read, each with an answer that is
// good. A call returns the error that it ended with.
func endpoints() []struct {
	name string
	good string
	bad  Kind // of an answer that cannot be read
	call func(t *testing.T, answer reply) error
} {
	answered := func(address string, answer reply) *script {
		sc := &script{replies: map[string][]reply{stableURL: ok(metaBody)}}
		sc.replies[address] = []reply{answer}
		return sc
	}
	return []struct {
		name string
		good string
		bad  Kind
		call func(t *testing.T, answer reply) error
	}{
		{"well-known", `{"m.homeserver":{"base_url":"https://example.org"}}`, KindInvalid, func(t *testing.T, answer reply) error {
			_, err := answered(wellKnownURL, answer).agent().Discover(t.Context(), "example.org")
			return err
		}},
		{"metadata", metaBody, KindInvalid, func(t *testing.T, answer reply) error {
			_, err := answered(stableURL, answer).agent().Discover(t.Context(), "example.org")
			return err
		}},
		{"issuer's metadata", metaBody, KindInvalid, func(t *testing.T, answer reply) error {
			_, err := answered(openidURL, answer).agent().DiscoverIssuer(t.Context(), asURL)
			return err
		}},
		{"registration", `{"client_id":"c1"}`, KindInvalid, func(t *testing.T, answer reply) error {
			_, err := answered(asURL+"register", answer).agent().Register(t.Context(), testServer(), Registration{})
			return err
		}},
		{"code", codeBody, KindInvalid, func(t *testing.T, answer reply) error {
			_, err := start(t, answered(asURL+"device", answer))
			return err
		}},
		{"poll", tokenBody, KindInvalid, func(t *testing.T, answer reply) error {
			_, _, _, err := poll(t, codeBody, answer)
			return err
		}},
		{"refresh", tokenBody, KindTemporary, func(t *testing.T, answer reply) (err error) {
			synctest.Test(t, func(t *testing.T) {
				_, err = answered(asURL+"token", answer).agent().Refresh(t.Context(), testSession())
			})
			return err
		}},
		{"whoami", `{"user_id":"@alice:example.org"}`, KindInvalid, func(t *testing.T, answer reply) error {
			_, err := answered("https://example.org/_matrix/client/v3/account/whoami", answer).agent().WhoAmI(t.Context(), testSession())
			return err
		}},
		{"userinfo", `{"sub":"alice"}`, KindInvalid, func(t *testing.T, answer reply) error {
			s := testSession()
			s.Server.Homeserver, s.Server.Userinfo, s.Scope = "", asURL+"userinfo", "openid"
			_, err := answered(asURL+"userinfo", answer).agent().WhoAmI(t.Context(), s)
			return err
		}},
	}
}

// S14, S15: what is no JSON object, or one that can be read in two ways.
func TestUnreadableAnswers(t *testing.T) {
	wide := func(s string) string { // UTF-16
		var b []byte
		for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return string(b)
	}
	deep := func(open, end string) string { return strings.Repeat(open, 100_000) + strings.Repeat(end, 100_000) }
	for name, spoil := range map[string]func(good string) string{
		"S14 HTML":                func(string) string { return "<!doctype html><title>Welcome to the hotel</title>" },
		"S14 empty":               func(string) string { return "" },
		"S15 null":                func(string) string { return "null" },
		"S15 array":               func(good string) string { return "[" + good + "]" },
		"S15 string":              func(string) string { return `"ok"` },
		"S15 number":              func(string) string { return "1" },
		"S15 duplicate names":     func(good string) string { return strings.TrimSuffix(good, "}") + "," + good[1:] },
		"S15 duplicate elsewhere": func(good string) string { return `{"x":{"a":1,"a":2},` + good[1:] },
		"S15 trailing data":       func(good string) string { return good + "{}" },
		"S15 deep objects":        func(string) string { return deep(`{"a":`, "}") },
		"S15 deep arrays inside":  func(good string) string { return `{"x":` + deep("[", "]") + "," + good[1:] },
		"S15 BOM":                 func(good string) string { return "\ufeff" + good },
		"S15 UTF-16":              wide,
		"S15 bad UTF-8":           func(good string) string { return "{\"x\":\"\xff\"," + good[1:] },
		"S15 lone surrogate":      func(good string) string { return `{"x":"\ud800",` + good[1:] },
		"S15 NUL":                 func(good string) string { return good + "\x00" },
		"S15 cut":                 func(good string) string { return good[:len(good)-1] },
		"S15 comment":             func(good string) string { return "/* */" + good },
	} {
		for _, e := range endpoints() {
			wantKind(t, name+", "+e.name, e.call(t, reply{status: 200, body: spoil(e.good)}), e.bad)
		}
	}
	for _, e := range endpoints() {
		if err := e.call(t, reply{status: 200, body: e.good}); err != nil {
			t.Errorf("%s, as it is: %v", e.name, err)
		}
		// Members that nobody knows, and names in another case, count for nothing.
		more := `{"x":[{"y":null}],"ISSUER":1,"Client_ID":2,"ACCESS_TOKEN":3,"Error":"no","USER_ID":4,"SUB":5,` + e.good[1:]
		if err := e.call(t, reply{status: 200, body: " \r\n" + more + "\n"}); err != nil {
			t.Errorf("%s, with more members: %v", e.name, err)
		}
	}
}

// A redirect is never followed where something secret goes along.
func TestRedirectsWithCredentials(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, e := range endpoints()[3:] {
			err := e.call(t, reply{status: status, header: "Location: https://evil.test/", body: e.good})
			wantKind(t, e.name, err, KindInvalid)
		}
	}
}

// Servers that are down or busy are worth another try, wherever it happens.
func TestPassingStatuses(t *testing.T) {
	for _, status := range []int{408, 425, 429, 500, 502, 503, 504, 599} {
		for _, e := range endpoints() {
			want := KindTemporary
			if e.name == "poll" {
				want = KindExpired // it was tried until the code ran out
			}
			wantKind(t, e.name, e.call(t, reply{status: status, body: "<h1>sorry</h1>"}), want)
		}
	}
}
