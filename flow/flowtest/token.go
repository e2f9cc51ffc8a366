package flowtest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
)

// token is the token endpoint (RFC 6749 section 3.2).
func (s *Server) token(c *call) answer {
	cl, refused := s.authenticate(c, tokenForm)
	if refused != nil {
		return *refused
	}
	switch c.form.Get("grant_type") {
	case grantDeviceCode:
		return s.poll(cl, c)
	case grantRefresh:
		return s.rotate(cl, c.form.Get("refresh_token"))
	case grantCode:
		return s.exchangeCode(cl, c)
	case grantCredentials:
		if !slices.Contains(cl.grants, grantCredentials) {
			return oauthError(http.StatusUnauthorized, "unauthorized_client")
		}
		return oauthError(http.StatusBadRequest, "invalid_grant")
	}
	return oauthError(http.StatusBadRequest, "unsupported_grant_type")
}

// tokenForm knows what each grant needs. The scope of a refresh must be readable,
// and is ignored all the same; that of a poll is not even read.
func tokenForm(f url.Values) string {
	if problem := need(f, "grant_type"); problem != "" {
		return problem
	}
	switch f.Get("grant_type") {
	case grantDeviceCode:
		return need(f, "device_code")
	case grantCode:
		return need(f, "code")
	case grantRefresh:
		if problem := need(f, "refresh_token"); problem != "" {
			return problem
		}
		return scoped(f)
	}
	return ""
}

// rotate is the refresh grant. MAS's rules for a consumed token: as long as its
// successor has neither been refreshed nor been used, the answer must have been
// lost, so the successor dies and another takes its place, as often as it is
// asked for. After that it is refused, and the session lives on.
func (s *Server) rotate(cl *client, presented string) answer {
	if !slices.Contains(cl.grants, grantRefresh) {
		return oauthError(http.StatusUnauthorized, "unauthorized_client")
	}
	t := s.state.refresh[presented]
	if t == nil || t.session.client != cl || t.session.ended || t.revoked {
		return oauthError(http.StatusBadRequest, "invalid_grant")
	}
	if lost := t.next; lost != nil {
		if s.conf.strict {
			s.end(t.session)
			return oauthError(http.StatusBadRequest, "invalid_grant")
		}
		if !lost.valid() || lost.access.used {
			return oauthError(http.StatusBadRequest, "invalid_grant")
		}
		lost.revoked, lost.access.revoked = true, true
	} else {
		t.access.revoked = true
	}
	access, next := s.issue(t.session, true)
	t.next = next
	return tokenAnswer(s.tokenResponse(access, next))
}

func (s *Server) tokenResponse(access *accessToken, refresh *refreshToken) map[string]any {
	m := map[string]any{
		"access_token": access.value,
		"token_type":   "Bearer",
		"expires_in":   int(s.conf.tokenLifetime.Seconds()),
		"scope":        access.session.scope.String(),
	}
	if refresh != nil {
		m["refresh_token"] = refresh.value
	}
	return m
}

// idToken says who logged in (OpenID Connect Core section 2), signed with the
// key that /oauth2/keys.json shows.
func (s *Server) idToken(t *accessToken) string {
	digest := sha256.Sum256([]byte(t.value))
	claims := map[string]any{
		"iss": s.Issuer, "sub": t.session.person.sub, "aud": t.session.client.id,
		"iat": t.issued.Unix(), "exp": t.expires.Unix(), "auth_time": t.issued.Unix(),
		"at_hash": base64.RawURLEncoding.EncodeToString(digest[:16]),
	}
	signed := segment(map[string]any{"alg": "ES256", "kid": "flowtest", "typ": "JWT"}) + "." + segment(claims)
	hash := sha256.Sum256([]byte(signed))
	r, sig, err := ecdsa.Sign(rand.Reader, s.key(), hash[:])
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	both := make([]byte, 64)
	r.FillBytes(both[:32])
	sig.FillBytes(both[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(both)
}

func segment(v map[string]any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return base64.RawURLEncoding.EncodeToString(b)
}
