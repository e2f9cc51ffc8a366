package flow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// metadata is the document of RFC 8414 and OpenID Connect Discovery, as far as
// it is used. Authentication methods are not read on purpose, and of the scopes
// only one: MAS lists no Matrix scope, Keycloak lists no public clients, and both
// grant them.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Device        string   `json:"device_authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Registration  string   `json:"registration_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	Authorization string   `json:"authorization_endpoint"`
	Userinfo      string   `json:"userinfo_endpoint"`
	Account       string   `json:"account_management_uri"`
	Actions       []string `json:"account_management_actions_supported"`
	Scopes        []string `json:"scopes_supported"`

	// Of use to logins by browser only, so what is malformed is as good as
	// absent and spoils no other login.
	Challenges  jsontext.Value `json:"code_challenge_methods_supported"`
	NamesIssuer jsontext.Value `json:"authorization_response_iss_parameter_supported"`

	from answer
}

// server checks every address of the document.
func (m metadata) server() (Server, error) {
	if _, err := parseIssuer(m.Issuer); err != nil {
		return Server{}, m.from.fail(KindInvalid, "the issuer that "+m.from.host+" names "+err.Error())
	}
	for _, f := range []struct{ name, value string }{
		{"token_endpoint", m.Token},
		{"device_authorization_endpoint", m.Device},
		{"registration_endpoint", m.Registration},
		{"revocation_endpoint", m.Revocation},
		{"authorization_endpoint", m.Authorization},
		{"userinfo_endpoint", m.Userinfo},
		{"account_management_uri", m.Account},
	} {
		if f.value == "" && f.name != "token_endpoint" {
			continue
		}
		if f.value == "" {
			return Server{}, m.from.fail(KindInvalid, m.from.host+" names no token_endpoint")
		}
		if _, err := ParseAddress(f.value); err != nil {
			return Server{}, m.from.fail(KindInvalid, fmt.Sprintf("the %s that %s names %s", f.name, m.from.host, err))
		}
	}
	actions := slices.DeleteFunc(m.Actions, func(s string) bool { return !printable(s, 100) })
	return Server{Issuer: m.Issuer, Device: m.Device, Token: m.Token, Registration: m.Registration,
		Revocation: m.Revocation, Authorization: m.Authorization, Userinfo: m.Userinfo,
		Account: m.Account, Actions: actions, PKCE: m.pkce(), NamesIssuer: m.NamesIssuer.Kind() == 't',
		OfflineAccess: m.Scopes == nil || slices.Contains(m.Scopes, "offline_access")}, nil
}

// pkce reports whether the server takes S256 challenges. One that lists no
// methods does not support PKCE (RFC 8414 section 2).
func (m metadata) pkce() bool {
	var methods []string
	return json.Unmarshal(m.Challenges, &methods) == nil && slices.Contains(methods, "S256")
}

// ErrBrowserOnly is found with errors.Is in the error of a login with a code at
// a server that would take a login by browser.
var ErrBrowserOnly = errors.New("the server offers a login by browser")

// CheckDeviceLogin says what a server lacks for a login with a code:
// KindUnsupported, or nil. registered tells that a client ID is at hand. Where a
// login by browser would do, the error wraps ErrBrowserOnly.
func (s Server) CheckDeviceLogin(registered bool) error {
	if s.Device != "" {
		return s.checkRegistration(registered)
	}
	e := s.unsupported(" does not offer device login (no device_authorization_endpoint)")
	if s.CheckBrowserLogin(registered) == nil {
		e.Problem += ", but a login by browser"
		e.Err = ErrBrowserOnly
		return e
	}
	e.Problem += "; its administrator would have to turn the device code grant on"
	return e
}

// CheckBrowserLogin says what a server lacks for a login by browser, which is
// the authorization code grant with PKCE: KindUnsupported, or nil. Without S256
// a code could be used by whoever comes by it (RFC 9700 section 2.1.1; the
// Matrix specification demands it).
func (s Server) CheckBrowserLogin(registered bool) error {
	switch {
	case s.Authorization == "":
		return s.unsupported(" does not offer a login by browser (no authorization_endpoint)")
	case !s.PKCE:
		return s.unsupported(" does not offer a safe login by browser (no S256 among its code_challenge_methods_supported)")
	}
	return s.checkRegistration(registered)
}

func (s Server) checkRegistration(registered bool) error {
	if s.Registration != "" || registered {
		return nil
	}
	e := s.unsupported(" does not let programs register themselves (no registration_endpoint); its administrator would have to give out a client ID")
	e.Err = &ClosedError{Host: e.Host}
	return e
}

func (s Server) unsupported(lacks string) *Error {
	host := hostOf(s.Issuer)
	return &Error{Kind: KindUnsupported, Op: "log in", Host: host, Problem: host + lacks}
}

// A LegacyError says that a homeserver has no OAuth 2.0 API, and what it offers
// instead. It is found with errors.As beside the *Error that wraps it.
type LegacyError struct {
	Host  string
	Flows []string // of GET /_matrix/client/v3/login, "m.login.sso (Example ID)", cleaned; may be empty
}

// Error names the flows.
func (e *LegacyError) Error() string {
	if len(e.Flows) == 0 {
		return e.Host + " offers no OAuth 2.0 login"
	}
	return e.Host + " offers only the older logins: " + strings.Join(e.Flows, ", ")
}

// A loginFlow is one way in of GET /_matrix/client/v3/login (Matrix
// specification, "Login").
type loginFlow struct {
	Type      string `json:"type"`
	Providers []struct {
		Name string `json:"name"`
	} `json:"identity_providers"` // of m.login.sso
}

// words is the flow's type, and the names of those who vouch for people there, six
// at most.
func (f loginFlow) words() string {
	var names []string
	for _, p := range f.Providers[:min(len(f.Providers), 6)] {
		if name := Clean(p.Name, 40); name != "" {
			names = append(names, name)
		}
	}
	if len(f.Providers) > 6 {
		names = append(names, "…")
	}
	if len(names) == 0 {
		return Clean(f.Type, 60)
	}
	return Clean(f.Type, 60) + " (" + strings.Join(names, ", ") + ")"
}

// legacy asks a server without OAuth what it is.
func (a *Agent) legacy(ctx context.Context, base string) error {
	ans, err := a.fetch(ctx, base+"/_matrix/client/v3/login")
	if err != nil {
		return err
	}
	if passing(ans.status) {
		return ans.statusError()
	}
	var doc struct {
		Flows []loginFlow `json:"flows"`
	}
	e := &LegacyError{Host: ans.host}
	if ans.status == http.StatusOK && ans.decode(&doc) == nil {
		for _, f := range doc.Flows[:min(len(doc.Flows), 10)] {
			e.Flows = append(e.Flows, f.words())
		}
	}
	if len(e.Flows) == 0 && ans.errcode == "" {
		return ans.fail(KindInvalid, ans.host+" does not answer like a Matrix server")
	}
	return &Error{Kind: KindUnsupported, Op: "log in", Host: ans.host, Problem: e.Error() +
		"; its administrator would have to set up the OAuth 2.0 API (Matrix 1.15), for Synapse with matrix-authentication-service", Err: e}
}
