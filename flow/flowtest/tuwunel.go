package flowtest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// tuwunel is what Tuwunel 1.9.0 does, homeserver and authorization server in
// one, with the options of its configuration at their defaults.
func tuwunel() traits {
	const base = "_tuwunel/oidc/"
	return traits{
		oneOrigin: true,
		paths: paths{register: base + "registration", device: base + "device_authorization", token: base + "token",
			revoke: base + "revoke", userinfo: base + "userinfo", keys: base + "jwks", authorize: base + "authorize",
			verify: base + "device", account: base + "account"},
		codeLifetime:  30 * time.Minute,   // service/oauth/server/device.rs:72
		interval:      5 * time.Second,    // service/oauth/server/device.rs:73
		tokenLifetime: 7 * 24 * time.Hour, // core/config/mod.rs:5539
		complete:      "user_code",
		autofill:      true,
		userCode:      tuwunelUserCode,
		tokens:        func() (string, string) { return randomString(32), "refresh_" + randomString(32) }, // service/users/device.rs:313,559
		clientID: func(digest [32]byte, _ time.Time) string { // service/oauth/server/client.rs:66
			return base64.RawURLEncoding.EncodeToString(digest[:])
		},
		deviceName: func(client, _ string) string { // api/oidc/token.rs:212
			if client == "" {
				return "OIDC Client"
			}
			return client
		},
		metadata: (*Server).tuwunelMetadata,
		register: (*Server).tuwunelRegister,
		device:   (*Server).tuwunelDevice,
		token:    (*Server).tuwunelToken,
		revoke:   (*Server).tuwunelRevoke,
		userinfo: (*Server).tuwunelUserinfo,
		requester: direct( // api/router/auth/dispatch.rs:120,235,242
			matrixError(http.StatusUnauthorized, "M_MISSING_TOKEN", "Missing access token."),
			unknownToken("Unknown access token."),
			softLogout("Expired access token."),
		),
		versions: 19, // api/client/versions.rs:54
		features: func() map[string]bool {
			return map[string]bool{"org.matrix.msc3861": true, "org.matrix.msc2964": true, "org.matrix.msc2965": true, "org.matrix.msc2966": true, "org.matrix.msc2967": true}
		},
	}
}

// tuwunelUserCode is ten consonants with a hyphen in the middle
// (service/oauth/server/device.rs:60,65,271).
func tuwunelUserCode() string {
	const consonants = "BCDFGHJKLMNPQRSTVWXZ"
	return randomFrom(consonants, 5) + "-" + randomFrom(consonants, 5)
}

