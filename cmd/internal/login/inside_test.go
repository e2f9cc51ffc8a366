package login

import (
	"context"
	"net"
	"net/http/httptrace"
	"net/netip"
	"testing"
)

// S8: a public name that leads inside is told; one's own names, addresses that
// were typed, and hosts that a proxy looks up are not.
func TestInside(t *testing.T) {
	for name, c := range map[string]struct {
		address string
		want    bool
	}{
		"matrix.example.org":  {"10.1.2.3", true},
		"Matrix.Example.ORG.": {"192.168.1.1", true},
		"a.example.org":       {"127.0.0.1", true},
		"b.example.org":       {"::1", true},
		"c.example.org":       {"169.254.169.254", true},
		"d.example.org":       {"fe80::1", true},
		"e.example.org":       {"fd00::1", true},
		"f.example.org":       {"100.64.0.1", true},
		"g.example.org":       {"0.0.0.0", true},
		"h.example.org":       {"::ffff:10.0.0.1", true},
		"x.co.uk":             {"172.16.0.1", true},
		"i.example.org":       {"203.0.113.7", false},
		"j.example.org":       {"2001:db8::1", false},
		"nas.local":           {"192.168.1.5", false},
		"matrix.internal":     {"10.0.0.5", false},
		"nas.home.arpa":       {"10.0.0.5", false},
		"matrix":              {"10.0.0.5", false},
		"localhost":           {"127.0.0.1", false},
	} {
		l := &lookups{}
		trace := httptrace.ContextClientTrace(l.trace(context.Background()))
		trace.DNSStart(httptrace.DNSStartInfo{Host: name})
		trace.DNSDone(httptrace.DNSDoneInfo{Addrs: []net.IPAddr{{IP: net.ParseIP(c.address)}, {IP: net.ParseIP(c.address)}}})
		got := l.inside()
		if (len(got) == 1) != c.want || c.want && got[0].address != netip.MustParseAddr(c.address).Unmap() {
			t.Errorf("%s at %s: %v", name, c.address, got)
		}
	}
}
