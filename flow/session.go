package flow

import (
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// A Server is what discovery found: the issuer and its endpoints, each checked
// and from then on pinned. A token is never sent to an address that is not in
// its session's Server (RFC 9700 section 2.1).
type Server struct {
	Name          string   // as the user knows it: "example.org", or the issuer's host
	Homeserver    string   // base URL of the client-server API, no last slash; empty for a plain issuer
	Issuer        string   // RFC 8414 issuer, as the server writes it
	Device        string   // device_authorization_endpoint, RFC 8628; may be empty
	Token         string   // token_endpoint
	Registration  string   // registration_endpoint, RFC 7591; may be empty
	Revocation    string   // revocation_endpoint, RFC 7009; may be empty
	Authorization string   // authorization_endpoint; may be empty
	Userinfo      string   // userinfo_endpoint, OpenID Connect; may be empty
	Account       string   // account_management_uri, MSC4191; may be empty
	Actions       []string // account_management_actions_supported
	OfflineAccess bool     // offline_access is among scopes_supported, or those are not stated
	PKCE          bool     // S256 is among the code_challenge_methods_supported, RFC 7636
	NamesIssuer   bool     // authorization_response_iss_parameter_supported, RFC 9207
}

// Matrix reports whether a homeserver stands in front of the issuer.
func (s Server) Matrix() bool { return s.Homeserver != "" }

// Endpoint returns the addresses in x/oauth2's form, for use with
// [oauth2.Config]. The client is public: its ID goes into the form.
func (s Server) Endpoint() oauth2.Endpoint {
	return oauth2.Endpoint{
		AuthURL:       s.Authorization,
		DeviceAuthURL: s.Device,
		TokenURL:      s.Token,
		AuthStyle:     oauth2.AuthStyleInParams,
	}
}

// A Client is one registration (RFC 7591), or an ID that an administrator made.
type Client struct {
	ID     string
	Secret Secret // empty for a public client
	Basic  bool   // the secret goes into an Authorization header (client_secret_basic)
}

// A Code is what a person needs to approve a login on another device
// (RFC 8628 section 3.2).
type Code struct {
	UserCode                string // as the server wrote it; never change its case
	VerificationURI         string
	VerificationURIComplete string        // empty where the server has none, as MAS by default
	Expiry                  time.Time     // counted from before the request was sent
	Interval                time.Duration // least pause between two polls, 1 s to 60 s
	DeviceID                string        // the fresh Matrix device, empty where the scope names none
	Scope                   string        // what was asked for
	DeviceName              string        // what the person will read on the consent page; may be empty

	deviceCode Secret
}

// Link returns the address that a QR code should hold.
func (c Code) Link() string {
	if c.VerificationURIComplete != "" {
		return c.VerificationURIComplete
	}
	return c.VerificationURI
}

// A Session is all that a refresh needs, and nothing of where it is kept.
type Session struct {
	Server       Server
	Client       Client
	UserID       string // "@alice:example.org", or the subject at a plain issuer; empty until known
	DeviceID     string // Matrix device; empty where the scope names none
	DeviceName   string // goes into the User-Agent of token requests; may be empty
	Scope        string // as granted, in the server's order; compare with SameScope
	AccessToken  Secret
	RefreshToken Secret
	Issued       time.Time // when the access token was asked for
	Expiry       time.Time // of the access token; zero if the server did not say

	// RefreshLife is how long the refresh token is good for unless it is used,
	// as an answer said it just now (Keycloak's refresh_expires_in); 0 where
	// none did. It is not stored.
	RefreshLife time.Duration
}

// Token returns the access token in x/oauth2's form. The refresh token stays
// out of it on purpose: a second party that rotates it ends the session.
func (s Session) Token() *oauth2.Token {
	return &oauth2.Token{AccessToken: s.AccessToken.Reveal(), TokenType: "Bearer", Expiry: s.Expiry}
}

// FreshFor reports whether the access token is good for at least ttl from now.
// ttl is capped at half of the token's whole life, so that a server with short
// tokens is not asked for a new one at every call. A token whose expiry the
// server did not state counts as fresh for five minutes.
//
// A clock that was set back would make an old token look young: a token from
// the future is not fresh.
func (s Session) FreshFor(now time.Time, ttl time.Duration) bool {
	return s.fresh(now, ttl, true)
}

// Lasts reports whether the access token is good for ttl from now, without
// FreshFor's cap.
func (s Session) Lasts(now time.Time, ttl time.Duration) bool {
	return s.fresh(now, ttl, false)
}

// clockSlack is how far a clock may run behind the one that stored a token.
const clockSlack = time.Minute

func (s Session) fresh(now time.Time, ttl time.Duration, capped bool) bool {
	if s.AccessToken.Empty() || now.Add(clockSlack).Before(s.Issued) {
		return false
	}
	expiry := s.Expiry
	if expiry.IsZero() {
		expiry = s.Issued.Add(5 * time.Minute)
	}
	if half := expiry.Sub(s.Issued) / 2; capped && ttl > half {
		ttl = half
	}
	return now.Add(ttl).Before(expiry)
}

// granted returns the session with the scope that the server granted. A device
// that is not in it is not the session's; one that the server chose is.
func (s Session) granted(scope string) Session {
	s.Scope = scope
	for _, w := range strings.Fields(scope) {
		if id, ok := strings.CutPrefix(stable(w), ScopeDevice); ok && s.DeviceID == "" && printable(id, 255) {
			s.DeviceID = id
		}
	}
	if s.DeviceID != "" && !s.HasScope(ScopeDevice+s.DeviceID) {
		s.DeviceID = ""
	}
	return s
}

// HasScope reports whether one of the session's scope words is word, in its
// stable or its unstable spelling.
func (s Session) HasScope(word string) bool {
	for _, w := range strings.Fields(s.Scope) {
		if stable(w) == stable(word) {
			return true
		}
	}
	return false
}
