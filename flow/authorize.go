package flow

import (
	"crypto/rand"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// authorizeLife is how long a person has for the pages in the browser. It is
// what RFC 6749 section 4.1.2 gives a code at most, and MAS gives it.
const authorizeLife = 10 * time.Minute

const (
	redirectMax = 16 << 10 // longest address that the browser may end on, in bytes
	authCodeMax = 8 << 10  // longest authorization code that is believed, in bytes
)

// ErrOtherLogin says that an address is not the answer to an Authorization. It
// means nothing for the login: anybody can make up such an address.
var ErrOtherLogin = errors.New("this is not the address that this login ends on")

// An Authorization is an authorization request (RFC 6749 section 4.1.1, with
// PKCE, RFC 7636) that a person answers in a browser. Its link holds nothing
// that would be of use to anybody else.
type Authorization struct {
	URI         string    // to open in a browser
	RedirectURI string    // where the browser ends, followed by a query
	Expiry      time.Time // until when the answer is waited for
	DeviceID    string    // the fresh Matrix device, empty where the scope names none
	Scope       string    // what is asked for
	DeviceName  string    // goes into the User-Agent of the token request; may be empty

	issuer   string
	mustName bool // the answer must name the issuer
	state    Secret
	verifier Secret
}

// Authorize makes the link to the authorization endpoint. Nothing is sent.
//
// Errors: those of [Server.CheckBrowserLogin], and KindInvalid for an endpoint
// whose own query meddles with the request.
func (a *Agent) Authorize(s Server, c Client, want Request, redirectURI string) (Authorization, error) {
	if err := s.CheckBrowserLogin(true); err != nil {
		return Authorization{}, err
	}
	z := Authorization{RedirectURI: redirectURI, Expiry: time.Now().Add(authorizeLife), DeviceID: want.DeviceID,
		Scope: want.Scope, DeviceName: want.DeviceName, issuer: s.Issuer, mustName: s.NamesIssuer,
		state: NewSecret(rand.Text()), verifier: NewSecret(oauth2.GenerateVerifier())}
	conf := oauth2.Config{ClientID: c.ID, Endpoint: s.Endpoint(), RedirectURL: redirectURI, Scopes: strings.Fields(want.Scope)}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(z.verifier.Reveal()),
		oauth2.SetAuthURLParam("response_mode", "query")} // a fragment would never reach the listener
	if slices.Contains(conf.Scopes, "offline_access") { // OpenID Connect Core section 11: ignored without
		options = append(options, oauth2.SetAuthURLParam("prompt", "consent"))
	}
	z.URI = conf.AuthCodeURL(z.state.Reveal(), options...)
	u, err := url.Parse(z.URI)
	if err != nil {
		return Authorization{}, &Error{Kind: KindBug, Op: opRedirect.String(), Problem: "the link cannot be made"}
	}
	for name, values := range u.Query() {
		if len(values) > 1 {
			return Authorization{}, &Error{Kind: KindInvalid, Op: opRedirect.String(), Host: u.Host,
				Problem: "the authorization_endpoint that " + hostOf(s.Issuer) + " names sets " + Clean(name, 40) + " itself"}
		}
	}
	return z, nil
}

// Redirected reads the address that the browser ended on (RFC 6749 sections
// 4.1.2 and 4.1.2.1, RFC 9207) and returns the authorization code.
//
// Errors: ErrOtherLogin for an address that is none of this request's: another
// place, or without its state. With its state: KindDeclined, KindTemporary or
// KindRefused for an error of the server, and KindInvalid for an answer that
// names another issuer, no issuer where the server promised one, no usable code,
// or something twice.
func (z Authorization) Redirected(address string) (Secret, error) {
	q, ok := z.query(address)
	if !ok || !z.ours(q) {
		return Secret{}, ErrOtherLogin
	}
	ans := answer{op: opRedirect, host: hostOf(z.issuer), whole: true, object: true,
		secret: []Secret{z.state, z.verifier, NewSecret(q.Get("code"))}}
	bad := func(what string) (Secret, error) {
		return Secret{}, ans.fail(KindInvalid, "the answer that the browser brought "+what)
	}
	for _, name := range []string{"code", "error", "error_description", "iss"} {
		if len(q[name]) > 1 {
			return bad("holds " + name + " twice")
		}
	}
	switch iss := q.Get("iss"); {
	case q.Has("iss") && iss != z.issuer:
		return bad("is from another issuer than " + z.issuer + ": " + ans.quote(iss, 120))
	case z.mustName && !q.Has("iss"):
		return bad("names no issuer, and " + ans.host + " promised that it would")
	case q.Has("error"):
		ans.setError(q.Get("error"), q.Get("error_description"))
		return Secret{}, ans.refusal(judge(ans))
	case !printable(q.Get("code"), authCodeMax):
		return bad("holds no usable code")
	}
	return NewSecret(q.Get("code")), nil
}

// query returns the query of an address, if it is the redirect URI with one. A
// fragment is not part of it: MAS sends an empty one along.
func (z Authorization) query(address string) (url.Values, bool) {
	if len(address) > redirectMax {
		return nil, false
	}
	base, raw, _ := strings.Cut(address, "?")
	raw, _, _ = strings.Cut(raw, "#")
	q, err := url.ParseQuery(raw)
	return q, err == nil && base == z.RedirectURI
}

// ours reports whether a query holds the state of this request, once.
func (z Authorization) ours(q url.Values) bool {
	return len(q["state"]) == 1 && NewSecret(q.Get("state")).Equal(z.state)
}
