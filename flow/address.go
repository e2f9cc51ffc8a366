package flow

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// addressMax is the longest URL that is believed, in bytes.
const addressMax = 2048

// ParseAddress checks a URL that a server or a user gave: https, or http on a
// loopback IP or on exactly "localhost"; a host; no user info; no fragment;
// printable ASCII; at most 2048 bytes. The error says what is wrong and
// repeats nothing of the URL.
func ParseAddress(raw string) (*url.URL, error) {
	if len(raw) > addressMax {
		return nil, fmt.Errorf("is longer than %d characters", addressMax)
	}
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] > '~' || raw[i] == '\\' {
			return nil, errors.New("holds a character that no URL may hold")
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("is not a URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("is not an https URL")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, errors.New("has no host")
	case u.User != nil:
		return nil, errors.New("holds user information")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, errors.New("holds a fragment")
	case !goodHost(u.Hostname()):
		return nil, errors.New("has a malformed host")
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !goodPort(u.Port()):
		return nil, errors.New("has a malformed port")
	case u.Scheme == "http" && !Loopback(u.Hostname()):
		return nil, errors.New("is plain http outside of this machine")
	}
	return u, nil
}

// parseIssuer checks an issuer: an address without a query (RFC 8414 section 2).
func parseIssuer(raw string) (*url.URL, error) {
	u, err := ParseAddress(raw)
	if err == nil && (u.RawQuery != "" || u.ForceQuery) {
		return nil, errors.New("has a query")
	}
	return u, err
}

// Loopback reports whether host is a loopback IP or exactly "localhost".
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// goodPort keeps to one spelling of a number.
func goodPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && port[0] != '0'
}

// goodHost accepts IP addresses and DNS names in their ASCII form.
func goodHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == ""
	}
	if len(host) > 253 || endsInNumber(host) {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if !goodLabel(label) {
			return false
		}
	}
	return true
}

// goodLabel is letters, digits, underscores and, but for its ends, hyphens. One at
// the end would be Punycode of nothing but ASCII ("xn--a-"), which some read as
// another name.
func goodLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '_' && (c != '-' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return s != ""
}

// endsInNumber tells names that browsers and C libraries take for an IPv4 address
// in an old spelling ("127.1", "0x7f000001"), and Go for a name (WHATWG URL
// Standard, "ends-in-a-number checker").
func endsInNumber(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := labels[len(labels)-1]
	if strings.Trim(last, "0123456789") == "" {
		return true
	}
	last = strings.ToLower(last)
	return strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == ""
}

// sameOrigin compares scheme, host and port of two addresses that were checked
// before.
func sameOrigin(a, b string) bool {
	u, err1 := url.Parse(a)
	v, err2 := url.Parse(b)
	return err1 == nil && err2 == nil && u.Scheme == v.Scheme && strings.EqualFold(u.Hostname(), v.Hostname()) && port(u) == port(v)
}

// port is the one that a request goes to.
func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

// join puts a path behind a base with exactly one slash between them.
func join(base, path string) string {
	return strings.TrimRight(base, "/") + "/" + strings.TrimLeft(path, "/")
}

// hostOf returns the host and port of a URL that was checked before.
func hostOf(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return u.Host
	}
	return "the server"
}
