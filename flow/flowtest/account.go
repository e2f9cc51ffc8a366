package flowtest

import "net/http"

// A row is a session as the account page lists it.
type row struct {
	ID, Device, DeviceID, Client, Scope string
}

// accountPage is the account management page (MSC4191): the sessions, and a way
// to end each. Every action of a deep link leads to the same list.
func (s *Server) accountPage(c *call) answer {
	p := s.visitor(c)
	if p == nil {
		return seeOther("/login?kind=manage_account")
	}
	var rows []row
	for _, se := range s.state.sessions {
		if se.person != p || se.ended {
			continue
		}
		r := row{ID: se.id, Device: deviceName("", se.agent), DeviceID: se.scope.deviceID(), Scope: se.scope.String()}
		if se.client != nil {
			r.Client = se.client.name()
		}
		rows = append(rows, r)
	}
	return s.show(c, http.StatusOK, "account", page{Sessions: rows})
}

// accountPost ends a session of the person who is logged in.
func (s *Server) accountPost(c *call) answer {
	p := s.visitor(c)
	if p == nil || !genuine(c) {
		return unexpected(badCSRF)
	}
	for _, se := range s.state.sessions {
		if se.id == c.form.Get("session") && se.person == p && !se.ended {
			s.end(se)
		}
	}
	return seeOther("/" + s.traits.paths.account)
}
