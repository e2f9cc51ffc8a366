package flowtest

import (
	"encoding/json"
	"net/http"
)

// What MAS serves of the old login API, for a reverse proxy to send clients to
// that have not moved. The homeserver itself knows none of it.

func compatAnswer(status int, v any) answer {
	return jsonAnswer(status, v, "Access-Control-Allow-Origin", everyOrigin)
}

func compatError(status int, code, text string) answer {
	return compatAnswer(status, map[string]any{"errcode": code, "error": text})
}

func (s *Server) compatFlows(*call) answer {
	return compatAnswer(http.StatusOK, map[string]any{"flows": []any{
		map[string]any{"type": "m.login.password"},
		map[string]any{"type": "m.login.sso", "oauth_aware_preferred": true, "org.matrix.msc3824.delegated_oidc_compatibility": true},
		map[string]any{"type": "m.login.token"},
	}})
}

func (s *Server) compatLogin(c *call) answer {
	var body struct {
		Type       string
		Identifier struct{ Type, User string }
		Password   string
		Refresh    bool `json:"refresh_token"`
	}
	switch {
	case mediaType(c.Request) != "application/json" || !json.Valid(c.body):
		return compatError(http.StatusBadRequest, "M_NOT_JSON", "Body is not a valid JSON document")
	case json.Unmarshal(c.body, &body) != nil:
		return compatError(http.StatusBadRequest, "M_BAD_JSON", "JSON fields are not valid")
	case body.Type != "m.login.password" || body.Identifier.Type != "m.id.user":
		return compatError(http.StatusBadRequest, "M_UNKNOWN", "Invalid login type")
	}
	p := s.state.people[body.Identifier.User]
	switch {
	case p == nil || p.password != body.Password:
		return compatError(http.StatusForbidden, "M_FORBIDDEN", "Invalid username/password")
	case p.locked:
		return compatError(http.StatusUnauthorized, "M_USER_LOCKED", "User account has been locked")
	}
	device := randomString(10)
	se := &session{id: newULID(s.now()), person: p, agent: c.UserAgent(),
		scope: scope{stableScope + "api:*", stableScope + "device:" + device}}
	s.state.sessions = append(s.state.sessions, se)
	p.devices[device] = deviceName("", se.agent)
	access, refresh := s.issueCompat(se, body.Refresh)
	m := map[string]any{"access_token": access.value, "device_id": device, "user_id": s.userID(p)}
	if refresh != nil {
		m["refresh_token"], m["expires_in_ms"] = refresh.value, s.conf.tokenLifetime.Milliseconds()
	}
	return compatAnswer(http.StatusOK, m)
}

// issueCompat makes tokens of the old kind. Without a refresh token the access
// token never expires.
func (s *Server) issueCompat(se *session, withRefresh bool) (*accessToken, *refreshToken) {
	access := &accessToken{value: newToken(prefixCompatAccess), session: se, issued: s.now()}
	s.state.access[access.value] = access
	if !withRefresh {
		return access, nil
	}
	access.expires = access.issued.Add(s.conf.tokenLifetime)
	refresh := &refreshToken{value: newToken(prefixCompatRefresh), session: se, access: access}
	s.state.refresh[refresh.value] = refresh
	return access, refresh
}

// compatRefresh takes each refresh token once. There is no grace, and a replay
// does not end the session.
func (s *Server) compatRefresh(c *call) answer {
	var body struct {
		Token *string `json:"refresh_token"`
	}
	plain := func(status int, problem string) answer {
		return text(status, problem, "Content-Type", "text/plain; charset=utf-8", "Access-Control-Allow-Origin", everyOrigin)
	}
	switch {
	case mediaType(c.Request) != "application/json":
		return plain(http.StatusUnsupportedMediaType, "Expected request with `Content-Type: application/json`")
	case !json.Valid(c.body):
		return plain(http.StatusBadRequest, "Failed to parse the request body as JSON")
	case json.Unmarshal(c.body, &body) != nil || body.Token == nil:
		return plain(http.StatusUnprocessableEntity, "Failed to deserialize the JSON body into the target type: missing field `refresh_token`")
	}
	t := s.state.refresh[*body.Token]
	if t == nil || tokenPrefix(t.value) != prefixCompatRefresh || !t.valid() || t.session.ended {
		return compatError(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", "Invalid refresh token")
	}
	t.access.revoked = true
	access, next := s.issueCompat(t.session, true)
	t.next = next
	return compatAnswer(http.StatusOK, map[string]any{
		"access_token": access.value, "refresh_token": next.value, "expires_in_ms": s.conf.tokenLifetime.Milliseconds(),
	})
}

// compatLogout ends a session of the old kind, and no other.
func (s *Server) compatLogout(c *call) answer {
	if bearer(c) == "" {
		return compatError(http.StatusUnauthorized, "M_MISSING_TOKEN", "Missing access token")
	}
	t := s.state.access[bearer(c)]
	if t == nil || !t.valid(s.now()) || t.session.ended || t.session.client != nil {
		return compatError(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", "Invalid access token")
	}
	s.end(t.session)
	return compatAnswer(http.StatusOK, map[string]any{})
}
