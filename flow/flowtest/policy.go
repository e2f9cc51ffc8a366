package flowtest

import (
	"slices"
	"strings"
)

// registrationPolicy is what MAS 1.22's default policy has against a client,
// sorted as its policy engine returns it.
func registrationPolicy(m map[string]any) []string {
	var found []string
	home, _ := m["client_uri"].(string)
	switch {
	case home == "":
		found = append(found, "missing client_uri")
	case !secureURI(home):
		found = append(found, "invalid client_uri")
	case publicSuffix(parseURI(home).host):
		found = append(found, "client_uri is not using a valid domain")
	}
	for _, name := range []string{"logo_uri", "tos_uri", "policy_uri"} {
		uri, _ := m[name].(string)
		if uri != "" && !secureURI(uri) {
			found = append(found, "invalid "+name)
		}
		if uri != "" && !underHost(home, uri) {
			found = append(found, name+" not on the same host as the client_uri")
		}
	}
	uris, _ := m["redirect_uris"].([]string)
	if slices.Contains(grantTypes(m), grantCode) && len(uris) == 0 {
		found = append(found, "invalid redirect_uris: it must have at least one redirect_uri")
	}
	for _, uri := range uris {
		if !goodRedirect(m["application_type"] == "native", home, uri) {
			found = append(found, "invalid redirect_uri")
		}
	}
	if m["token_endpoint_auth_method"] == "none" && slices.Contains(grantTypes(m), grantCredentials) {
		found = append(found, "client_credentials grant_type requires some form of client authentication")
	}
	slices.Sort(found)
	return found
}

// A policyURI is a URI in the narrow form that the policy takes: no query, no
// fragment, no user, no percent escapes.
type policyURI struct {
	scheme, host, port string
	ok                 bool
}

func parseURI(s string) policyURI {
	scheme, rest, ok := strings.Cut(s, ":")
	u := policyURI{scheme: scheme}
	if !ok || scheme == "" {
		return u
	}
	path := rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		authority, p, _ := strings.Cut(after, "/")
		path = "/" + p
		u.host, u.port = splitPort(authority)
		if u.host == "" {
			return u
		}
	}
	u.ok = strings.HasPrefix(path, "/") &&
		!strings.ContainsFunc(path, outside(alphanumeric+"/._~-")) &&
		(u.host == "[::1]" || !strings.ContainsFunc(u.host, outside(alphanumeric+".-"))) &&
		!strings.ContainsFunc(u.port, outside("0123456789"))
	return u
}

func outside(alphabet string) func(rune) bool {
	return func(r rune) bool { return !strings.ContainsRune(alphabet, r) }
}

func splitPort(authority string) (host, port string) {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.HasSuffix(authority, "]") {
		return authority, ""
	}
	return authority[:i], authority[i+1:]
}

func secureURI(s string) bool {
	u := parseURI(s)
	return u.ok && u.scheme == "https" && u.port == "" && !loopbackName(u.host) && u.host != "0.0.0.0"
}

func loopbackName(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "[::1]"
}

// underHost reports whether a URI is on the client's host or below it.
func underHost(home, uri string) bool {
	h, u := parseURI(home), parseURI(uri)
	return h.ok && u.ok && h.host != "" && (u.host == h.host || strings.HasSuffix(u.host, "."+h.host))
}

// goodRedirect takes https on the client's host; of native applications also
// http on loopback, with any port, and a scheme that is the client's host
// backwards.
func goodRedirect(native bool, home, uri string) bool {
	u := parseURI(uri)
	switch {
	case !u.ok:
		return false
	case native && u.scheme == "http":
		return loopbackName(u.host)
	case native && u.scheme != "https":
		return u.host == "" && backwards(parseURI(home).host, u.scheme)
	}
	return secureURI(uri) && underHost(home, uri)
}

// backwards reports whether scheme is host in reverse-DNS writing, or below it.
func backwards(host, scheme string) bool {
	labels := strings.Split(host, ".")
	slices.Reverse(labels)
	reversed := strings.Join(labels, ".")
	return host != "" && (scheme == reversed || strings.HasPrefix(scheme, reversed+"."))
}

// publicSuffix reports whether anyone can register below host. The real list is
// long; here are a few of its names and every name without a dot.
func publicSuffix(host string) bool {
	known := []string{"github.io", "gitlab.io", "pages.dev", "netlify.app", "vercel.app", "co.uk", "com.au", "co.jp"}
	return !strings.Contains(host, ".") || slices.Contains(known, host)
}
