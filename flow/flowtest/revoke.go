package flowtest

import (
	"net/http"
	"net/url"
)

// revoke is token revocation (RFC 7009). A success is 200 and empty, and so is
// everything that does nothing: an unknown, expired or consumed token, a hint
// that does not fit, a session that is over. It proves no logout.
func (s *Server) revoke(c *call) answer {
	cl, refused := s.authenticate(c, func(f url.Values) string { return need(f, "token") })
	if refused != nil {
		return *refused
	}
	done := text(http.StatusOK, "", "Access-Control-Allow-Origin", everyOrigin)
	token, hint := c.form.Get("token"), c.form.Get("token_type_hint")
	prefix := tokenPrefix(token)
	switch {
	case prefix == "":
		return done
	case c.form.Has("token_type_hint") && hint != "access_token" && hint != "refresh_token":
		return oauthError(http.StatusBadRequest, "unsupported_token_type")
	}
	se := s.sessionToRevoke(prefix, hint, token)
	switch {
	case se == nil || se.ended:
		return done
	case se.client != cl:
		return oauthError(http.StatusUnauthorized, "unauthorized_client")
	}
	s.end(se)
	return done
}

func (s *Server) sessionToRevoke(prefix, hint, token string) *session {
	switch {
	case prefix == prefixAccess && hint != "refresh_token":
		if t := s.state.access[token]; t != nil && t.valid(s.now()) {
			return t.session
		}
	case prefix == prefixRefresh && hint != "access_token":
		if t := s.state.refresh[token]; t != nil && t.valid() {
			return t.session
		}
	}
	return nil
}
