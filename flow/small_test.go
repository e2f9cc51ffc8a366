package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/oauth2"
)

func TestSecretNeverShows(t *testing.T) {
	const value = "mat_canary"
	s := NewSecret(value)
	hidden := struct{ inner Secret }{s}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", s, "session", Session{AccessToken: s})
	j, err := json.Marshal(map[string]any{"a": s, "b": Session{RefreshToken: s}, "c": &s})
	if err != nil {
		t.Fatal(err)
	}
	out := []string{log.String(), string(j), fmt.Sprint(s, &s, hidden, &hidden, []Secret{s}, map[string]Secret{"k": s})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v", "%10.3s", "%p"} {
		out = append(out, fmt.Sprintf(verb, s), fmt.Sprintf(verb, hidden), fmt.Sprintf(verb, Session{AccessToken: s}), fmt.Sprintf(verb, Code{deviceCode: s}))
	}
	for _, o := range out {
		if strings.Contains(o, "canary") || strings.Contains(o, fmt.Sprintf("%x", value)) {
			t.Errorf("the secret shows in %q", o)
		}
	}
	if s.Reveal() != value || !s.Equal(NewSecret(value)) || s.Equal(Secret{}) || !(Secret{}).Empty() {
		t.Error("Reveal, Equal or Empty is wrong")
	}
}

