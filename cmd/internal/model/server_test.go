package model

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// A server is the model of an authorization server and its homeserver. Its
// refreshes are section B of the wire contract, as a table in refresh.
type server struct {
	strict bool // a consumed refresh token that comes again ends the session
	grants []*grant
	events *world // told of what is forbidden
}

// A grant is a session as the server sees it.
type grant struct {
	device string
	by     *process // whose login it is
	pairs  []*pair
	ended  string // why; empty while it lives

	lost    bool // an answer with its tokens did not arrive, or died with its reader
	unsaved bool // its first tokens were given out, and their reader died
}

// A pair is what one answer of the token endpoint holds.
type pair struct {
	grant           *grant
	access, refresh string
	expires         bool     // its access token is past its time
	next            *pair    // its successor: the refresh token is consumed
	superseded      bool     // the access token died in a refresh
	revoked         bool     // both died: the answer counts as lost
	used            bool     // somebody showed the access token to the homeserver
	flying          *process // who sent the refresh token and has no answer yet
	arrived         *process // who read the answer
}

func (s *server) login(device string) *pair {
	g := &grant{device: device}
	s.grants = append(s.grants, g)
	return g.issue()
}

func (g *grant) issue() *pair {
	n := len(g.pairs) + 1
	p := &pair{grant: g, access: fmt.Sprintf("mat_%s_%d", g.device, n), refresh: fmt.Sprintf("mar_%s_%d", g.device, n)}
	g.pairs = append(g.pairs, p)
	return p
}

func (s *server) byRefresh(token string) *pair {
	return s.find(func(p *pair) bool { return p.refresh == token })
}

func (s *server) byAccess(token string) *pair {
	return s.find(func(p *pair) bool { return p.access == token })
}

func (s *server) find(is func(*pair) bool) *pair {
	for _, g := range s.grants {
		if i := slices.IndexFunc(g.pairs, is); i >= 0 {
			return g.pairs[i]
		}
	}
	return nil
}

func (s *server) byDevice(id string) *grant {
	i := slices.IndexFunc(s.grants, func(g *grant) bool { return g.device == id })
	if i < 0 {
		return nil
	}
	return s.grants[i]
}

// works reports whether the homeserver takes the access token.
func (p *pair) works() bool {
	return p.grant.ended == "" && !p.revoked && !p.superseded && !p.expires
}

// refresh is the table.
//
//	presented token A                            lenient (MAS)              strict
//	valid                                        200, A's access token dies the same
//	consumed, B valid, B's access token unused   200, B dies, C is new      the session ends
//	consumed, B valid, B's access token used     400, the session lives     the session ends
//	consumed, B consumed or dead                 400, the session lives     the session ends
//	dead (a superseded B), unknown, of an ended  400                        400
func (s *server) refresh(a *pair) (*pair, bool) {
	switch {
	case a == nil || a.grant.ended != "" || a.revoked:
		return nil, false
	case a.next == nil:
	case s.strict:
		a.grant.ended = "replay"
		return nil, false
	case a.next.revoked || a.next.next != nil || a.next.used:
		return nil, false
	default:
		a.next.revoked = true
	}
	a.superseded = true
	a.next = a.grant.issue()
	return a.next, true
}

// revoke ends the session of a refresh token that is good. Anything else is
// answered in the same way, and does nothing.
func (s *server) revoke(token string, why string) {
	if p := s.byRefresh(token); p != nil && p.next == nil && !p.revoked && p.grant.ended == "" {
		p.grant.ended = why
	}
}

// An answer is what the client reads.
type answer struct {
	status int
	body   string
	pair   *pair // that it holds
}

// gives names the refresh token of an answer.
func (a answer) gives() string {
	if a.pair == nil {
		return ""
	}
	return a.pair.refresh
}

const failed = `{"error":"invalid_grant"}`

