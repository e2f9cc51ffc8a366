package flowtest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// continuwuity is what Continuwuity 26.8-alpha does, homeserver and
// authorization server in one, with OAuth beside the older logins
// (compatibility mode "hybrid", its default).
func continuwuity() traits {
	const base = "_continuwuity/oauth2/"
	return traits{
		oneOrigin: true,
		paths: paths{register: base + "client/register", device: base + "device", token: base + "grant/token", // api/client/oauth/mod.rs:18
			revoke: base + "client/revoke", keys: base + "client/keys.json", authorize: base + "grant/authorization_code",
			verify: base + "grant/device_code", account: "_continuwuity/account/deeplink"},
		codeLifetime:  time.Minute, // service/oauth/mod.rs:111
		interval:      0,           // service/oauth/grant.rs:46
		tokenLifetime: time.Hour,   // service/oauth/mod.rs:173
		complete:      "user_code",
		autofill:      true,
		userCode:      func() string { return randomFrom("0123456789", 6) }, // service/oauth/mod.rs:179
		tokens:        func() (string, string) { return randomString(32), randomString(32) },
		clientID: func(digest [32]byte, _ time.Time) string { // service/oauth/mod.rs:198
			return base64.StdEncoding.EncodeToString(digest[:])
		},
		deviceName:   func(client, _ string) string { return client }, // service/oauth/mod.rs:580
		noDenial:     true,                                            // web/pages/oauth/grant.rs:127
		lateApproval: true,                                            // service/oauth/mod.rs:409
		metadata:     (*Server).continuwuityMetadata,
		register:     (*Server).continuwuityRegister,
		device:       (*Server).continuwuityDevice,
		token:        (*Server).continuwuityToken,
		revoke:       (*Server).continuwuityRevoke,
		requester: direct( // api/router/auth.rs:180,188,262
			matrixError(http.StatusUnauthorized, "M_UNAUTHORIZED", "Missing access token."),
			unknownToken("Invalid token"),
			softLogout("This token has expired"),
		),
		versions: 18,
		features: func() map[string]bool { return nil },
	}
}

// continuwuityMetadata is api/client/oauth/server_metadata.rs:33. It names no
// authentication methods, no scopes and no userinfo endpoint.
func (s *Server) continuwuityMetadata() map[string]any {
	p := s.traits.paths
	var actions []string
	for name := range strings.FieldsSeq("account_deactivate cross_signing_reset device_delete device_view devices_list profile") {
		actions = append(actions, "org.matrix."+name)
	}
	return map[string]any{
		"account_management_uri":               s.Issuer + p.account,
		"account_management_actions_supported": actions,
		"authorization_endpoint":               s.Issuer + p.authorize,
		"code_challenge_methods_supported":     []string{"S256"},
		"device_authorization_endpoint":        s.Issuer + p.device,
		"grant_types_supported":                []string{grantCode, grantRefresh, grantDeviceCode},
		"issuer":                               s.Issuer,
		"jwks_uri":                             s.Issuer + p.keys,
		"prompt_values_supported":              []string{},
		"registration_endpoint":                s.Issuer + p.register,
		"response_modes_supported":             []string{"query", "fragment"},
		"response_types_supported":             []string{"code"},
		"revocation_endpoint":                  s.Issuer + p.revoke,
		"token_endpoint":                       s.Issuer + p.token,
	}
}

// continuwuityClient is a registration as Continuwuity reads, keeps and echoes it
// (service/oauth/client_metadata.rs:9).
type continuwuityClient struct {
	ApplicationType string   `json:"application_type"`
	ClientName      *string  `json:"client_name,omitempty"`
	ClientURI       *string  `json:"client_uri"`
	GrantTypes      []string `json:"grant_types"`
	LogoURI         *string  `json:"logo_uri,omitempty"`
	PolicyURI       *string  `json:"policy_uri,omitempty"`
	RedirectURIs    []string `json:"redirect_uris"`
	ResponseTypes   []string `json:"response_types"`
	AuthMethod      *string  `json:"token_endpoint_auth_method,omitempty"`
	TOSURI          *string  `json:"tos_uri,omitempty"`
}

// continuwuityRegister is service/oauth/mod.rs:192: open to everyone, and the
// same metadata are the same client. No issue time is told.
func (s *Server) continuwuityRegister(c *call) answer {
	m := continuwuityClient{ApplicationType: "web"}
	switch bad := axumJSON(c, &m); {
	case bad != nil:
		return *bad
	case m.ClientURI == nil:
		return axumText(http.StatusUnprocessableEntity, "Failed to deserialize the JSON body into the target type: missing field `client_uri`")
	}
	m.GrantTypes = continuwuityKnown(m.GrantTypes, grantCode, grantDeviceCode, grantRefresh)
	m.ResponseTypes = continuwuityKnown(m.ResponseTypes, "code")
	m.RedirectURIs = append([]string{}, m.RedirectURIs...)
	if problem := m.problem(); problem != "" {
		return continuwuityError("invalid_client_metadata", problem)
	}
	cl, echo := s.client(m, m.ClientName, m.GrantTypes)
	echo["client_id"] = cl.id
	return axumAnswer(http.StatusCreated, echo)
}

