package flow

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A place is where discovery begins: a server name, or a base URL.
type place struct {
	shown string   // as errors name it
	hosts []string // https origins to try for .well-known, in order
	base  string   // the client-server API, if .well-known knows nothing
}

// CheckServer reports whether [Agent.Discover] can take a name, without asking
// anybody. The error is of KindUsage.
func CheckServer(name string) error {
	_, err := parsePlace(name)
	return err
}

// parsePlace reads what a person typed: a server name ("matrix.org",
// "example.org:8448"), a Matrix ID, or a URL.
func parsePlace(input string) (place, error) {
	input = strings.TrimSpace(input)
	bad := func(problem string) (place, error) {
		return place{}, &Error{Kind: KindUsage, Op: "read the server's name", Problem: strconv.QuoteToASCII(Clean(input, 80)) + " " + problem}
	}
	if input == "" {
		return bad("is empty")
	}
	if strings.Contains(input, "://") {
		u, err := ParseAddress(input)
		if err != nil {
			return bad(err.Error())
		}
		if u.RawQuery != "" {
			return bad("has a query, which no homeserver's address has")
		}
		base := strings.TrimRight(u.String(), "/")
		return place{shown: u.Host, hosts: []string{u.Scheme + "://" + u.Host}, base: base}, nil
	}
	name := input
	if strings.HasPrefix(name, "@") {
		local, server, found := strings.Cut(name[1:], ":")
		if !found || local == "" {
			return bad("is not a Matrix ID like @alice:example.org")
		}
		name = server
	}
	host, problem := splitName(name)
	if problem != "" {
		return bad(problem)
	}
	p := place{shown: name, hosts: []string{"https://" + host}, base: "https://" + name}
	if host != name {
		p.hosts = append(p.hosts, p.base)
	}
	return p, nil
}

// splitName checks a server name (Matrix specification, appendices, "Server
// Name") and returns it without its port.
func splitName(name string) (host, problem string) {
	for _, r := range name {
		if r > '~' {
			return "", "must be written in its ASCII form (xn--…)"
		}
	}
	if i := strings.IndexAny(name, " \t\r\n/@#?\\%"); i >= 0 {
		return "", "is not a server name"
	}
	host = name
	if h, port, err := net.SplitHostPort(name); err == nil {
		if !goodPort(port) {
			return "", "has a malformed port"
		}
		if host = h; strings.HasPrefix(name, "[") {
			host = "[" + h + "]"
		}
	}
	if bare, ok := strings.CutPrefix(host, "["); ok {
		bare, closed := strings.CutSuffix(bare, "]")
		if ip, err := netip.ParseAddr(bare); err != nil || !closed || !ip.Is6() || ip.Zone() != "" {
			return "", "is not a server name"
		}
		return host, ""
	}
	if strings.Contains(host, ":") || !goodHost(host) {
		return "", "is not a server name"
	}
	return host, ""
}

// issuerName is what a session at a plain issuer calls its server.
func issuerName(u *url.URL) string { return u.Host + strings.TrimRight(u.Path, "/") }
