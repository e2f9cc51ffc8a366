package flowtest

import (
	"net/http"
	"time"
)

// A Personality is the software that a Server behaves as.
type Personality string

// The personalities. MAS is held to recorded conversations; the other two are
// written after their source, which stands beside each behaviour as
// path:line of the version named here.
const (
	MAS          Personality = "MAS"          // matrix-authentication-service 1.22 with Synapse 1.163 in front
	Tuwunel      Personality = "Tuwunel"      // 1.9.0, commit 5b3669144
	Continuwuity Personality = "Continuwuity" // 26.8-alpha, commit 090732358
)

// As makes the server behave as another software than MAS. Options about
// lifetimes, intervals and codes win over what it does by default.
func As(p Personality) Option { return func(c *config) { c.personality = p } }

// Personality returns what the server behaves as.
func (s *Server) Personality() Personality { return s.conf.personality }

// traits are what sets one software apart from the others: each a value or a
// function of its own, so that no handler asks which one it is working for.
type traits struct {
	oneOrigin bool // homeserver and authorization server are one program at one address
	paths     paths

	codeLifetime, tokenLifetime time.Duration
	interval                    time.Duration // 0: left out of the answer
	complete                    string        // query parameter of verification_uri_complete
	autofill                    bool          // verification_uri_complete is there by default
	userCode                    func() string
	tokens                      func() (access, refresh string)
	clientID                    func(digest [32]byte, now time.Time) string
	deviceName                  func(client, agent string) string // of a new Matrix device

	// What the person who approves meets.
	policy       func(scope, *person) error // nil: everything may be granted
	noDenial     bool                       // the page has no button for it
	lateApproval bool                       // the page does not look at the code's age

	metadata func(*Server) map[string]any
	register func(*Server, *call) answer
	device   func(*Server, *call) answer
	token    func(*Server, *call) answer
	revoke   func(*Server, *call) answer
	userinfo func(*Server, *call) answer // nil: there is none

	// requester is the homeserver finding out whose token a request carries.
	requester func(*Server, *call) (remembered, *answer)
	versions  int // of the specification: 1.1 to 1.this
	features  func() map[string]bool
}

// paths are where the authorization server's endpoints lie below its issuer.
type paths struct {
	register, device, token, revoke, userinfo, keys, authorize, verify, account string
}

// traits returns the table of a personality. A new one has its row here, and its
// handlers in a file of its own.
func (p Personality) traits() traits {
	switch p {
	case Tuwunel:
		return tuwunel()
	case Continuwuity:
		return continuwuity()
	}
	return mas()
}

// mas is what matrix-authentication-service does.
func mas() traits {
	return traits{
		paths: paths{register: "oauth2/registration", device: "oauth2/device", token: "oauth2/token", revoke: "oauth2/revoke",
			userinfo: "oauth2/userinfo", keys: "oauth2/keys.json", authorize: "authorize", verify: "link", account: "account/"},
		codeLifetime:  20 * time.Minute,
		tokenLifetime: 5 * time.Minute,
		interval:      5 * time.Second,
		complete:      "code",
		userCode:      func() string { return randomFrom(upperDigits, 6) },
		tokens:        func() (string, string) { return newToken(prefixAccess), newToken(prefixRefresh) },
		clientID:      func(_ [32]byte, now time.Time) string { return newULID(now) },
		deviceName:    deviceName,
		policy:        scope.judge,
		metadata:      (*Server).masMetadata,
		register:      (*Server).register,
		device:        (*Server).deviceAuthorization,
		token:         (*Server).token,
		revoke:        (*Server).revoke,
		userinfo:      (*Server).userinfo,
		requester:     (*Server).introspected,
		versions:      15,
		features:      synapseFeatures,
	}
}

// direct is a homeserver that keeps the tokens itself and needs not ask: no
// memory, and a locked account is known at once. No scope is looked at: a token
// opens everything, whatever it was granted for. Of an expired token it says
// that only the token is gone (soft_logout).
func direct(missing, unknown, expired answer) func(*Server, *call) (remembered, *answer) {
	return func(s *Server, c *call) (remembered, *answer) {
		now := s.now()
		t := s.state.access[bearer(c)]
		switch {
		case bearer(c) == "":
			return remembered{}, missing.again()
		case t == nil || t.revoked || t.session.ended:
			return remembered{}, unknown.again()
		case !t.valid(now):
			return remembered{}, expired.again()
		case t.session.person.locked:
			a := matrixError(http.StatusUnauthorized, "M_USER_LOCKED", "This account has been locked.")
			return remembered{}, &a
		}
		t.used = true
		return remembered{person: t.session.person, deviceID: t.session.scope.deviceID(), scope: t.session.scope, expires: t.expires}, nil
	}
}

// again is a copy that may be changed, as faults do.
func (a answer) again() *answer {
	a.header = a.header.Clone()
	return &a
}

func softLogout(text string) answer {
	return matrixAnswer(http.StatusUnauthorized, map[string]any{"errcode": "M_UNKNOWN_TOKEN", "error": text, "soft_logout": true})
}
