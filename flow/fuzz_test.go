package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// The inputs under testdata/fuzz are those that broke something once.

// FuzzClean: the sanitiser lets nothing through that a terminal obeys or nobody
// sees.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[31mred\x1b]0;title\a", "a\u202eb", "x\r\ny", "\xff\xfe\xc3", "ㅤ⠀", "a \u2028 b", "\ue000\U000f0000", "e\u0301\u200d"} {
		f.Add(s, 20)
	}
	f.Fuzz(func(t *testing.T, s string, max int) {
		max &= 0xfff
		c := Clean(s, max)
		if again := Clean(c, max); again != c {
			t.Errorf("not idempotent: %q, %q", c, again)
		}
		if n := utf8.RuneCountInString(c); n > max || !utf8.ValidString(c) {
			t.Errorf("%d characters of %d, valid %v: %q", n, max, utf8.ValidString(c), c)
		}
		if strings.Contains(c, "  ") || strings.TrimSpace(c) != c {
			t.Errorf("blanks are left over: %q", c)
		}
		for _, r := range c {
			if unsafeRune(r) {
				t.Errorf("%+q came through", r)
			}
		}
		if plainText(s) && utf8.RuneCountInString(s) <= max && c != s {
			t.Errorf("%q became %q", s, c)
		}
	})
}

// unsafeRune repeats what hidden must know, from the classes themselves.
func unsafeRune(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp) ||
		strings.ContainsRune("\uFFFD\u3164\u2800\u115F\u1160\uFFA0", r) || r != ' ' && unicode.IsSpace(r)
}

// plainText tells text that has no reason to change.
func plainText(s string) bool {
	for _, r := range s {
		if r <= ' ' && r != ' ' || r > '~' {
			return false
		}
	}
	return s == strings.Join(strings.Fields(s), " ")
}

