package flow

import (
	"errors"
	"fmt"
	"time"
)

// A Kind says what an error means for the user: what to do next, and whether
// the session lives. Exit codes derive from it, in cmd.
type Kind int

// The kinds.
const (
	KindBug         Kind = iota // should not happen
	KindUsage                   // what was asked for cannot be: no request was made
	KindDeclined                // a person refused the login, or the server did for them
	KindExpired                 // the code ran out
	KindEnded                   // the server ended the session, or does not know the client any more
	KindTemporary               // network or server trouble: try again, nothing is lost
	KindInvalid                 // the answer breaks the protocol or a rule of safety
	KindRefused                 // the server understood and refused
	KindUnsupported             // the server does not offer this
)

// String returns the kind's name as it stands in JSON output.
func (k Kind) String() string {
	names := [...]string{"bug", "usage", "declined", "expired", "ended", "temporary", "invalid", "refused", "unsupported"}
	if k < 0 || int(k) >= len(names) {
		return "bug"
	}
	return names[k]
}

// An Error states what happened at which host. It never holds a secret: what
// the server said has been cut, cleaned of control characters and of every
// value that was sent.
type Error struct {
	Kind       Kind
	Op         string        // what was tried: "refresh the token"
	Host       string        // which host answered, or did not
	Problem    string        // what happened, in words: "answered 503"
	Code       string        // OAuth error or Matrix errcode, if it is one
	Said       string        // the server's own words, cleaned
	Status     int           // HTTP status, 0 without an answer
	RetryAfter time.Duration // what the server asked for, 0 if nothing
	Err        error         // cause, may be nil
}

// Error returns one line.
func (e *Error) Error() string {
	s := "cannot " + e.Op
	if e.Op == "" {
		s = "failed"
	}
	if e.Problem != "" {
		s += ": " + e.Problem
	}
	if e.Code != "" {
		s += fmt.Sprintf(" (%s)", e.Code)
	}
	if e.Said != "" {
		s += fmt.Sprintf(", server said: %q", e.Said)
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's chain, KindBug if there
// is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindBug
}