// continuwuityKnown keeps the types that are known, in Continuwuity's order
// (service/oauth/client_metadata.rs:133,150).
func continuwuityKnown(types []string, known ...string) []string {
	return slices.DeleteFunc(known, func(t string) bool { return !slices.Contains(types, t) })
}

// problem is service/oauth/client_metadata.rs:43.
func (m *continuwuityClient) problem() string {
	home, ok := httpsURL(*m.ClientURI)
	if !ok {
		return "Client URI must be HTTPS."
	}
	for _, uri := range []*string{m.LogoURI, m.PolicyURI, m.TOSURI} {
		if uri == nil {
			continue
		}
		u, ok := httpsURL(*uri)
		switch {
		case !ok:
			return "All metadata URIs must be HTTPS."
		case !sameOrBelow(u.Hostname(), home.Hostname()):
			return "All metadata URIs must be subdomains of the client URI."
		}
	}
	for _, uri := range m.RedirectURIs {
		if problem := m.redirectProblem(uri, home.Hostname()); problem != "" {
			return problem
		}
	}
	return ""
}

func (m *continuwuityClient) redirectProblem(raw, home string) string {
	u, err := url.Parse(raw)
	native := m.ApplicationType == "native"
	switch {
	case err != nil:
		return "A redirect URI's scheme is not valid for this application type."
	case u.Scheme == "https" && u.User != nil:
		return "HTTPS redirect URIs must not contain credentials."
	case u.Scheme == "https":
		return ""
	case native && u.Scheme == "http" && !loopbackName(strings.TrimSuffix(u.Host, ":"+u.Port())):
		return "HTTP redirect URIs for native applications must only refer to localhost."
	case native && u.Scheme == "http" && u.Port() != "":
		return "HTTP redirect URIs for native applications do not need to specify a port. All ports will be accepted during authorization."
	case native && u.Scheme == "http":
		return ""
	case !native:
		return "A redirect URI's scheme is not valid for this application type."
	case !backwards(home, u.Scheme):
		return "Private-use scheme URIs for native applications must begin with the application's client URI domain in reverse-DNS notation."
	case u.Host != "":
		return "Private-use scheme URIs for native applications must not have an authority."
	}
	return ""
}

// continuwuityError is how every refusal looks, invalid_client too
// (api/client/oauth/token.rs:11, api/client/oauth/device.rs:11).
func continuwuityError(code, problem string) answer {
	return oauthProblem(http.StatusBadRequest, code, problem)
}

// continuwuityClientFor finds the client that a request names and holds its
// grants against what it wants to do (service/oauth/mod.rs:324,437).
func (s *Server) continuwuityClientFor(c *call, grantType string) (*client, *answer) {
	var a answer
	cl := s.state.clients[c.form.Get("client_id")]
	switch {
	case cl == nil:
		a = continuwuityError("invalid_client", "Invalid client ID")
	case !slices.Contains(cl.grants, grantType):
		a = continuwuityError("unauthorized_client", "Client cannot request this grant type")
	default:
		return cl, nil
	}
	return nil, &a
}

// continuwuityGrants is how many codes are kept at once; the one that was not
// asked for the longest has to go (service/oauth/mod.rs:177).
const continuwuityGrants = 100

// continuwuityDevice is service/oauth/mod.rs:324. The scope is checked at once.
func (s *Server) continuwuityDevice(c *call) answer {
	if bad := axumForm(c, "client_id", "scope"); bad != nil {
		return *bad
	}
	cl, refused := s.continuwuityClientFor(c, grantDeviceCode)
	if refused != nil {
		return *refused
	}
	sc, problem := continuwuityScope(c.form.Get("scope"))
	if problem != "" {
		return continuwuityError("invalid_grant", problem)
	}
	g := s.newGrant(cl, c, sc)
	if over := len(s.state.grants) - continuwuityGrants; over > 0 {
		s.state.grants = slices.Delete(s.state.grants, 0, over)
	}
	return axumAnswer(http.StatusOK, s.codes(g))
}