func TestParseAddress(t *testing.T) {
	good := []string{"https://example.org", "https://example.org:8448/a?b=c", "http://127.0.0.1:1", "http://[::1]:8080/x", "http://localhost/", "https://[2001:db8::1]/"}
	bad := []string{"", "example.org", "ftp://example.org", "http://example.org", "http://127.0.0.1.evil.test", "http://localhost.evil.test",
		"http://LOCALHOST", "https://user@example.org", "https://user:pw@example.org", "https://example.org#x", "https://example.org/#", "https:///x", "//example.org",
		"javascript:alert(1)", "file:///etc/passwd", "https://exa mple.org", "https://example.org/\n", "https://example.org\\@evil.test", "https://example.org:0",
		"https://example.org:99999", "https://example.org:", "https://exämple.org", "https://" + strings.Repeat("a", 3000), "https://a..b", "https://[fe80::1%25eth0]/"}
	for _, s := range good {
		if _, err := ParseAddress(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range bad {
		if u, err := ParseAddress(s); err == nil {
			t.Errorf("%q was taken as %v", s, u)
		} else if s != "" && strings.Contains(err.Error(), "evil") {
			t.Errorf("%q: the error repeats it: %v", s, err)
		}
	}
}

func TestParsePlace(t *testing.T) {
	for in, want := range map[string]string{
		"matrix.org": "https://matrix.org", "example.org:8448": "https://example.org:8448", "@alice:example.org": "https://example.org",
		"@a:b:8448": "https://b:8448", "https://hs.example.org/": "https://hs.example.org", "http://127.0.0.1:8008": "http://127.0.0.1:8008",
		" matrix.org ": "https://matrix.org", "[::1]:8448": "https://[::1]:8448", "1.2.3.4": "https://1.2.3.4",
	} {
		p, err := parsePlace(in)
		if err != nil || p.base != want {
			t.Errorf("%q: %q, %v", in, p.base, err)
		}
	}
	for _, in := range []string{"", " ", "@alice", "@:x", "alice@example.org", "a b", "exa\x1bmple.org", "example.org/path", "x#y", "example.org:0", "example.org:x", "ftp://x.org",
		"http://example.org", "https://a@b.org", "..", "münchen.example", "[::1", "https://x.org/?q", "a\u202eb.org"} {
		_, err := parsePlace(in)
		if KindOf(err) != KindUsage {
			t.Errorf("%q: %v", in, err)
		}
		if err != nil && strings.ContainsFunc(err.Error(), hidden) {
			t.Errorf("%q: the error is not clean: %q", in, err)
		}
	}
}

func TestSeconds(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"300": 300 * time.Second, "300.0": 300 * time.Second, "3e2": 300 * time.Second, `"300"`: 300 * time.Second, "0": 0, "-5": -5 * time.Second,
		"1e300": lifetimeMax * time.Second, "9223372036854775807": lifetimeMax * time.Second, "1e999": lifetimeMax * time.Second,
	} {
		if got, stated, err := seconds(jsontext.Value(in)); err != nil || !stated || got != want {
			t.Errorf("%s: %v %v %v", in, got, stated, err)
		}
	}
	for _, in := range []string{"3.5", `"x"`, "true", "{}", "[]", `""`, `"NaN"`} {
		if got, stated, err := seconds(jsontext.Value(in)); err == nil && stated {
			t.Errorf("%s was taken as %v", in, got)
		}
	}
	for _, in := range []string{"", "null"} {
		if _, stated, err := seconds(jsontext.Value(in)); stated || err != nil {
			t.Errorf("%q: stated %v, %v", in, stated, err)
		}
	}
	if lifetimeMax > math.MaxInt64/int64(time.Second) {
		t.Error("the longest life does not fit a Duration")
	}
}

func TestScopes(t *testing.T) {
	good := map[string][]string{
		ScopeAPI + " " + ScopeDevice + "ABCDEFGHIJKL": nil,
		ScopeAPI + " " + ScopeSynapseAdmin:            {"synapse-admin"},
		ScopeMASAdmin:                                 {"mas-admin"},
		"openid email":                                {"identity"},
		ScopeAPI + " " + ScopeDevice + "ABCDEFGHIJKL " + ScopeSynapseAdmin: {"matrix", "synapse-admin"},
		"urn:matrix:org.matrix.msc2967.client:api:*":                       {"urn:matrix:org.matrix.msc2967.client:api:*"},
		"urn:example:anything":                                             {"urn:example:anything"},
		ScopeAPI + " " + ScopeDevice + "KEEPTHISONE":                       {ScopeAPI, ScopeDevice + "KEEPTHISONE"},
	}
	for want, in := range good {
		r, err := HomeserverScope(in, "ABCDEFGHIJKL")
		if err != nil || r.Scope != want {
			t.Errorf("%v: %q, %v", in, r.Scope, err)
		}
	}
	for _, in := range [][]string{{"offline_access"}, {"profile"}, {"everything"}, {ScopeDevice + "ABCDEFGHIJKL"}, {"matrix", ScopeDevice + "OTHERDEVICE"},
		{ScopeAPI, ScopeDevice + "SHORT"}, {"urn:matrix:client:api:read:*"}, {"matrix", "urn:matrix:org.matrix.msc2967.client:api:*"}, {"a\x1bb"}, {"urn:x\"y"}, {" "}} {
		if r, err := HomeserverScope(in, ""); KindOf(err) != KindUsage {
			t.Errorf("%q: %q, %v", in, r.Scope, err)
		}
	}
	for _, in := range []string{"offline_access", "profile"} {
		if _, err := HomeserverScope([]string{in}, ""); err == nil || !strings.Contains(err.Error(), "Matrix servers refuse") {
			t.Errorf("%s: %v", in, err)
		}
	}
	for want, in := range map[string][]string{"openid offline_access": nil, "a b c": {"a b", "c"}, "matrix": {"matrix"}} {
		if r, err := IssuerScope(in); err != nil || r.Scope != want || r.DeviceID != "" {
			t.Errorf("at an issuer, %q: %q, %v", in, r.Scope, err)
		}
	}
	for _, in := range [][]string{{""}, {" "}, {"a\"b"}, {"a\x1bb"}, {"ä"}} {
		if r, err := IssuerScope(in); KindOf(err) != KindUsage {
			t.Errorf("at an issuer, %q: %q, %v", in, r.Scope, err)
		}
	}
	if !SameScope("a b", "b a a") || SameScope("a", "a b") || !SameScope(ScopeAPI, "urn:matrix:org.matrix.msc2967.client:api:*") {
		t.Error("SameScope is wrong")
	}
	seen := map[string]bool{}
	for range 100_000 {
		id := NewDeviceID()
		if len(id) != 12 || !goodDevice(id) || seen[id] {
			t.Fatalf("bad device ID %q", id)
		}
		seen[id] = true
	}
}

func TestFresh(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	s := Session{AccessToken: NewSecret("x"), Issued: now, Expiry: now.Add(100 * time.Second)}
	for _, tt := range []struct {
		after, ttl   time.Duration
		fresh, lasts bool
	}{
		{0, time.Minute, true, true},
		{49 * time.Second, time.Minute, true, false},
		{51 * time.Second, time.Minute, false, false},
		{0, time.Hour, true, false},
		{100 * time.Second, 0, false, false},
		{-time.Hour, 0, false, false}, // the clock was set back
	} {
		at := now.Add(tt.after)
		if got := s.FreshFor(at, tt.ttl); got != tt.fresh {
			t.Errorf("FreshFor after %v for %v: %v", tt.after, tt.ttl, got)
		}
		if got := s.Lasts(at, tt.ttl); got != tt.lasts {
			t.Errorf("Lasts after %v for %v: %v", tt.after, tt.ttl, got)
		}
	}
}

func TestFreshWithoutAnExpiry(t *testing.T) {
	now := time.Now()
	s := Session{AccessToken: NewSecret("x"), Issued: now}
	if !s.Lasts(now, 299*time.Second) || s.Lasts(now, 300*time.Second) || s.FreshFor(now.Add(5*time.Minute), 0) {
		t.Error("a token without an expiry is not believed for five minutes")
	}
	if (Session{Issued: now, Expiry: now.Add(time.Hour)}).FreshFor(now, 0) {
		t.Error("a session without a token is fresh")
	}
}

func TestToken(t *testing.T) {
	s := testSession()
	tok := s.Token()
	if tok.AccessToken != "mat_old" || tok.RefreshToken != "" || tok.TokenType != "Bearer" || !tok.Expiry.Equal(s.Expiry) || !tok.Valid() {
		t.Errorf("%+v", tok)
	}
	e := Server{Authorization: "https://a/", Device: "https://d/", Token: "https://t/"}.Endpoint()
	if e.AuthURL != "https://a/" || e.DeviceAuthURL != "https://d/" || e.TokenURL != "https://t/" || e.AuthStyle != oauth2.AuthStyleInParams {
		t.Errorf("%+v", e)
	}
}

func TestCleanDeviceName(t *testing.T) {
	for in, want := range map[string]string{
		"box": "box", " box ": "box", "a;b(c)d": "abcd", "": "", "();": "", "b\u00f6x\r\n": "b-x--", strings.Repeat("x", 100): strings.Repeat("x", 64),
	} {
		if got := CleanDeviceName(in); got != want || CleanDeviceName(got) != got {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// Names that others read as an IPv4 address are no names here.
func TestNumbersAreNoHosts(t *testing.T) {
	for _, host := range []string{"127.1", "2130706433", "0x7f000001", "0X7F.1", "0x", "a.1", "a.0x1.", "1.2.3.4.", "256.1.1.1", "01.2.3.4", "-a", "a-", "xn--", "a.xn--b-", "a..b", ".a", "."} {
		if goodHost(host) {
			t.Errorf("%q is a host", host)
		}
	}
	for _, host := range []string{"1.2.3.4", "::1", "3dprinter", "a.0x1g", "1a.example.org.", "a_b.c", "xn--p1ai"} {
		if !goodHost(host) {
			t.Errorf("%q is no host", host)
		}
	}
}
