package flowtest

import (
	"errors"
	"fmt"
	"time"
)

// begin begins a session. The agent, of the token request, names the device.
func (s *Server) begin(cl *client, p *person, sc scope, agent string, withRefresh bool) (*accessToken, *refreshToken) {
	se := &session{id: newULID(s.now()), client: cl, person: p, scope: sc, agent: agent}
	s.state.sessions = append(s.state.sessions, se)
	if id := sc.deviceID(); id != "" {
		p.devices[id] = s.traits.deviceName(cl.name(), agent)
	}
	return s.issue(se, withRefresh)
}

// Tokens are what a login brought.
type Tokens struct {
	ClientID     string
	AccessToken  string
	RefreshToken string
	Scope        string
	Expiry       time.Time // of the access token
}

// LogIn makes a session without a device code, for tests that begin where a
// login ends. The client is one that registered as MAS's clients do; the scope
// is held against the policy.
func (s *Server) LogIn(user, scope string) (Tokens, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.state.people[user]
	sc, ok := parseScope(scope)
	switch {
	case s.conf.legacy:
		return Tokens{}, errors.New("there is no authorization server")
	case p == nil:
		return Tokens{}, fmt.Errorf("user %s: %w", user, ErrUnknown)
	case p.locked:
		return Tokens{}, fmt.Errorf("user %s: %w", user, ErrLocked)
	case !ok:
		return Tokens{}, errors.New("the scope is malformed")
	}
	if err := s.judge(sc, p); err != nil {
		return Tokens{}, err
	}
	cl := s.registered(map[string]any{
		"client_name": "flowtest", "client_uri": "https://flowtest.example/", "application_type": "native",
		"token_endpoint_auth_method": "none", "grant_types": []string{grantRefresh, grantDeviceCode},
	})
	access, refresh := s.begin(cl, p, sc, "", true)
	return Tokens{cl.id, access.value, refresh.value, sc.String(), access.expires}, nil
}
