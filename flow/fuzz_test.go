package flow

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"https://example.org/a?b", "http://127.0.0.1:8008", "http://localhost", "https://u:p@h", "https://[::1]:1/", "http://127.0.0.1.evil", "https://a\\@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseAddress(s)
		if err != nil {
			return
		}
		again, err := ParseAddress(u.String())
		if err != nil || again.Host != u.Host || again.Scheme != u.Scheme {
			t.Errorf("%q reads differently the second time: %v, %v", s, again, err)
		}
		if u.Scheme != "https" && !Loopback(u.Hostname()) {
			t.Errorf("%q leaves this machine in the clear", s)
		}
		if u.User != nil || u.Fragment != "" || strings.ContainsAny(u.Host, " \t\r\n/\\@?#") {
			t.Errorf("%q: host %q", s, u.Host)
		}
		if _, err := http.NewRequest(http.MethodGet, u.String(), nil); err != nil {
			t.Errorf("%q makes no request: %v", s, err)
		}
	})
}

func FuzzParsePlace(f *testing.F) {
	for _, s := range []string{"matrix.org", "example.org:8448", "@alice:example.org", "https://hs.example.org/", "[::1]:1", "@a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlace(s)
		if err != nil {
			if KindOf(err) != KindUsage || strings.ContainsFunc(err.Error(), hidden) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		for _, address := range append(p.hosts, p.base) {
			if _, err := ParseAddress(address); err != nil {
				t.Errorf("%q leads to %q, which %v", s, address, err)
			}
		}
	})
}

// FuzzAnswers feeds one body to every parser of an answer.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{metaBody, tokenBody, codeBody, pendBody, `{"error":{"a":1}}`, `{"errcode":"M_X"}`, "null", "[]", ""} {
		f.Add(200, s)
		f.Add(400, s)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		for op := opDiscover; op <= opIdentity; op++ {
			a := answer{op: op, host: "example.org", status: status, header: http.Header{}, body: []byte(body), whole: true}
			a.readError()
			v := judge(a)
			if v == success {
				if tok, _, err := readTokens(a, time.Now()); err == nil && !printable(tok.AccessToken, tokenMax) {
					t.Errorf("token %q was believed", tok.AccessToken)
				}
				if c, err := readCode(a, testServer(), Request{}, time.Now()); err == nil && !goodUserCode(c.UserCode) {
					t.Errorf("code %q was believed", c.UserCode)
				}
				if c, err := readClient(a); err == nil && !printable(c.ID, 512) {
					t.Errorf("client %q was believed", c.ID)
				}
				doc := metadata{from: a}
				if a.decode(&doc) == nil {
					if s, err := doc.server(); err == nil {
						if _, err := url.Parse(s.Token); err != nil {
							t.Error(err)
						}
					}
				}
			}
			if e := a.refusal(v); strings.ContainsFunc(e.Error(), hidden) {
				t.Errorf("%q", e.Error())
			}
		}
	})
}
