package flowtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// What keeps a person from approving, or a test from doing something to a code
// or token.
var (
	ErrUnknown   = errors.New("unknown")
	ErrExpired   = errors.New("expired")
	ErrDecided   = errors.New("already decided")
	ErrPolicy    = errors.New("refused by the policy")
	ErrLocked    = errors.New("the person is locked")
	ErrDeviceOff = errors.New("the device authorization grant is off")
	ErrNoDenial  = errors.New("the page has no button to refuse")
)

type person struct {
	name, password string
	sub            string
	admin          bool
	locked         bool
	devices        map[string]string // display name by ID
}

// A PersonOption says more about a person.
type PersonOption func(*person)

// Admin makes a person an administrator: one who may grant urn:synapse:admin:*
// and urn:mas:admin.
func Admin() PersonOption { return func(p *person) { p.admin = true } }

// AddUser adds a person, or replaces one.
func (s *Server) AddUser(name, password string, opts ...PersonOption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &person{name: name, password: password, sub: newULID(s.now()), devices: map[string]string{}}
	for _, o := range opts {
		o(p)
	}
	s.state.people[name] = p
}

func (s *Server) sortedPeople() []*person {
	return slices.SortedFunc(maps.Values(s.state.people), func(a, b *person) int { return cmp.Compare(a.name, b.name) })
}

// Approve is a person granting what the device with this code asks for. It fails
// where the consent page would: the error is ErrUnknown, ErrExpired, ErrDecided,
// ErrLocked, ErrDeviceOff, or ErrPolicy with what the policy says. The device
// hears nothing of a failure, it goes on waiting.
func (s *Server) Approve(userCode, user string) error { return s.decide(userCode, user, approved) }

// Reject is a person refusing the device with this code. At Continuwuity nobody
// can: ErrNoDenial.
func (s *Server) Reject(userCode, user string) error { return s.decide(userCode, user, rejected) }

func (s *Server) decide(userCode, user string, d decision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, p := s.grantByCode(userCode), s.state.people[user]
	switch {
	case g == nil:
		return fmt.Errorf("code %s: %w", userCode, ErrUnknown)
	case p == nil:
		return fmt.Errorf("user %s: %w", user, ErrUnknown)
	}
	return s.settle(g, p, d)
}

// judge is nil if a person may grant a scope.
func (s *Server) judge(sc scope, p *person) error {
	if s.traits.policy == nil {
		return nil
	}
	return s.traits.policy(sc, p)
}

// settle is the decision of a person about a grant, however it was reached.
func (s *Server) settle(g *grant, p *person, d decision) error {
	refused := s.judge(g.scope, p)
	switch {
	case !s.state.deviceGrant:
		return ErrDeviceOff
	case p.locked:
		return fmt.Errorf("user %s: %w", p.name, ErrLocked)
	case g.expired(s.now()) && !s.traits.lateApproval:
		return fmt.Errorf("code %s: %w", g.userCode, ErrExpired)
	case d == rejected && s.traits.noDenial:
		return ErrNoDenial
	case refused != nil:
		return refused
	case g.decision != pending:
		return fmt.Errorf("code %s: %w", g.userCode, ErrDecided)
	}
	g.decision, g.person = d, p
	return nil
}

// ExpireCode makes the lifetime of a code pass.
func (s *Server) ExpireCode(userCode string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.grantByCode(userCode)
	if g == nil {
		return fmt.Errorf("code %s: %w", userCode, ErrUnknown)
	}
	g.expires = s.now().Add(-time.Second)
	return nil
}

// ExpireToken makes the lifetime of an access token pass, and with it the
// homeserver's memory of it.
func (s *Server) ExpireToken(accessToken string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.state.access[accessToken]
	if t == nil {
		return ErrUnknown
	}
	t.expires = s.now().Add(-time.Second)
	delete(s.state.memory, accessToken)
	return nil
}

// EndSession ends the session that an access or refresh token belongs to, as the
// person can in the account page.
func (s *Server) EndSession(token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var se *session
	if t := s.state.access[token]; t != nil {
		se = t.session
	} else if t := s.state.refresh[token]; t != nil {
		se = t.session
	}
	if se == nil {
		return ErrUnknown
	}
	s.end(se)
	return nil
}

// LockUser locks a person. MAS goes on refreshing the tokens of a locked person,
// and introspection finds them inactive; what the homeserver remembers works
// until it forgets.
func (s *Server) LockUser(name string) error { return s.setLocked(name, true) }

// UnlockUser undoes LockUser.
func (s *Server) UnlockUser(name string) error { return s.setLocked(name, false) }

func (s *Server) setLocked(name string, locked bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.state.people[name]
	if p == nil {
		return fmt.Errorf("user %s: %w", name, ErrUnknown)
	}
	p.locked = locked
	return nil
}

// AuthDown stops the authorization server, or starts it again. While it is down
// its connections are refused (of a listening server: dropped), and the
// homeserver answers 503 for tokens that it does not remember.
func (s *Server) AuthDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.authDown = down
}

// SetDeviceGrant is WithDeviceGrant at run time. The homeserver does not notice:
// see RestartHomeserver.
func (s *Server) SetDeviceGrant(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.deviceGrant = on
}

// RestartHomeserver makes the homeserver forget the metadata that it fetched,
// and what introspection told it.
func (s *Server) RestartHomeserver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.metadata = nil
	clear(s.state.memory)
}

// Advance moves the server's clock forward, for tests outside of a bubble of
// testing/synctest.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.ahead += d
}

// DeviceName returns the display name of a person's device, "" if there is none.
// MAS names a device after the User-Agent of the token request.
func (s *Server) DeviceName(user, deviceID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.state.people[user]; p != nil {
		return p.devices[deviceID]
	}
	return ""
}
