package flow

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
)

// The scopes of the Matrix specification and of its servers, and the prefix
// under which MSC2967 had them before.
const (
	ScopeAPI          = "urn:matrix:client:api:*"
	ScopeDevice       = "urn:matrix:client:device:" // and a device ID
	ScopeSynapseAdmin = "urn:synapse:admin:*"
	ScopeMASAdmin     = "urn:mas:admin"

	stablePrefix   = "urn:matrix:client:"
	unstablePrefix = "urn:matrix:org.matrix.msc2967.client:"
)

// NewDeviceID returns 12 random characters of A-Z and 2-7: every server takes
// those (MAS wants ten at least, Continuwuity an ID that was never used).
func NewDeviceID() string { return rand.Text()[:12] }

// A Request is what a login asks for.
type Request struct {
	Scope      string // words between single blanks
	DeviceID   string // the device in Scope; empty if there is none
	DeviceName string // shown to the person who approves; may be empty
	OtherSite  string // host of a verification page that a person agreed to, though it belongs to another site than the server; empty: none
}

// HomeserverScope makes the scope for a login at a Matrix homeserver out of
// presets ("matrix", "synapse-admin", "mas-admin", "identity") and full scope
// words; none means "matrix". device is the ID for a new device, empty for a
// fresh one.
//
// What servers are known to refuse is refused here (KindUsage), because they
// do so only in the browser of the person who approves, long after the code was
// shown: a device without the API, two devices, a device ID under ten
// characters, stable and unstable words together, offline_access and profile,
// and api forms other than api:*, which some servers grant and none enforces.
func HomeserverScope(words []string, device string) (Request, error) {
	if len(words) == 0 {
		words = []string{"matrix"}
	}
	if device == "" {
		device = NewDeviceID()
	}
	var out []string
	for _, w := range words {
		for _, w := range expand(w, device) {
			if !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	id, problem := checkScope(out)
	if problem != "" {
		return Request{}, &Error{Kind: KindUsage, Op: "ask for this scope", Problem: problem}
	}
	return Request{Scope: strings.Join(out, " "), DeviceID: id}, nil
}

// IssuerScope makes the scope for a plain issuer: the words as typed, or
// "openid offline_access", without which most give no refresh token.
func IssuerScope(words []string) (Request, error) {
	if len(words) == 0 {
		words = []string{"openid offline_access"}
	}
	var out []string
	for _, w := range words {
		out = append(out, strings.Fields(w)...)
	}
	for _, w := range out {
		if !scopeToken(w) {
			return Request{}, &Error{Kind: KindUsage, Op: "ask for this scope", Problem: fmt.Sprintf("%+q is not a scope", Clean(w, 80))}
		}
	}
	if len(out) == 0 {
		return Request{}, &Error{Kind: KindUsage, Op: "ask for this scope", Problem: "it is empty"}
	}
	return Request{Scope: strings.Join(out, " ")}, nil
}

func expand(word, device string) []string {
	switch word {
	case "matrix":
		return []string{ScopeAPI, ScopeDevice + device}
	case "synapse-admin":
		return []string{ScopeAPI, ScopeSynapseAdmin}
	case "mas-admin":
		return []string{ScopeMASAdmin}
	case "identity":
		return []string{"openid", "email"}
	}
	return strings.Fields(word)
}

// checkScope finds what a homeserver would refuse, and the device.
func checkScope(words []string) (device, problem string) {
	var api, stables, unstables bool
	for _, w := range words {
		if !scopeToken(w) {
			return "", fmt.Sprintf("%+q is not a scope", Clean(w, 80))
		}
		stables = stables || strings.HasPrefix(w, stablePrefix)
		unstables = unstables || strings.HasPrefix(w, unstablePrefix)
		s := stable(w)
		switch {
		case s == ScopeAPI:
			api = true
		case strings.HasPrefix(s, ScopeDevice) && device != "":
			return "", "it names two devices, and a session has one"
		case strings.HasPrefix(s, ScopeDevice):
			if device = s[len(ScopeDevice):]; !goodDevice(device) {
				return "", fmt.Sprintf("%q is not a device ID that servers accept (10 to 255 of A-Z a-z 0-9 - . _ ~)", Clean(device, 80))
			}
		case strings.HasPrefix(s, stablePrefix):
			return "", fmt.Sprintf("no server enforces %q: it would look narrow and open everything", w)
		case w == "offline_access" || w == "profile":
			return "", fmt.Sprintf("Matrix servers refuse %q", w)
		case !strings.HasPrefix(w, "urn:") && w != "openid" && w != "email":
			return "", fmt.Sprintf("%q is neither a preset (matrix, synapse-admin, mas-admin, identity) nor a scope of a Matrix server", w)
		}
	}
	switch {
	case device != "" && !api:
		return "", "a device needs " + ScopeAPI + " beside it"
	case stables && unstables:
		return "", "servers refuse stable and unstable (org.matrix.msc2967) words together"
	case len(words) == 0:
		return "", "it is empty"
	}
	return device, ""
}

// scopeToken follows RFC 6749 section 3.3.
func scopeToken(w string) bool {
	return printable(w, 512) && !strings.ContainsAny(w, " \"\\")
}

// goodDevice accepts what MAS and Continuwuity both do: ten unreserved
// characters at least.
func goodDevice(id string) bool {
	if len(id) < 10 || len(id) > 255 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-._~", rune(c)) {
			return false
		}
	}
	return true
}

// stable returns a scope word in its stable spelling.
func stable(w string) string {
	if rest, ok := strings.CutPrefix(w, unstablePrefix); ok {
		return stablePrefix + rest
	}
	return w
}

// CompareScopes tells what was granted beyond what was asked for, and what was
// left out. Order, repetition and the unstable spelling do not count.
func CompareScopes(asked, granted string) (more, missing []string) {
	without := func(from, what string) (rest []string) {
		for _, w := range strings.Fields(from) {
			same := func(o string) bool { return stable(o) == stable(w) }
			if !slices.ContainsFunc(strings.Fields(what), same) {
				rest = append(rest, w)
			}
		}
		return rest
	}
	return without(granted, asked), without(asked, granted)
}

// SameScope compares two scopes as sets.
func SameScope(a, b string) bool {
	more, missing := CompareScopes(a, b)
	return len(more) == 0 && len(missing) == 0
}
