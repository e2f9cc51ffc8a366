package flow

import (
	"fmt"
	"net/http"
)

// An operation is a request as a person would name it.
type operation int

const (
	opDiscover operation = iota
	opRegister
	opStart
	opPoll
	opRedirect // no request: what the browser brought
	opExchange
	opRefresh
	opRevoke
	opIdentity
)

func (o operation) String() string {
	return [...]string{
		"look up the server", "register with the server", "ask for a code", "wait for the approval",
		"log in by browser", "fetch the tokens",
		"refresh the token", "end the session at the server", "ask whose token this is",
	}[o]
}

// A verdict is what an answer of the authorization server means.
type verdict int

const (
	success    verdict = iota
	pending            // nobody has decided yet
	slowDown           // the same, and polls must be rarer
	declined           // refused by a person, or by the server for them
	expired            // the code ran out
	grantDead          // the server does not know this code or refresh token (any more)
	clientDead         // the registration is of no use (any more)
	unknown            // the server understood and said no
	temporary          // trouble on the way or at the server
	unsafe             // a redirect, or an answer that must not be believed
)

// judge decides what an answer means, by its error code; the status counts only
// where there is none (MAS says "pending" with 403, others with 400).
//
//	answer                              poll        refresh     revoke      exchange    redirect    register, start
//	errcode (Matrix, or a proxy)        temporary   temporary   temporary   as start    -           429, 5xx temporary, else unknown
//	3xx                                 unsafe      unsafe      unsafe      unsafe      -           unsafe
//	authorization_pending               pending     temporary   unknown     unknown     unknown     unknown
//	slow_down                           slowDown    temporary   temporary   temporary   temporary   temporary
//	access_denied                       declined    temporary   unknown     declined    declined    unknown
//	expired_token                       expired     temporary   unknown     unknown     unknown     unknown
//	invalid_grant                       grantDead   grantDead   grantDead   grantDead   unknown     unknown
//	invalid_client, unauthorized_client clientDead  clientDead  clientDead  clientDead  clientDead  clientDead
//	server_error, temporarily_…         temporary   temporary   temporary   temporary   temporary   temporary
//	invalid_request and its like        unknown     unknown     unknown     unknown     unknown     unknown
//	another code, 408, 425, 429, 5xx    temporary   temporary   temporary   temporary   -           temporary
//	another code, prose, an object      unknown     temporary   unknown     unknown     unknown     unknown
//	no code: 408, 425, 429, 5xx         temporary   temporary   temporary   temporary   -           temporary
//	no code: other 4xx, not JSON        temporary   temporary   temporary   unknown     -           unknown
//	2xx                                 success     success     success     success     -           success
//
// Sources: RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, Matrix specification
// "Refreshing access tokens" (which would have every 4xx end a session;
// proxies and firewalls send those too, so only three codes do here).
func judge(a answer) verdict {
	switch {
	case a.status >= 300 && a.status < 400:
		return unsafe
	case a.errcode != "":
		if once(a.op) && !passing(a.status) {
			return unknown
		}
		return temporary
	case a.code != "":
		return judgeCode(a.op, a.code, a.status)
	case passing(a.status):
		return temporary
	case a.oddError:
		return orTemporary(a.op, unknown)
	case a.status >= 200 && a.status < 300:
		return success
	case once(a.op):
		return unknown
	}
	return temporary
}

// once tells the requests that are made once, and then stand or fall.
func once(op operation) bool { return op == opRegister || op == opStart || op == opExchange }

func judgeCode(op operation, code string, status int) verdict {
	switch code {
	case "authorization_pending":
		return onPoll(op, pending)
	case "slow_down":
		if op == opPoll {
			return slowDown
		}
		return temporary
	case "access_denied":
		if op == opExchange || op == opRedirect {
			return declined
		}
		return onPoll(op, declined)
	case "expired_token":
		return onPoll(op, expired)
	case "invalid_grant":
		if op == opPoll || op == opExchange || op == opRefresh || op == opRevoke {
			return grantDead
		}
		return unknown
	case "invalid_client", "unauthorized_client":
		return clientDead
	case "server_error", "temporarily_unavailable":
		return temporary
	case "invalid_request", "invalid_scope", "unsupported_grant_type":
		return unknown
	}
	if passing(status) { // Keycloak says unknown_error with 500
		return temporary
	}
	return orTemporary(op, unknown)
}

// onPoll is v for a poll; what has no meaning elsewhere is unknown there.
func onPoll(op operation, v verdict) verdict {
	if op == opPoll {
		return v
	}
	return orTemporary(op, unknown)
}

// orTemporary keeps a refresh from ending in doubt.
func orTemporary(op operation, v verdict) verdict {
	if op == opRefresh {
		return temporary
	}
	return v
}

// passing tells the statuses that go away by themselves.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// refusal makes the Error that a verdict other than success stands for. A
// grantDead is worded by the caller, who knows what the grant was.
func (a answer) refusal(v verdict) *Error {
	said := fmt.Sprintf("%s answered %d", a.host, a.status)
	switch v {
	case temporary:
		switch {
		case a.op == opRedirect:
			said = a.host + " cannot do it just now"
		case !a.whole:
			said += fmt.Sprintf(" with more than %d bytes", bodyMax)
		case !passing(a.status) && !a.object:
			said += " with something that is no JSON object"
		}
		return a.fail(KindTemporary, said)
	case unsafe:
		return a.fail(KindInvalid, a.host+" answered with a redirect, which is not followed")
	case clientDead:
		kind := KindRefused
		if a.op == opRefresh {
			kind = KindEnded
		}
		return a.fail(kind, a.host+" does not accept this registration")
	case grantDead:
		return a.fail(KindEnded, a.host+" ended this session")
	case declined:
		return a.fail(KindDeclined, "the login was declined or refused at "+a.host)
	case expired:
		return a.fail(KindExpired, "the code expired")
	}
	return a.fail(KindRefused, a.host+" refused the request")
}