// FuzzRedact: however a server embeds a secret that it was sent, it is not shown;
// and what is none stays.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"mat_abcDEF0123", `a"b\c/d+e=f&g`, "dev code 12", "%2F%2f%25ab", "[secret]", "aaaaaaaa"} {
		f.Add(s, "mar_another99", "you sent ", "; no")
	}
	f.Fuzz(func(t *testing.T, one, two, before, after string) {
		if !printable(one, 200) || !printable(two, 200) || len(one) < 8 || len(two) < 8 || len(before)+len(after)+6*len(one) > repeatMax {
			t.Skip()
		}
		secrets := []Secret{NewSecret(one), NewSecret(two)}
		for _, v := range embeddings(one) {
			out := repeat(before+v+after, secrets, 2*repeatMax)
			for piece := range strings.SplitSeq(out, masked) {
				for _, spelled := range append(embeddings(one), embeddings(two)...) {
					if strings.Contains(piece, spelled) {
						t.Errorf("%q survives in %q", spelled, out)
					}
				}
			}
		}
		if text := before + after; !strings.ContainsAny(text, `%+\`) && !strings.Contains(text, Clean(one, 200)) && !strings.Contains(text, Clean(two, 200)) {
			if got := redact(text, secrets); got != text {
				t.Errorf("%q became %q", text, got)
			}
		}
	})
}

// embeddings are the ways in which a request carries a secret, and a careless
// server sends it back.
func embeddings(v string) []string {
	query := url.QueryEscape(v)
	path := url.PathEscape(v)
	component := strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(query) // JavaScript's
	return []string{v, query, path, lowerEscapes(query), lowerEscapes(path), component, jsonString(v), everyByte(v, "%%%02x"), everyByte(v, "\\u%04x")}
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	parts := strings.Split(s, "%")
	for i := range parts[1:] {
		parts[i+1] = strings.ToLower(parts[i+1][:2]) + parts[i+1][2:]
	}
	return strings.Join(parts, "%")
}

// everyByte escapes what needs it and what does not.
func everyByte(v, format string) string {
	out := ""
	for i := range len(v) {
		out += fmt.Sprintf(format, v[i])
	}
	return out
}

// jsonString is v between the quotes of a JSON string, by the standard library.
func jsonString(v string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return b.String()[1 : b.Len()-2]
}

// FuzzParseAddress: what the URL policy accepts, a browser takes for the same
// place (WHATWG URL Standard), or refuses.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"https://example.org/a?b", "http://127.0.0.1:8008", "http://localhost", "https://u:p@h", "https://[::1]:1/", "http://127.0.0.1.evil",
		"https://a\\@b", "https://127.1/", "https://0x7f000001", "https://EXAMPLE.org:443/%2e%2e/", "http://[::ffff:127.0.0.1]:80", "https://a.xn--p1ai.", "https:/a", "https:///a", "https://a?@b", "https://a_b.c:0443"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseAddress(s)
		if err != nil {
			if strings.ContainsFunc(err.Error(), unsafeRune) {
				t.Errorf("%q: %q", s, err)
			}
			return
		}
		again, err := ParseAddress(u.String())
		if err != nil || again.Host != u.Host || again.Scheme != u.Scheme {
			t.Errorf("%q reads differently the second time: %v, %v", s, again, err)
		}
		if u.Scheme != "https" && !Loopback(u.Hostname()) {
			t.Errorf("%q leaves this machine in the clear", s)
		}
		if u.User != nil || u.Fragment != "" || strings.ContainsAny(u.Host, " \t\r\n/\\@?#%") {
			t.Errorf("%q: host %q", s, u.Host)
		}
		if _, err := http.NewRequest(http.MethodGet, s, nil); err != nil {
			t.Errorf("%q makes no request: %v", s, err)
		}
		if !sameOrigin(s, u.Scheme+"://"+hostFor(u)+":"+port(u)) {
			t.Errorf("%q is not of its own origin", s)
		}
		agrees(t, s, u)
	})
}

// agrees compares our reading with that of a second parser.
func agrees(t *testing.T, s string, u *url.URL) {
	t.Helper()
	ours := strings.ToLower(u.Hostname())
	_, notIP := netip.ParseAddr(ours)
	last := ours[strings.LastIndexByte(strings.TrimSuffix(ours, "."), '.')+1:]
	if notIP != nil && last[0] >= '0' && last[0] <= '9' {
		return // the other parser takes "0-0" for the number -0, and stumbles over "99999999999999999999a"
	}
	w, err := whatwg.Parse(s)
	if err != nil {
		if !strings.Contains(strings.ToLower(s), "xn--") { // bad Punycode is looked up by nobody
			t.Errorf("%q is accepted here and not elsewhere: %v", s, err)
		}
		return
	}
	if w.Scheme() != u.Scheme || w.Username() != "" || w.Password() != "" || w.Hash() != "" {
		t.Errorf("%q is read as %q", s, w.Href(false))
	}
	theirs := strings.Trim(w.Hostname(), "[]")
	if ip, err := netip.ParseAddr(ours); err == nil {
		if other, err := netip.ParseAddr(theirs); err != nil || ip != other {
			t.Errorf("%q: host %q here, %q elsewhere", s, ours, theirs)
		}
	} else if theirs != ours {
		t.Errorf("%q: host %q here, %q elsewhere", s, ours, theirs)
	}
	if p := w.Port(); p != "" && p != strings.TrimLeft(port(u), "0") || p == "" && port(u) != map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		t.Errorf("%q: port %q here, %q elsewhere", s, port(u), p)
	}
}

// FuzzRedirect: what a Location leads to, the policy allows.
func FuzzRedirect(f *testing.F) {
	for _, s := range []string{"/a", "//evil.example/", "https://b.example/", "http://b.example", "\\\\evil", "?q", "../..", "https:b", "javascript:x", "", "http://localhost/"} {
		f.Add("https://example.org/.well-known/matrix/client", s)
		f.Add("http://127.0.0.1:8008/x", s)
	}
	f.Fuzz(func(t *testing.T, from, location string) {
		base, err := ParseAddress(from)
		if err != nil {
			t.Skip()
		}
		next, err := nextHop(from, location)
		if err != nil {
			return
		}
		u, err := ParseAddress(next)
		if err != nil || base.Scheme == "https" && u.Scheme != "https" {
			t.Errorf("%q redirects by %q to %q: %v", from, location, next, err)
			return
		}
		agrees(t, next, u)
	})
}

// FuzzParsePlace reads what people type.
func FuzzParsePlace(f *testing.F) {
	for _, s := range []string{"matrix.org", "example.org:8448", "@alice:example.org", "https://hs.example.org/", "[::1]:1", "@a:b:c", "127.1", "1.2.3.4:80", "a..b", "x@y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlace(s)
		if (CheckServer(s) == nil) != (err == nil) {
			t.Errorf("%q: CheckServer disagrees", s)
		}
		if err != nil {
			if KindOf(err) != KindUsage || strings.ContainsFunc(err.Error(), unsafeRune) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		for _, address := range append(p.hosts, p.base) {
			if _, err := ParseAddress(address); err != nil {
				t.Errorf("%q leads to %q, which %v", s, address, err)
			}
		}
		if strings.ContainsFunc(p.shown, unsafeRune) || len(p.hosts) == 0 {
			t.Errorf("%q: %+v", s, p)
		}
	})
}

// FuzzUserID: a Matrix ID that is believed can be shown, and its server asked.
func FuzzUserID(f *testing.F) {
	for _, s := range []string{"@alice:example.org", "@a:b:8448", "@:b", "alice:b", "@a b:c", "@a:[::1]", "@a:b:c", "@\u202ea:b", "@A=_/+:b.c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !goodUserID(s) {
			return
		}
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) || len(s) > 255 || s[0] != '@' {
			t.Errorf("%q was believed", s)
		}
		if err := CheckServer(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}

// FuzzRetryAfter: no answer makes anybody wait longer than a day, or back in time.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"5", "1000000000", "99999999999999999999", "-1", "1.5", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2099 07:28:00 GMT", " 5", "+5", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		d := retryAfter(s, now)
		if d < 0 || d > 24*time.Hour {
			t.Errorf("%q: %v", s, d)
		}
		if at, err := http.ParseTime(s); err == nil && at.After(now) && at.Before(now.Add(24*time.Hour)) && d != at.Sub(now) {
			t.Errorf("%q: %v", s, d)
		}
	})
}

// hostFor is the host as it stands in a URL.
func hostFor(u *url.URL) string {
	if strings.Contains(u.Hostname(), ":") {
		return "[" + u.Hostname() + "]"
	}
	return u.Hostname()
}

// FuzzRedirected gives the reader of the browser's answer an address.
func FuzzRedirected(f *testing.F) {
	z := Authorization{RedirectURI: "http://127.0.0.1:1/callback", issuer: asURL, state: NewSecret("STATE")}
	for _, q := range []string{"code=x&state=STATE", "code=x&state=STATE#", "error=access_denied&state=STATE&iss=" + asURL, "state=STATE", "code=a&code=b&state=STATE", "code=%0a&state=STATE"} {
		f.Add(z.RedirectURI + "?" + q)
	}
	f.Fuzz(func(t *testing.T, address string) {
		code, err := z.Redirected(address)
		switch {
		case err == nil && (!printable(code.Reveal(), authCodeMax) || !strings.HasPrefix(address, z.RedirectURI+"?") || !strings.Contains(address, "state=")):
			t.Errorf("%q was believed", address)
		case err != nil && (!code.Empty() || strings.ContainsFunc(err.Error(), unsafeRune) || len(err.Error()) > 1000):
			t.Errorf("%q: %v", address, err)
		}
	})
}
