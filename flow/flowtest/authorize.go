package flowtest

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// codeLifetime is how long MAS takes a code after the person agreed, and
// codeReuse how long after its exchange it forgives a second one.
const (
	codeLifetime = 10 * time.Minute
	codeReuse    = 20 * time.Second
)

// A codeGrant is one authorization request (RFC 6749 section 4.1), from the link
// to the tokens.
type codeGrant struct {
	id                string
	client            *client
	scope             scope
	redirect          string
	mode, state       string
	challenge, method string
	code              string
	person            *person   // who agreed
	fulfilled         time.Time // when
	exchanged         time.Time
	session           *session
}

// Authorize is a person who opens the link of an authorization request, logs in
// and agrees. It returns the address that the browser ends on, which for some
// mistakes of a client holds an error. Where it would end on a page of the
// server, the error is ErrUnknown, ErrPolicy or ErrLocked, or says what the page
// says.
func (s *Server) Authorize(link, user string) (redirect string, err error) {
	return s.visit(link, user, s.fulfill)
}

// Deny is a person who opens the link and cancels.
func (s *Server) Deny(link, user string) (redirect string, err error) {
	return s.visit(link, user, func(g *codeGrant, _ *person) (string, error) { return g.cancel(), nil })
}

func (s *Server) visit(link, user string, decide func(*codeGrant, *person) (string, error)) (string, error) {
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(link, s.Issuer+"authorize?") {
		return "", ErrUnknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.state.people[user]
	if p == nil {
		return "", ErrUnknown
	}
	g, redirect, err := s.authorization(u.Query())
	if err != nil || redirect != "" {
		return redirect, err
	}
	return decide(g, p)
}

// fulfill is the consent. The policy is asked only now.
func (s *Server) fulfill(g *codeGrant, p *person) (string, error) {
	refused := g.scope.judge(p)
	switch {
	case p.locked:
		return "", ErrLocked
	case refused != nil:
		return "", refused
	case g.person != nil:
		return "", ErrDecided
	}
	g.person, g.fulfilled = p, s.now()
	return g.back(url.Values{"code": {g.code}}), nil
}

// cancel leads back without asking MAS: its page has a plain link for it.
func (g *codeGrant) cancel() string { return g.back(url.Values{"error": {"access_denied"}}) }

// back is where the browser ends. Behind a query MAS puts an empty fragment, so
// that the browser keeps none that came from elsewhere. It sends no iss.
func (g *codeGrant) back(v url.Values) string {
	if g.state != "" {
		v.Set("state", g.state)
	}
	if g.mode == "fragment" {
		return g.redirect + "#" + v.Encode()
	}
	return g.redirect + "?" + v.Encode() + "#"
}

// authorization reads a request. A mistake that makes the redirect doubtful is an
// error and shown to the person; others are told to the client by redirect.
func (s *Server) authorization(q url.Values) (g *codeGrant, redirect string, err error) {
	cl := s.state.clients[q.Get("client_id")]
	if cl == nil {
		return nil, "", errors.New("could not find client")
	}
	uris, _ := cl.metadata["redirect_uris"].([]string)
	if !slices.Contains(uris, q.Get("redirect_uri")) && !slices.Contains(uris, withoutPort(q.Get("redirect_uri"))) {
		return nil, "", errors.New("invalid redirect uri")
	}
	mode := q.Get("response_mode")
	if !slices.Contains([]string{"", "query", "fragment"}, mode) {
		return nil, "", errors.New("invalid response mode") // form_post is left out
	}
	sc, ok := parseScope(q.Get("scope"))
	if !ok {
		//lint:ignore ST1005 the words of the server that this one stands for
		return nil, "", errors.New("Failed to deserialize query string")
	}
	g = &codeGrant{id: newULID(s.now()), client: cl, scope: sc, redirect: q.Get("redirect_uri"), mode: mode, state: q.Get("state"),
		challenge: q.Get("code_challenge"), method: q.Get("code_challenge_method"), code: randomString(32)}
	switch {
	case q.Get("response_type") != "code":
		return nil, g.back(url.Values{"error": {"unsupported_response_type"}, "error_description": {description("unsupported_response_type")}}), nil
	case !slices.Contains(cl.grants, grantCode):
		return nil, g.back(url.Values{"error": {"unauthorized_client"}, "error_description": {description("unauthorized_client")}}), nil
	}
	s.state.codes = append(s.state.codes, g)
	return g, "", nil
}

// withoutPort is the address that a loopback address may be registered as: any
// port of it will do (RFC 8252 section 7.3).
func withoutPort(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" || !loopbackName(strings.TrimSuffix(u.Host, ":"+u.Port())) {
		return address
	}
	u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	return u.String()
}

