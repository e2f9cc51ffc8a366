// Package exit turns errors into exit codes and into the lines that a user
// reads: what happened, whether the login is kept, and what to do next. The
// codes are an interface and change only with a major version.
package exit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

// The exit codes. Scripts ask one thing of them: try again, get a human, or
// report a bug.
const (
	OK        = 0
	Bug       = 1 // bug, or nothing else fits
	Usage     = 2 // usage or configuration
	Denied    = 3 // the login was declined, or its code expired
	Ended     = 4 // not logged in, or the server ended the session
	Temporary = 5 // network or server trouble; the session is kept
	Refused   = 6 // the server's answer is invalid, or was refused for safety
	Store     = 7 // the credential store; nothing is lost
	Busy      = 8 // another process holds the lock
)

// A UsageError is a mistake on the command line or in the environment.
type UsageError struct{ Err error }

// Error returns the mistake.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// A SignalError is the cause of a context that a signal ended.
type SignalError struct{ Signal syscall.Signal }

// Error names the signal.
func (e *SignalError) Error() string { return "stopped by signal: " + e.Signal.String() }

// A StatusError is how a command ended that mxauth ran for somebody. It has told
// what it had to tell.
type StatusError struct{ Code int }

// Error tells the code.
func (e *StatusError) Error() string { return fmt.Sprintf("the command ended with code %d", e.Code) }

// ErrOutput wraps a failed write to stdout.
var ErrOutput = errors.New("cannot write the output")

// Code returns the exit code for err.
func Code(err error) int {
	var signal *SignalError
	var status *StatusError
	var usage *UsageError
	var exists *keystore.ExistsError
	var many *keystore.AmbiguousError
	var server *flow.Error
	var store *keystore.Error
	var busy *keystore.BusyError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &signal):
		return 128 + int(signal.Signal)
	case errors.As(err, &status):
		return status.Code
	case errors.Is(err, context.Canceled):
		return 128 + int(syscall.SIGINT)
	case errors.As(err, &usage), errors.As(err, &exists), errors.As(err, &many):
		return Usage
	case errors.Is(err, keystore.ErrNotFound), errors.Is(err, keystore.ErrEnded):
		return Ended
	case errors.As(err, &busy):
		return Busy
	case errors.As(err, &server):
		return ofKind(server.Kind)
	case errors.As(err, &store):
		return Store
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return Temporary
	}
	return Bug
}

func ofKind(k flow.Kind) int {
	switch k {
	case flow.KindUsage:
		return Usage
	case flow.KindDeclined, flow.KindExpired:
		return Denied
	case flow.KindEnded:
		return Ended
	case flow.KindTemporary:
		return Temporary
	case flow.KindInvalid, flow.KindRefused, flow.KindUnsupported:
		return Refused
	}
	return Bug
}

// Retryable reports whether the same command may succeed later by itself.
func Retryable(code int) bool { return code == Temporary || code == Busy }