// handle carries out one request of a process.
func (s *server) handle(p *process, what string, form url.Values, bearer string) answer {
	switch what {
	case "well-known":
		return answer{status: 404, body: "{}"}
	case "metadata":
		return answer{status: 200, body: metadata}
	case "register":
		return answer{status: 201, body: `{"client_id":"client","token_endpoint_auth_method":"none"}`}
	case "device":
		return answer{status: 200, body: fmt.Sprintf(`{"device_code":%q,"user_code":"ABC123","verification_uri":"https://hs.test/link","expires_in":60,"interval":1}`, form.Get("scope"))}
	case "poll":
		return s.poll(p, form.Get("device_code"))
	case "refresh":
		return s.answerRefresh(p, form.Get("refresh_token"))
	case "revoke":
		s.events.revoking(p, s.byRefresh(form.Get("token")))
		s.revoke(form.Get("token"), p.name)
		return answer{status: 200}
	case "whoami":
		return s.whoAmI(bearer)
	}
	panic("no such endpoint: " + what)
}

// poll gives out the tokens at once: the approval is not what is modelled. The
// device code is the scope.
func (s *server) poll(by *process, scope string) answer {
	_, device, _ := strings.Cut(scope, "urn:matrix:client:device:")
	if s.byDevice(device) != nil {
		return answer{status: 400, body: failed}
	}
	p := s.login(device)
	p.grant.by, p.grant.unsaved = by, true
	return answer{200, tokens(p), p}
}

func (s *server) answerRefresh(p *process, token string) answer {
	a := s.byRefresh(token)
	if a != nil {
		if other := a.flying; other != nil && other != p && !other.dead {
			s.events.violated("%s and %s refresh with one refresh token at the same time", other.name, p.name)
		}
		a.flying = p
	}
	next, ok := s.refresh(a)
	if !ok {
		return answer{status: 400, body: failed}
	}
	next.grant.lost = true // until it is stored
	return answer{200, tokens(next), next}
}

// tokens is the answer that holds a pair. No two of them expire at one moment: by
// its expiry an entry tells which tokens it knows.
func tokens(p *pair) string {
	return fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":%d,"scope":"urn:matrix:client:api:* urn:matrix:client:device:%s"}`,
		p.access, p.refresh, 300+len(p.grant.pairs), p.grant.device)
}

// whoAmI is how an access token is used.
func (s *server) whoAmI(bearer string) answer {
	p := s.byAccess(bearer)
	if p == nil || !p.works() {
		return answer{status: 401, body: `{"errcode":"M_UNKNOWN_TOKEN","error":"no","soft_logout":false}`}
	}
	s.events.using(p)
	p.used = true
	return answer{status: 200, body: fmt.Sprintf(`{"user_id":"@alice:hs.test","device_id":%q}`, p.grant.device)}
}

// dump is the whole state, for comparing two. order names the processes that are
// there, gone one that is not any more.
func (s *server) dump(order []*process, gone *process) string {
	name := func(p *process) int {
		if p == nil || p == gone || p.dead {
			return 0
		}
		return slices.Index(order, p) + 1
	}
	var b strings.Builder
	for _, g := range s.grants {
		fmt.Fprintf(&b, "%s %t %t %t %t %d\n", g.device, g.ended != "", g.ended == "replay", g.lost, g.unsaved, name(g.by))
		for i, p := range g.pairs {
			fmt.Fprintf(&b, "%t %t %t %t %t %d\n", p.expires, p.next != nil, p.superseded, p.revoked, p.used, name(p.flying))
			if i == len(g.pairs)-1 && g.lost {
				fmt.Fprintf(&b, "%d\n", name(p.arrived))
			}
		}
	}
	return b.String()
}

var metadata = func() string {
	var members []string
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		members = append(members, fmt.Sprintf("%q:%q", name, "https://hs.test"+endpoints[name]))
	}
	return `{"issuer":"https://hs.test/",` + strings.Join(members, ",") + "}"
}()

var endpoints = map[string]string{
	"token_endpoint": "/token", "device_authorization_endpoint": "/device", "registration_endpoint": "/register",
	"revocation_endpoint": "/revoke", "authorization_endpoint": "/authorize",
}
