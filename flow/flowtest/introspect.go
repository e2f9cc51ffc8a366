package flowtest

import (
	"net/http"
	"net/url"
	"strings"
)

// look is what introspection finds: the token if it is active. The first look
// marks the token as used, which closes the window in which a lost refresh
// could be repeated.
func (s *Server) look(token string) *accessToken {
	t := s.state.access[token]
	if t == nil || !t.valid(s.now()) || t.session.ended || t.session.person.locked {
		return nil
	}
	t.used = true
	return t
}

// introspect is token introspection (RFC 7662), for the homeserver by its
// secret and for confidential clients. A public client is refused.
func (s *Server) introspect(c *call) answer {
	cr, refused := present(c, func(f url.Values) string { return need(f, "token") })
	if refused != nil {
		return *refused
	}
	if cr.method != "bearer" || cr.secret != s.Secret {
		cl, refused := s.identify(cr)
		switch {
		case refused != nil:
			return *refused
		case cl.method == "" || cl.method == "none":
			return oauthError(http.StatusUnauthorized, "access_denied")
		}
		if refused := cl.verify(cr); refused != nil {
			return *refused
		}
	}
	if c.form == nil {
		return oauthError(http.StatusBadRequest, "invalid_request")
	}
	t := s.look(c.form.Get("token"))
	if t == nil {
		return jsonAnswer(http.StatusOK, map[string]any{"active": false}, "Access-Control-Allow-Origin", everyOrigin)
	}
	return jsonAnswer(http.StatusOK, s.introspection(t), "Access-Control-Allow-Origin", everyOrigin)
}

func (s *Server) introspection(t *accessToken) map[string]any {
	m := map[string]any{
		"active": true, "token_type": "access_token", "jti": t.session.id,
		"scope":    t.session.scope.bothFamilies().String(),
		"username": t.session.person.name, "sub": t.session.person.sub,
		"iat": t.issued.Unix(), "nbf": t.issued.Unix(),
	}
	if t.session.client != nil {
		m["client_id"] = t.session.client.id
	}
	if !t.expires.IsZero() {
		m["exp"] = t.expires.Unix()
		m["expires_in"] = int(t.expires.Sub(s.now()).Seconds())
	}
	return m
}

// bearer is the token of a request (RFC 6750 section 2.1), "" without one.
func bearer(c *call) string {
	scheme, token, _ := strings.Cut(c.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return token
}

// userinfo says who a token with openid belongs to (OpenID Connect Core section
// 5.3). MAS's refusals have no body.
func (s *Server) userinfo(c *call) answer {
	t := s.look(bearer(c))
	if t == nil || !t.session.scope.has("openid") {
		return text(http.StatusUnauthorized, "", "Access-Control-Allow-Origin", everyOrigin)
	}
	p := t.session.person
	return jsonAnswer(http.StatusOK, map[string]any{"sub": p.sub, "username": p.name}, "Access-Control-Allow-Origin", everyOrigin)
}

// masUsers is one call of MAS's admin API: it shows who may use it.
func (s *Server) masUsers(c *call) answer {
	refusal := ""
	t := s.look(bearer(c))
	switch {
	case bearer(c) == "":
		refusal = "Missing authorization header"
	case t == nil:
		refusal = "Invalid access token"
	case !t.session.scope.has(scopeMAS):
		refusal = "Missing urn:mas:admin scope"
	}
	if refusal != "" {
		return jsonAnswer(http.StatusUnauthorized, map[string]any{"errors": []any{map[string]any{"title": refusal}}},
			"Access-Control-Allow-Origin", everyOrigin)
	}
	data := []any{}
	for _, p := range s.sortedPeople() {
		data = append(data, map[string]any{"type": "user", "id": p.sub, "attributes": map[string]any{"username": p.name, "admin": p.admin}})
	}
	return jsonAnswer(http.StatusOK, map[string]any{"meta": map[string]any{"count": len(data)}, "data": data},
		"Access-Control-Allow-Origin", everyOrigin)
}