// authorizePage is the authorization endpoint. Whoever is not logged in does that
// first.
func (s *Server) authorizePage(c *call) answer {
	g, redirect, err := s.authorization(c.URL.Query())
	switch {
	case err != nil:
		return errorPage(http.StatusBadRequest, err.Error())
	case redirect != "":
		return seeOther(redirect)
	case s.visitor(c) == nil:
		return seeOther("/login?kind=continue_authorization_grant&id=" + g.id)
	}
	return seeOther("/consent/" + g.id)
}

// agreePage asks for the consent.
func (s *Server) agreePage(c *call) answer {
	g, p, refused := s.agreeing(c)
	if refused != nil {
		return *refused
	}
	if err := g.scope.judge(p); err != nil {
		return s.show(c, http.StatusOK, "done", page{ClientName: "The authorization request was denied by the policy enforced by this server", Outcome: err.Error()})
	}
	a := s.show(c, http.StatusOK, "agree", page{ClientName: g.client.name(), Back: g.cancel()})
	// A browser holds the redirect after a form against the policy too.
	a.header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' "+origin(g.redirect))
	return a
}

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (s *Server) agreePost(c *call) answer {
	if !genuine(c) {
		return errorPage(http.StatusBadRequest, badCSRF)
	}
	g, p, refused := s.agreeing(c)
	if refused != nil {
		return *refused
	}
	redirect, err := s.fulfill(g, p)
	if err != nil {
		return unexpected(err.Error())
	}
	return seeOther(redirect)
}

func (s *Server) agreeing(c *call) (*codeGrant, *person, *answer) {
	fail := func(a answer) (*codeGrant, *person, *answer) { return nil, nil, &a }
	i := slices.IndexFunc(s.state.codes, func(g *codeGrant) bool { return g.id == c.param })
	p := s.visitor(c)
	switch {
	case i < 0:
		return fail(errorPage(http.StatusNotFound, "authorization grant not found"))
	case s.state.codes[i].person != nil:
		return fail(errorPage(http.StatusConflict, "the authorization grant is not in a pending state"))
	case p == nil:
		return fail(seeOther("/login?kind=continue_authorization_grant&id=" + c.param))
	}
	return s.state.codes[i], p, nil
}

// exchangeCode is the authorization code grant. The redirect URI is not compared;
// a code that comes again ends its session, but not within 20 seconds.
func (s *Server) exchangeCode(cl *client, c *call) answer {
	if !slices.Contains(cl.grants, grantCode) {
		return oauthError(http.StatusUnauthorized, "unauthorized_client")
	}
	i := slices.IndexFunc(s.state.codes, func(g *codeGrant) bool { return g.code == c.form.Get("code") })
	if i < 0 {
		return oauthError(http.StatusBadRequest, "invalid_grant")
	}
	g := s.state.codes[i]
	if g.session != nil && s.now().Sub(g.exchanged) > codeReuse {
		s.end(g.session)
	}
	switch verifier := c.form.Get("code_verifier"); {
	case g.session != nil || g.person == nil || s.now().Sub(g.fulfilled) > codeLifetime:
		return oauthError(http.StatusBadRequest, "invalid_grant")
	case g.client != cl:
		return oauthError(http.StatusUnauthorized, "unauthorized_client")
	case (g.challenge == "") != (verifier == ""):
		return oauthError(http.StatusBadRequest, "invalid_request")
	case g.challenge != "" && !g.verify(verifier):
		return oauthError(http.StatusBadRequest, "invalid_grant")
	}
	access, refresh := s.begin(cl, g.person, g.scope, c.UserAgent(), slices.Contains(cl.grants, grantRefresh))
	g.session, g.exchanged = access.session, s.now()
	m := s.tokenResponse(access, refresh)
	if g.scope.has("openid") {
		m["id_token"] = s.idToken(access)
	}
	return tokenAnswer(m)
}

// verify holds a verifier against the challenge (RFC 7636 section 4.6).
func (g *codeGrant) verify(verifier string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	if g.method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		verifier = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return verifier == g.challenge
}
