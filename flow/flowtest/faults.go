package flowtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// An Endpoint names a place where requests arrive.
type Endpoint string

// The endpoints. Poll, Exchange and Refresh are the token endpoint, told apart by
// grant_type; Token is all of it, Any is everything.
const (
	Any Endpoint = "any"

	// Of the homeserver.
	WellKnown Endpoint = "well-known" // /.well-known/matrix/client
	Metadata  Endpoint = "metadata"   // auth_metadata, stable and unstable
	Versions  Endpoint = "versions"
	WhoAmI    Endpoint = "whoami"
	Devices   Endpoint = "devices"

	// Of the authorization server.
	Discovery     Endpoint = "discovery" // /.well-known/openid-configuration
	Register      Endpoint = "register"
	Device        Endpoint = "device"
	Authorization Endpoint = "authorization" // what the link of a login by browser leads to
	Token         Endpoint = "token"
	Poll          Endpoint = "poll"     // of Token: grant_type device_code
	Exchange      Endpoint = "exchange" // of Token: grant_type authorization_code
	Refresh       Endpoint = "refresh"  // of Token: grant_type refresh_token
	Revoke        Endpoint = "revoke"
	Introspect    Endpoint = "introspect"
	UserInfo      Endpoint = "userinfo"
	Keys          Endpoint = "keys"
	Page          Endpoint = "page" // what people see in a browser

	// Of both.
	Login     Endpoint = "login"     // the old login, refresh and logout
	AdminAPI  Endpoint = "admin"     // Synapse's or MAS's
	Elsewhere Endpoint = "elsewhere" // paths that do not exist
)

// covers reports whether a request at endpoint o is one at e.
func (e Endpoint) covers(o Endpoint) bool {
	return e == o || e == Any || e == Token && (o == Poll || o == Exchange || o == Refresh)
}

const forever time.Duration = math.MaxInt64

// A Fault is one thing that goes wrong with one request.
type Fault struct {
	name    string
	delay   time.Duration // before handling
	drop    bool          // before handling
	instead *answer       // of handling
	edit    func(map[string]any)
	hold    time.Duration // after handling
	lose    bool          // after handling
	cut     bool          // after handling
}

// Inject queues faults at an endpoint. Each is used for one request, in order;
// when none is left the server behaves again. Where the queues of Poll, Token
// and Any all hold something, the narrowest comes first.
func (s *Server) Inject(e Endpoint, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.faults[e] = append(s.state.faults[e], faults...)
}

// Injected returns how many faults wait at an endpoint.
func (s *Server) Injected(e Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.state.faults[e])
}

func (s *Server) nextFault(at Endpoint) Fault {
	for _, e := range []Endpoint{at, Token, Any} {
		if q := s.state.faults[e]; len(q) > 0 && e.covers(at) {
			s.state.faults[e] = q[1:]
			return q[0]
		}
	}
	return Fault{}
}

// LoseAnswer lets the request be handled, and drops the connection before a
// byte of the answer is sent: the server has consumed what the client still
// holds.
func LoseAnswer() Fault { return Fault{name: "LoseAnswer", lose: true} }

// DropBefore drops the connection before the request is handled.
func DropBefore() Fault { return Fault{name: "DropBefore", drop: true} }

// Truncate sends half of the answer and drops the connection.
func Truncate() Fault { return Fault{name: "Truncate", cut: true} }

// Delay waits before the request is handled. If the client goes away meanwhile,
// it never is.
func Delay(d time.Duration) Fault { return Fault{name: "Delay", delay: d} }

// Hold lets the request be handled and keeps the answer back. If the client goes
// away meanwhile, the answer is lost.
func Hold(d time.Duration) Fault { return Fault{name: "Hold", hold: d} }

// Hang never answers, and never handles the request.
func Hang() Fault { return Fault{name: "Hang", delay: forever} }

// HTML answers as a reverse proxy in front of the server does when something
// is wrong with either.
func HTML(status int) Fault {
	body := fmt.Sprintf("<html><head><title>%d %s</title></head><body><h1>%[2]s</h1></body></html>\n", status, http.StatusText(status))
	f := Raw(status, "text/html", body)
	f.name = "HTML"
	return f
}

// Status answers with a status, headers (name, value, …) and no body.
func Status(status int, headers ...string) Fault {
	a := text(status, "", headers...)
	return Fault{name: "Status", instead: &a}
}

// RateLimited answers as Synapse does when there were too many requests: 429,
// M_LIMIT_EXCEEDED, the wait in the body and in Retry-After. MAS itself never
// limits the OAuth endpoints.
func RateLimited(wait time.Duration) Fault {
	a := jsonAnswer(http.StatusTooManyRequests, map[string]any{
		"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": wait.Milliseconds(),
	}, "Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	return Fault{name: "RateLimited", instead: &a}
}

// SlowDown answers a poll with slow_down (RFC 8628 section 3.5). MAS never does,
// others do.
func SlowDown() Fault {
	f := OAuthError(http.StatusBadRequest, "slow_down")
	f.name = "SlowDown"
	return f
}

// OAuthError answers with an OAuth error code (RFC 6749 section 5.2).
func OAuthError(status int, code string) Fault {
	a := jsonAnswer(status, map[string]any{"error": code, "error_description": "This answer was injected by a test."})
	return Fault{name: "OAuthError", instead: &a}
}

// Raw answers with anything.
func Raw(status int, contentType, body string) Fault {
	a := text(status, body, "Content-Type", contentType)
	return Fault{name: "Raw", instead: &a}
}

// Redirect answers with a redirect to another address.
func Redirect(status int, location string) Fault {
	a := text(status, "", "Location", location)
	return Fault{name: "Redirect", instead: &a}
}

// Edit lets the request be handled and changes the members of its JSON answer:
// a token response without a refresh token, a registration without a grant.
func Edit(change func(members map[string]any)) Fault { return Fault{name: "Edit", edit: change} }

// around does what the fault wants before, instead of and after handling.
func (f Fault) around(s *Server, ctx context.Context, handle func() answer) (answer, error) {
	if f.delay > 0 {
		if err := s.sleep(ctx, f.delay); err != nil {
			return answer{}, err
		}
	}
	switch {
	case f.drop:
		return answer{}, errDropped
	case f.instead != nil:
		return *f.instead, nil
	}
	a := handle()
	if f.hold > 0 {
		if err := s.sleep(ctx, f.hold); err != nil {
			return answer{}, err
		}
	}
	switch {
	case f.lose:
		return answer{}, errDropped
	case f.cut:
		if len(a.body) < 2 {
			return answer{}, errDropped
		}
		a.cut = len(a.body) / 2
	case f.edit != nil:
		a.body = edited(a.body, f.edit)
	}
	return a, nil
}

func edited(body []byte, change func(map[string]any)) []byte {
	members := map[string]any{}
	if json.Unmarshal(body, &members) != nil {
		return body // not an object: nothing to change
	}
	change(members)
	b, err := json.Marshal(members)
	if err != nil {
		panic("flowtest: Edit left something that JSON cannot hold: " + err.Error())
	}
	return b
}