// continuwuityScope is service/oauth/grant.rs:116. Its patterns are not anchored,
// so longer words pass for the scope inside them; openid is taken and forgotten.
// What comes back is spelled the stable way, the device first.
func continuwuityScope(asked string) (sc scope, problem string) {
	for word := range strings.SplitSeq(asked, " ") {
		var found string
		switch device := continuwuityDeviceID(word); {
		case strings.Contains(word, stableScope+"api:*") || strings.Contains(word, unstableScope+"api:*"):
			found = stableScope + "api:*"
		case device != "":
			found = stableScope + "device:" + device
		case word == "openid":
			continue
		default:
			return nil, "Invalid scope: " + word
		}
		if sc.has(found) {
			return nil, "Scope was specified more than once"
		}
		sc = append(sc, found)
	}
	slices.SortFunc(sc, func(a, b string) int { return strings.Compare(b, a) }) // "device:…" before "api:*"
	return sc, ""
}

// continuwuityDeviceID is the device ID in a scope word, "" if it holds none of
// five characters or more.
func continuwuityDeviceID(word string) string {
	for _, family := range []string{stableScope, unstableScope} {
		_, id, ok := strings.Cut(word, family+"device:")
		if end := strings.IndexFunc(id, outside(alphanumeric+"-._~")); end >= 0 {
			id = id[:end]
		}
		if ok && len(id) >= 5 {
			return id
		}
	}
	return ""
}

// continuwuityToken is service/oauth/mod.rs:437.
func (s *Server) continuwuityToken(c *call) answer {
	fields := map[string]string{grantDeviceCode: "device_code", grantRefresh: "refresh_token", grantCode: "code"}
	grantType := c.form.Get("grant_type")
	if bad := axumForm(c, "client_id", "grant_type"); bad != nil {
		return *bad
	}
	if fields[grantType] == "" {
		return axumText(http.StatusUnprocessableEntity, "Failed to deserialize form body: unknown variant `"+grantType+"`")
	}
	if bad := axumForm(c, fields[grantType]); bad != nil {
		return *bad
	}
	cl, refused := s.continuwuityClientFor(c, grantType)
	switch {
	case refused != nil:
		return *refused
	case grantType == grantDeviceCode:
		return s.continuwuityPoll(cl, c)
	case grantType == grantRefresh:
		return s.continuwuityRefresh(cl, c.form.Get("refresh_token"))
	}
	return continuwuityError("invalid_grant", "Invalid authorization code") // none was given out
}

// continuwuityPoll is service/oauth/mod.rs:478: every poll takes the code out, and
// only a pending one of the right client goes back in. So a poll with another
// client_id destroys it, and a login that fails cannot be tried again.
func (s *Server) continuwuityPoll(cl *client, c *call) answer {
	g := s.grantByDeviceCode(c.form.Get("device_code"))
	if g != nil {
		s.forgetGrant(g)
	}
	switch {
	case g == nil || g.client != cl || !g.expires.After(s.now()):
		return continuwuityError("expired_token", "Invalid device code")
	case g.decision == pending:
		s.state.grants = append(s.state.grants, g)
		return continuwuityError("authorization_pending", "Authorization is pending")
	}
	id := g.scope.deviceID()
	switch _, taken := g.person.devices[id]; {
	case id == "":
		return continuwuityError("invalid_grant", "No device ID scope supplied") // mod.rs:559
	case taken:
		return continuwuityError("invalid_scope", "A device with the supplied ID already exists for this user") // mod.rs:569
	}
	return axumAnswer(http.StatusOK, s.tokenResponse(s.begin(cl, g.person, g.scope, c.UserAgent(), true)))
}

// continuwuityRefresh is service/oauth/mod.rs:623: no grace, the tokens before are
// gone at once. A refresh token of another client runs into an assertion.
func (s *Server) continuwuityRefresh(cl *client, presented string) answer {
	t := s.state.refresh[presented]
	switch {
	case t == nil || t.session.ended || t.session.current != t:
		return continuwuityError("invalid_grant", "Invalid refresh token")
	case t.session.client != cl: // mod.rs:639, router/layers.rs:174
		return matrixAnswer(http.StatusInternalServerError, map[string]any{"errcode": "M_UNKNOWN",
			"error":   "M_UNKNOWN: Internal server error occurred",
			"details": "assertion `left == right` failed: refresh token client id mismatch"})
	}
	t.access.revoked = true
	return axumAnswer(http.StatusOK, s.tokenResponse(s.issue(t.session, true)))
}

// continuwuityRevoke is service/oauth/mod.rs:514: the client is not looked at, and
// what is unknown is an error.
func (s *Server) continuwuityRevoke(c *call) answer {
	if bad := axumForm(c, "token"); bad != nil {
		return *bad
	}
	var se *session
	token := c.form.Get("token")
	if t := s.state.access[token]; t != nil && !t.revoked {
		se = t.session
	} else if t := s.state.refresh[token]; t != nil && t.session.current == t {
		se = t.session
	}
	if se == nil || se.ended {
		return continuwuityError("invalid_grant", "Invalid access or refresh token")
	}
	s.end(se)
	return text(http.StatusOK, "", "Access-Control-Allow-Origin", everyOrigin)
}
