package login

import (
	"context"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"
)

// lookups note which addresses the name service gave for the hosts of a
// discovery. A public name that leads into the network that this machine is in
// may be somebody's way to things that only this machine reaches. Behind a proxy
// the proxy looks names up, and nothing is known here.
type lookups struct {
	mu   sync.Mutex
	seen []lookup
}

type lookup struct {
	host    string
	address netip.Addr
}

// trace returns a context whose requests are noted. No name is looked up for it.
func (l *lookups) trace(ctx context.Context) context.Context {
	var host string // a connection is made for one request; two at once are not made here
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(i httptrace.DNSStartInfo) {
			l.mu.Lock()
			defer l.mu.Unlock()
			host = i.Host
		},
		DNSDone: func(i httptrace.DNSDoneInfo) { l.note(&host, i.Addrs) },
	})
}

func (l *lookups) note(host *string, addresses []net.IPAddr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range addresses {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			l.seen = append(l.seen, lookup{strings.ToLower(strings.TrimSuffix(*host, ".")), ip.Unmap()})
		}
	}
}

// inside returns the public names that led to an address of this machine or its
// network, each once.
func (l *lookups) inside() []lookup {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []lookup
	for _, s := range l.seen {
		known := slices.ContainsFunc(found, func(o lookup) bool { return o.host == s.host })
		if !known && publicName(s.host) && !publicAddress(s.address) {
			found = append(found, s)
		}
	}
	return found
}

// publicName reports whether a name ends in a domain of the public name service
// (ICANN's, by the public suffix list): "home.arpa", "internal", "local" and
// single labels are everybody's own.
func publicName(host string) bool {
	suffix, icann := publicsuffix.PublicSuffix(host)
	return icann && suffix != host && suffix != "home.arpa"
}

// publicAddress tells addresses that are reached from everywhere. 100.64.0.0/10
// is for the inside of carriers' networks (RFC 6598).
func publicAddress(ip netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !shared.Contains(ip)
}
