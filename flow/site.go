package flow

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// site returns the registrable domain of a host: what one owner holds under the
// public suffix list. Empty for IP addresses and single labels.
func site(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	d, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return ""
	}
	return d
}
