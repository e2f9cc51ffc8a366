package flowtest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"
)

// memoryLasts is how long Synapse remembers what introspection said. A token that
// was refreshed away still works that long, if it was used before.
const memoryLasts = 2 * time.Minute

// remembered is what the homeserver knows of a token without asking.
type remembered struct {
	person   *person
	deviceID string
	scope    scope
	until    time.Time
	expires  time.Time // of the token; zero: never
}

// requester finds out whose token a request carries.
func (s *Server) requester(c *call) (remembered, *answer) { return s.traits.requester(s, c) }

// introspected is Synapse's way: from memory, or by asking the authorization
// server.
func (s *Server) introspected(c *call) (remembered, *answer) {
	fail := func(a answer) (remembered, *answer) { return remembered{}, &a }
	token := bearer(c)
	if token == "" {
		return fail(matrixError(http.StatusUnauthorized, "M_MISSING_TOKEN", "Missing access token"))
	}
	now := s.now()
	m, ok := s.state.memory[token]
	if !ok || !m.until.After(now) {
		if s.state.authDown {
			return fail(matrixError(http.StatusServiceUnavailable, "M_UNKNOWN", "Unable to introspect the access token"))
		}
		t := s.look(token)
		if t == nil {
			delete(s.state.memory, token)
			return fail(unknownToken("Token is not active"))
		}
		m = remembered{t.session.person, t.session.scope.deviceID(), t.session.scope, now.Add(memoryLasts), t.expires}
		s.state.memory[token] = m
	}
	switch {
	case !m.expires.IsZero() && !m.expires.After(now):
		return fail(unknownToken("Token is not active"))
	case !m.scope.matrixAPI():
		return fail(unknownToken("Token doesn't grant access to the Matrix C-S API"))
	}
	return m, nil
}

// whoami is GET /account/whoami. Without a device scope there is no device_id.
func (s *Server) whoami(c *call) answer {
	who, refused := s.requester(c)
	if refused != nil {
		return *refused
	}
	m := map[string]any{"user_id": s.userID(who.person), "is_guest": false}
	if who.deviceID != "" {
		m["device_id"] = who.deviceID
	}
	return matrixAnswer(http.StatusOK, m)
}

func (s *Server) userID(p *person) string { return "@" + p.name + ":" + s.ServerName }

func (s *Server) listDevices(c *call) answer {
	who, refused := s.requester(c)
	if refused != nil {
		return *refused
	}
	devices := []any{}
	for _, id := range slices.Sorted(maps.Keys(who.person.devices)) {
		devices = append(devices, map[string]any{"device_id": id, "display_name": who.person.devices[id]})
	}
	return matrixAnswer(http.StatusOK, map[string]any{"devices": devices})
}

func (s *Server) getDevice(c *call) answer {
	who, refused := s.requester(c)
	if refused != nil {
		return *refused
	}
	name, ok := who.person.devices[c.param]
	if !ok {
		return matrixError(http.StatusNotFound, "M_NOT_FOUND", "Not found")
	}
	return matrixAnswer(http.StatusOK, map[string]any{"device_id": c.param, "display_name": name})
}

// renameDevice sets the name that every client shows. It works with the API
// scope; deleting a device does not.
func (s *Server) renameDevice(c *call) answer {
	who, refused := s.requester(c)
	if refused != nil {
		return *refused
	}
	var body struct {
		DisplayName *string `json:"display_name"`
	}
	if json.Unmarshal(c.body, &body) != nil {
		return matrixError(http.StatusBadRequest, "M_NOT_JSON", "Content not JSON.")
	}
	if _, ok := who.person.devices[c.param]; !ok {
		return matrixError(http.StatusNotFound, "M_NOT_FOUND", "Not found")
	}
	if body.DisplayName != nil {
		who.person.devices[c.param] = *body.DisplayName
	}
	return matrixAnswer(http.StatusOK, map[string]any{})
}

// synapseUsers is one call of Synapse's admin API: it wants the API scope as
// well as its own.
func (s *Server) synapseUsers(c *call) answer {
	who, refused := s.requester(c)
	if refused != nil {
		return *refused
	}
	if !who.scope.has(scopeSynapse) {
		return matrixError(http.StatusForbidden, "M_FORBIDDEN", "You are not a server admin")
	}
	users := []any{}
	for _, p := range s.sortedPeople() {
		users = append(users, map[string]any{"name": s.userID(p), "admin": p.admin, "locked": p.locked})
	}
	return matrixAnswer(http.StatusOK, map[string]any{"users": users, "total": len(users)})
}

func (s *Server) unrecognized(*call) answer {
	return matrixError(http.StatusNotFound, "M_UNRECOGNIZED", "Unrecognized request")
}

// legacyFlows are the ways in that Synapse offers without OAuth.
func (s *Server) legacyFlows(*call) answer {
	return matrixAnswer(http.StatusOK, map[string]any{"flows": []any{
		map[string]any{"type": "m.login.password"}, map[string]any{"type": "m.login.application_service"},
	}})
}

func (s *Server) legacyLogin(*call) answer {
	return matrixError(http.StatusForbidden, "M_FORBIDDEN", "Invalid username or password")
}

func (s *Server) legacyWhoami(c *call) answer {
	if bearer(c) == "" {
		return matrixError(http.StatusUnauthorized, "M_MISSING_TOKEN", "Missing access token")
	}
	return unknownToken("Invalid access token passed.")
}
