package flowtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// decision is what became of a device code.
type decision int

const (
	pending decision = iota
	approved
	rejected
	exchanged
)

// A grant is one device authorization (RFC 8628), from the code to the tokens.
type grant struct {
	id         string
	deviceCode string
	userCode   string
	client     *client
	scope      scope
	created    time.Time
	expires    time.Time
	decision   decision
	person     *person // who decided
	agent      string  // User-Agent of the device request: the device line of the consent page
	addr       string
}

func (g *grant) expired(now time.Time) bool { return g.expires.Before(now) }

// deviceAuthorization hands out codes. Scopes are not checked here; that the
// grant is off is said before anyone asks who is asking.
func (s *Server) deviceAuthorization(c *call) answer {
	cr, refused := present(c, func(f url.Values) string {
		if problem := scoped(f); problem != "" {
			return problem
		}
		return need(f)
	})
	if refused != nil {
		return *refused
	}
	if !s.state.deviceGrant {
		return oauthProblem(http.StatusBadRequest, "invalid_request", "The Device Authorization Grant is disabled on this server")
	}
	cl, refused := s.identify(cr)
	if refused == nil {
		refused = cl.verify(cr)
	}
	switch {
	case refused != nil:
		return *refused
	case c.form == nil:
		return oauthError(http.StatusBadRequest, "invalid_request")
	case !slices.Contains(cl.grants, grantDeviceCode):
		return oauthError(http.StatusUnauthorized, "unauthorized_client")
	}
	sc, _ := parseScope(c.form.Get("scope")) // checked with the form; none is fine
	return tokenAnswer(s.codes(s.newGrant(cl, c, sc)))
}

func (s *Server) newGrant(cl *client, c *call, sc scope) *grant {
	now := s.now()
	g := &grant{
		id:         newULID(now),
		deviceCode: randomString(32),
		userCode:   s.traits.userCode(),
		client:     cl,
		scope:      sc,
		created:    now,
		expires:    now.Add(s.conf.codeLifetime),
		agent:      c.UserAgent(),
		addr:       c.RemoteAddr,
	}
	s.state.grants = append(s.state.grants, g)
	return g
}

// codes is the device authorization response (RFC 8628 section 3.2).
func (s *Server) codes(g *grant) map[string]any {
	m := map[string]any{
		"device_code":      g.deviceCode,
		"user_code":        g.userCode,
		"verification_uri": s.Issuer + s.traits.paths.verify,
		"expires_in":       int(s.conf.codeLifetime.Seconds()),
	}
	if s.conf.interval > 0 {
		m["interval"] = int(s.conf.interval.Seconds())
	}
	if s.conf.autofill {
		m["verification_uri_complete"] = s.Issuer + s.traits.paths.verify + "?" + s.traits.complete + "=" + g.userCode
	}
	return m
}

// grantByCode finds what a person typed, in either case, with or without its
// hyphen.
func (s *Server) grantByCode(userCode string) *grant {
	plain := func(code string) string {
		return strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(code)), "-", "")
	}
	for _, g := range slices.Backward(s.state.grants) {
		if plain(g.userCode) == plain(userCode) {
			return g
		}
	}
	return nil
}

func (s *Server) grantByDeviceCode(code string) *grant {
	for _, g := range s.state.grants {
		if g.deviceCode == code {
			return g
		}
	}
	return nil
}

// forgetGrant makes a code unknown.
func (s *Server) forgetGrant(g *grant) {
	s.state.grants = slices.DeleteFunc(s.state.grants, func(other *grant) bool { return other == g })
}

// poll is a token request with a device code. Expiry is looked at before the
// decision, so a code that was approved and fetched too late has expired.
func (s *Server) poll(cl *client, c *call) answer {
	switch {
	case !s.state.deviceGrant:
		return oauthError(http.StatusBadRequest, "unsupported_grant_type")
	case !slices.Contains(cl.grants, grantDeviceCode):
		return oauthError(http.StatusUnauthorized, "unauthorized_client")
	}
	g := s.grantByDeviceCode(c.form.Get("device_code"))
	if g == nil || g.client != cl {
		return oauthError(http.StatusBadRequest, "invalid_grant")
	}
	switch {
	case g.expired(s.now()):
		return oauthError(http.StatusForbidden, "expired_token")
	case g.decision == pending:
		return oauthError(http.StatusForbidden, "authorization_pending")
	case g.decision == rejected:
		return oauthError(http.StatusForbidden, "access_denied")
	case g.decision == exchanged:
		return oauthError(http.StatusBadRequest, "invalid_grant")
	}
	g.decision = exchanged
	access, refresh := s.begin(cl, g.person, g.scope, c.UserAgent(), slices.Contains(cl.grants, grantRefresh))
	m := s.tokenResponse(access, refresh)
	if g.scope.has("openid") {
		m["id_token"] = s.idToken(access)
	}
	return tokenAnswer(m)
}

// Pending returns the user codes that wait for a decision, oldest first.
func (s *Server) Pending() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var codes []string
	for _, g := range s.state.grants {
		if g.decision == pending && !g.expired(s.now()) {
			codes = append(codes, g.userCode)
		}
	}
	return codes
}