// tuwunelMetadata is the document of api/oidc/auth_metadata.rs:32.
func (s *Server) tuwunelMetadata() map[string]any {
	p := s.traits.paths
	return map[string]any{
		"issuer":                                s.Issuer,
		"authorization_endpoint":                s.Issuer + p.authorize,
		"registration_endpoint":                 s.Issuer + p.register,
		"userinfo_endpoint":                     s.Issuer + p.userinfo,
		"token_endpoint":                        s.Issuer + p.token,
		"device_authorization_endpoint":         s.Issuer + p.device,
		"jwks_uri":                              s.Issuer + p.keys,
		"account_management_uri":                s.Issuer + p.account,
		"revocation_endpoint":                   s.Issuer + p.revoke,
		"response_modes_supported":              []string{"query", "fragment"},
		"response_types_supported":              []string{"code"},
		"code_challenge_methods_supported":      []string{"S256"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"prompt_values_supported":               []string{},
		"subject_types_supported":               []string{"public"},
		"claim_types_supported":                 []string{"normal"},
		"grant_types_supported":                 []string{grantCode, grantRefresh, grantDeviceCode},
		"token_endpoint_auth_methods_supported": []string{"none", "client_secret_basic", "client_secret_post"},
		"scopes_supported": []string{"openid", stableScope + "api:*", unstableScope + "api:*",
			stableScope + "device:*", unstableScope + "device:*"},
		"account_management_actions_supported": append(accountActions(), "org.matrix.account_deactivate"),
		"claims_supported":                     []string{"iss", "sub", "aud", "exp", "iat", "nonce"},
	}
}

// tuwunelClient is a registration as Tuwunel reads, keeps and echoes it: members
// that were not sent come back as null (api/oidc/registration.rs:86).
type tuwunelClient struct {
	RedirectURIs    *[]string `json:"redirect_uris"`
	ClientName      *string   `json:"client_name"`
	ClientURI       *string   `json:"client_uri"`
	LogoURI         *string   `json:"logo_uri"`
	Contacts        []string  `json:"contacts"`
	AuthMethod      *string   `json:"token_endpoint_auth_method"`
	GrantTypes      []string  `json:"grant_types"`
	ResponseTypes   []string  `json:"response_types"`
	ApplicationType *string   `json:"application_type"`
	PolicyURI       *string   `json:"policy_uri"`
	TOSURI          *string   `json:"tos_uri"`
	SoftwareID      *string   `json:"software_id"`
	SoftwareVersion *string   `json:"software_version"`
}

// tuwunelRegister is api/oidc/registration.rs:29. Whoever sends the same, the
// device grant aside, gets the same client (service/oauth/server/client.rs:57):
// it is dropped before the hash is taken, comes back in no answer, and works
// all the same.
func (s *Server) tuwunelRegister(c *call) answer {
	var m tuwunelClient
	switch bad := axumJSON(c, &m); {
	case bad != nil:
		return *bad
	case m.RedirectURIs == nil:
		return axumText(http.StatusUnprocessableEntity, "Failed to deserialize the JSON body into the target type: missing field `redirect_uris`")
	case s.conf.initialToken != "" && bearer(c) != s.conf.initialToken: // registration.rs:41
		return matrixError(http.StatusForbidden, "M_FORBIDDEN",
			"A valid initial access token is required; this server has oidc_registration_access_token set")
	}
	if code, problem := m.problem(); problem != "" {
		return oauthProblem(http.StatusBadRequest, code, problem)
	}
	m.prune()
	cl, echo := s.client(m, m.ClientName, m.GrantTypes)
	echo["client_id"], echo["client_id_issued_at"] = cl.id, cl.issued
	return axumAnswer(http.StatusCreated, echo)
}

// prune drops the types that Tuwunel does not know, the device grant among them,
// sorts, and fills in what was not sent (service/oauth/server/client.rs:15,74,123).
func (m *tuwunelClient) prune() {
	known := func(types, known []string) []string {
		if types == nil {
			return known
		}
		kept := slices.DeleteFunc(slices.Clone(types), func(t string) bool { return !slices.Contains(known, t) })
		slices.Sort(kept)
		return kept
	}
	slices.Sort(*m.RedirectURIs)
	slices.Sort(m.Contacts)
	m.Contacts = append([]string{}, m.Contacts...)
	m.GrantTypes = known(m.GrantTypes, []string{grantCode, grantRefresh})
	m.ResponseTypes = known(m.ResponseTypes, []string{"code"})
	if m.AuthMethod == nil {
		none := "none"
		m.AuthMethod = &none
	}
}

// problem is api/oidc/registration.rs:108.
func (m *tuwunelClient) problem() (code, problem string) {
	const metadata, redirect = "invalid_client_metadata", "invalid_redirect_uri"
	if len(*m.RedirectURIs) == 0 {
		return redirect, "redirect_uris must not be empty"
	}
	if m.ClientURI == nil {
		return metadata, "client_uri is required"
	}
	home, ok := httpsURL(*m.ClientURI)
	if !ok {
		return metadata, "client_uri must be an https URL with a host and no userinfo"
	}
	for _, uri := range []*string{m.LogoURI, m.TOSURI, m.PolicyURI} {
		if uri == nil {
			continue
		}
		u, ok := httpsURL(*uri)
		switch {
		case !ok:
			return metadata, "a metadata URI must be an https URL"
		case !sameOrBelow(u.Hostname(), home.Hostname()):
			return metadata, "a metadata URI must share the client_uri host"
		}
	}
	for _, uri := range *m.RedirectURIs {
		if !m.goodRedirect(uri, home.Hostname()) {
			return redirect, "redirect_uri scheme is not permitted for this application_type"
		}
	}
	if m.ResponseTypes != nil && !slices.Contains(m.ResponseTypes, "code") {
		return metadata, `response_types must include "code"`
	}
	if m.GrantTypes != nil && (!slices.Contains(m.GrantTypes, grantCode) || !slices.Contains(m.GrantTypes, grantRefresh)) {
		return metadata, `grant_types must include "authorization_code" and "refresh_token"`
	}
	return "", ""
}

// goodRedirect is api/oidc/registration.rs:178: of native applications http on
// loopback without a port, and reverse-DNS schemes; https below the client's
// host of all.
func (m *tuwunelClient) goodRedirect(raw, home string) bool {
	u, err := url.Parse(raw)
	native := m.ApplicationType != nil && *m.ApplicationType == "native"
	switch {
	case err != nil || u.Fragment != "":
		return false
	case u.Scheme == "https":
		return u.User == nil && sameOrBelow(u.Hostname(), home)
	case native && u.Scheme == "http":
		return loopbackName(u.Host) // which has no port
	}
	return native && u.Host == "" && strings.Contains(u.Scheme, ".") && backwards(home, u.Scheme)
}

// tuwunelStored forbids caching whatever the answer is (api/oidc/token.rs:89).
func tuwunelStored(a answer) answer {
	a.header.Set("Cache-Control", "no-store")
	a.header.Set("Pragma", "no-cache")
	return a
}

// tuwunelDevice is api/oidc/device.rs:79. Neither the client's grants nor the
// scope are looked at. Sixty requests at once from one address are the most,
// then one a second (service/oauth/mod.rs:90).
func (s *Server) tuwunelDevice(c *call) answer {
	if bad := axumForm(c); bad != nil {
		return tuwunelStored(*bad)
	}
	cl := s.state.clients[c.form.Get("client_id")]
	switch {
	case !s.state.bucket.take(s.now()):
		return tuwunelStored(oauthProblem(http.StatusTooManyRequests, "slow_down", "Too many requests"))
	case !c.form.Has("client_id"):
		return tuwunelStored(oauthProblem(http.StatusBadRequest, "invalid_request", "M_INVALID_PARAM: client_id is required"))
	case cl == nil:
		return tuwunelStored(oauthProblem(http.StatusUnauthorized, "invalid_client", "Unknown client_id"))
	}
	g := s.newGrant(cl, c, strings.Fields(c.form.Get("scope")))
	return tuwunelStored(axumAnswer(http.StatusOK, s.codes(g)))
}

// A bucket lets so many requests pass at once and then one a second
// (service/oauth/mod.rs:115).
type bucket struct {
	last time.Time
	left float64
}

func (b *bucket) take(now time.Time) bool {
	const burst, perSecond = 60, 1.0
	if b.last.IsZero() {
		b.last, b.left = now, burst
	}
	left := min(b.left+now.Sub(b.last).Seconds()*perSecond, burst)
	if left < 1 {
		return false
	}
	b.last, b.left = now, left-1
	return true
}

// tuwunelToken is api/oidc/token.rs:56.
func (s *Server) tuwunelToken(c *call) answer {
	if bad := axumForm(c, "grant_type"); bad != nil {
		return tuwunelStored(*bad)
	}
	switch c.form.Get("grant_type") {
	case grantDeviceCode:
		return tuwunelStored(s.tuwunelPoll(c))
	case grantRefresh:
		return tuwunelStored(s.tuwunelRefresh(c))
	case grantCode:
		return tuwunelStored(tuwunelRefusal("M_FORBIDDEN", "Invalid or expired authorization code")) // none was given out
	}
	return tuwunelStored(oauthProblem(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type"))
}

// tuwunelRefusal is how every mistake of a client is answered, a missing field
// as much as a dead token (api/oidc/token.rs:385).
func tuwunelRefusal(errcode, problem string) answer {
	return oauthProblem(http.StatusBadRequest, "invalid_grant", errcode+": "+problem)
}

// tuwunelPoll is api/oidc/token.rs:137 and service/oauth/server/device.rs:173: an
// outcome is told once, and takes the code with it.
func (s *Server) tuwunelPoll(c *call) answer {
	for _, field := range []string{"device_code", "client_id"} {
		if !c.form.Has(field) {
			return tuwunelRefusal("M_INVALID_PARAM", field+" is required")
		}
	}
	g := s.grantByDeviceCode(c.form.Get("device_code"))
	switch {
	case g == nil:
		return tuwunelRefusal("M_FORBIDDEN", "Invalid or expired device code")
	case g.client.id != c.form.Get("client_id"):
		return tuwunelRefusal("M_FORBIDDEN", "client_id mismatch")
	case g.decision == pending && !g.expired(s.now()):
		return oauthProblem(http.StatusBadRequest, "authorization_pending", "The user has not yet completed authorization")
	}
	s.forgetGrant(g)
	switch {
	case g.expired(s.now()):
		return oauthProblem(http.StatusBadRequest, "expired_token", "The device code has expired")
	case g.decision == rejected:
		return oauthProblem(http.StatusBadRequest, "access_denied", "The authorization request was denied")
	}
	granted, problem := tuwunelScope(g.scope)
	if problem != "" {
		return tuwunelRefusal("M_INVALID_PARAM", problem)
	}
	access, refresh := s.tuwunelLogin(g, granted, c.UserAgent())
	m := s.tokenResponse(access, refresh)
	if granted.has("openid") {
		m["id_token"] = s.idToken(access)
	}
	return axumAnswer(http.StatusOK, m)
}

// tuwunelScope keeps what Tuwunel knows, in its order, and drops the rest. It
// looks at it when tokens are issued, not before
// (service/oauth/server.rs:135). A device that was not asked for is made up, and
// told in the scope (api/oidc/token.rs:259).
func tuwunelScope(asked scope) (granted scope, problem string) {
	devices := 0
	for _, word := range asked {
		id, device := deviceOf(word)
		switch {
		case device && (id == "" || strings.ContainsFunc(id, outsideScope)):
			return nil, "device id contains an invalid character"
		case device:
			devices++
		case word != "openid" && !strings.HasPrefix(word, stableScope+"api:") && !strings.HasPrefix(word, unstableScope+"api:"):
			continue
		}
		granted = append(granted, word)
	}
	if devices > 1 {
		return nil, "more than one device scope requested"
	}
	if devices == 0 {
		granted = append(granted, stableScope+"device:"+randomString(10)) // service/users/device.rs:27
	}
	return granted, ""
}

// tuwunelLogin gives a device its tokens. One that is there already gets new
// ones, and its refresh token counts as spent (service/users/device.rs:35).
func (s *Server) tuwunelLogin(g *grant, granted scope, agent string) (*accessToken, *refreshToken) {
	se := s.sessionOf(g.person, granted.deviceID())
	if se == nil {
		return s.begin(g.client, g.person, granted, agent, true)
	}
	se.client, se.scope = g.client, granted
	return s.rotated(se)
}

// tuwunelGrace is how long a spent refresh token is taken once more
// (core/config/mod.rs:5541).
const tuwunelGrace = 15 * time.Second

// tuwunelRefresh is api/oidc/token.rs:287 and service/users/device.rs:500. The
// client is not looked at. A rotation leaves the former access tokens alive until
// they expire (service/users/device.rs:192). The refresh token before the newest
// is remembered: within the grace it brings a new access token and its successor
// once more, after it the device is deleted. Older ones are unknown.
func (s *Server) tuwunelRefresh(c *call) answer {
	if !c.form.Has("refresh_token") {
		return tuwunelRefusal("M_INVALID_PARAM", "refresh_token is required")
	}
	t := s.state.refresh[c.form.Get("refresh_token")]
	switch {
	case t == nil || t.session.ended || t.session.current != t && t.next != t.session.current:
		return tuwunelRefusal("M_FORBIDDEN", "Invalid refresh token")
	case t.session.current == t:
		return axumAnswer(http.StatusOK, withoutScope(s.tokenResponse(s.rotated(t.session))))
	case s.now().Unix()-t.spent.Unix() > int64(tuwunelGrace/time.Second):
		s.end(t.session)
		return tuwunelRefusal("M_FORBIDDEN", "Refresh token has already been used")
	}
	access, _ := s.issue(t.session, false)
	return axumAnswer(http.StatusOK, withoutScope(s.tokenResponse(access, t.next)))
}

// rotated gives a session new tokens; the refresh token before is spent.
func (s *Server) rotated(se *session) (*accessToken, *refreshToken) {
	former := se.current
	access, next := s.issue(se, true)
	former.next, former.spent = next, s.now()
	return access, next
}

// withoutScope is a refresh of Tuwunel's (api/oidc/token.rs:363).
func withoutScope(m map[string]any) map[string]any {
	delete(m, "scope")
	return m
}

// tuwunelRevoke is api/oidc/revoke.rs:48: whoever has a token may end its device,
// and an unknown token is as good as a known one. A spent refresh token is
// unknown.
func (s *Server) tuwunelRevoke(c *call) answer {
	if bad := axumForm(c); bad != nil {
		return tuwunelStored(*bad)
	}
	token, hint := c.form.Get("token"), c.form.Get("token_type_hint")
	switch {
	case token == "":
		return tuwunelStored(oauthProblem(http.StatusBadRequest, "invalid_request", "token parameter is required"))
	case c.form.Has("token_type_hint") && hint != "access_token" && hint != "refresh_token":
		return tuwunelStored(oauthProblem(http.StatusBadRequest, "unsupported_token_type", "token_type_hint must be access_token or refresh_token"))
	}
	if t := s.state.access[token]; t != nil {
		s.end(t.session)
	} else if t := s.state.refresh[token]; t != nil && t.session.current == t {
		s.end(t.session)
	}
	return tuwunelStored(text(http.StatusOK, "", "Access-Control-Allow-Origin", everyOrigin))
}

// tuwunelUserinfo is api/oidc/userinfo.rs:49. Only logins through an identity
// provider may ask: those of native accounts, which all logins here are, are not
// marked (api/oidc/token.rs:253).
func (s *Server) tuwunelUserinfo(c *call) answer {
	problem := "M_UNAUTHORIZED: Invalid access token"
	if t := s.state.access[bearer(c)]; t != nil && !t.session.ended {
		problem = "M_UNAUTHORIZED: Token was not issued through OIDC"
	}
	a := oauthProblem(http.StatusUnauthorized, "invalid_token", problem)
	a.header.Set("WWW-Authenticate", `Bearer realm="Matrix", error="invalid_token"`)
	return a
}
