package flowtest

import (
	"fmt"
	"slices"
	"strings"
)

const (
	stableScope   = "urn:matrix:client:"
	unstableScope = "urn:matrix:org.matrix.msc2967.client:"
	scopeSynapse  = "urn:synapse:admin:*"
	scopeMAS      = "urn:mas:admin"
)

// A scope is a set of words, sorted, as MAS keeps and returns it.
type scope []string

// parseScope takes a scope as RFC 6749 section 3.3 writes it. MAS takes no
// empty one and no two spaces in a row.
func parseScope(text string) (scope, bool) {
	var sc scope
	for word := range strings.SplitSeq(text, " ") {
		if word == "" || strings.ContainsFunc(word, outsideScope) {
			return nil, false
		}
		sc = append(sc, word)
	}
	slices.Sort(sc)
	return slices.Compact(sc), true
}

func outsideScope(r rune) bool { return r < '!' || r > '~' || r == '"' || r == '\\' }

func (sc scope) String() string { return strings.Join(sc, " ") }

func (sc scope) has(word string) bool { return slices.Contains(sc, word) }

// matrixAPI reports whether the scope opens the client-server API.
func (sc scope) matrixAPI() bool {
	return sc.has(stableScope+"api:*") || sc.has(unstableScope+"api:*")
}

// deviceID is the device of the scope, "" without one.
func (sc scope) deviceID() string {
	for _, word := range sc {
		if id, ok := deviceOf(word); ok {
			return id
		}
	}
	return ""
}

// bothFamilies adds the other spelling of every Matrix scope: introspection
// tells them in both.
func (sc scope) bothFamilies() scope {
	all := slices.Clone(sc)
	for _, word := range sc {
		if rest, ok := strings.CutPrefix(word, stableScope); ok {
			all = append(all, unstableScope+rest)
		} else if rest, ok := strings.CutPrefix(word, unstableScope); ok {
			all = append(all, stableScope+rest)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// judge is nil if the policy lets a person grant the scope.
func (sc scope) judge(p *person) error {
	if found := sc.violations(p); len(found) > 0 {
		return fmt.Errorf("%w: %s", ErrPolicy, strings.Join(found, "; "))
	}
	return nil
}

// violations are what MAS's policy has against a person granting the scope. It
// is asked on the consent page only, never by the device or token endpoint.
func (sc scope) violations(p *person) []string {
	var found []string
	stable, unstable, devices := 0, 0, 0
	for _, word := range sc {
		if !allowedScope(word, p) {
			found = append(found, "scope '"+word+"' not allowed")
		}
		if strings.HasPrefix(word, stableScope) {
			stable++
		}
		if strings.HasPrefix(word, unstableScope) {
			unstable++
		}
		if _, ok := deviceOf(word); ok {
			devices++
		}
	}
	if devices > 1 {
		found = append(found, "only one device scope is allowed at a time")
	}
	if devices > 0 && !sc.matrixAPI() {
		found = append(found, "device scopes are only allowed when the client-server API scope is requested")
	}
	if stable > 0 && unstable > 0 {
		found = append(found, "request cannot mix unstable and stable scopes")
	}
	return found
}

func deviceOf(word string) (id string, ok bool) {
	for _, family := range []string{stableScope, unstableScope} {
		if id, ok := strings.CutPrefix(word, family+"device:"); ok {
			return id, true
		}
	}
	return "", false
}

func allowedScope(word string, p *person) bool {
	switch word {
	case "openid", "email", "urn:mas:graphql:*", stableScope + "api:*", unstableScope + "api:*":
		return true
	case scopeSynapse, scopeMAS:
		return p.admin
	}
	id, ok := deviceOf(word)
	return ok && len(id) >= 10 && !strings.ContainsFunc(id, outsideDeviceID)
}

func outsideDeviceID(r rune) bool {
	return !strings.ContainsRune(alphanumeric+"._~!$&'()*+,;=:@/-", r)
}
