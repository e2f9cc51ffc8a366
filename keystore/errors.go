package keystore

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// A Fault says what is wrong with a store, so that a program can say what to do.
type Fault string

// The faults. Missing, Locked, Frozen and Broken are four different things.
const (
	Missing    Fault = "missing"    // there is no such store on this machine, or nothing in it for this session
	Locked     Fault = "locked"     // it is there and closed, and nobody opened it
	Frozen     Fault = "frozen"     // it is there and did not answer in time
	Broken     Fault = "broken"     // it failed, or what it holds cannot be read
	Full       Fault = "full"       // no space, no quota, or too large a file
	ReadOnly   Fault = "read-only"  // the file system does not take writes
	Permission Fault = "permission" // access is denied, or too open to be safe
	NoKey      Fault = "no key"     // nothing can open the sealed file
	WrongKey   Fault = "wrong key"  // the key is not the one that sealed it; the file is kept
	NoLock     Fault = "no lock"    // the file system has no locks; without one nothing is changed
	Future     Fault = "future"     // written by a newer version; it is left alone
)

// An Error is trouble with a store. It holds facts, no advice and no secret.
type Error struct {
	Kind    Fault
	Store   Kind   // empty if it is about the state directory
	Problem string // what happened, in words
	Path    string // the file in question, if there is one
	Err     error  // cause, may be nil
}

// Error returns one line.
func (e *Error) Error() string {
	s := e.Problem
	if e.Path != "" {
		s += " (" + flow.Clean(e.Path, 200) + ")"
	}
	if e.Err != nil {
		s += ": " + flow.Clean(e.Err.Error(), 200)
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// What is found by errors.Is, whatever the words.
var (
	ErrNotFound = errors.New("there is no such session")
	ErrEnded    = errors.New("the session has ended")
)

// errNoName is what no caller should ask for: a session without a name counts as
// an unfinished login, which the next login ends.
var errNoName = errors.New("a session needs a name")

// errAbsent is what a vault says of a record that it does not have.
var errAbsent = errors.New("nothing is stored")

// A NotFoundError names the session that is not there. It is an ErrNotFound.
type NotFoundError struct{ Name string }

// Error returns one line.
func (e *NotFoundError) Error() string {
	if e.Name == "" {
		return "there is no session"
	}
	return fmt.Sprintf("there is no session %q", flow.Clean(e.Name, 100))
}

// Is makes it an ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// An EndedError says which session ended. It is an ErrEnded.
type EndedError struct {
	Name   string
	Server string
	Ended
}

// Error returns one line.
func (e *EndedError) Error() string {
	name := flow.Clean(e.Name, 100)
	if name == "" {
		name = "of an unfinished login"
	}
	return fmt.Sprintf("the session %s at %s has ended (%s)", name, flow.Clean(e.Server, 100), flow.Clean(e.Reason, 100))
}

// Is makes it an ErrEnded.
func (e *EndedError) Is(target error) bool { return target == ErrEnded }

// An ExistsError says that a name is taken.
type ExistsError struct{ Name string }

// Error returns one line.
func (e *ExistsError) Error() string {
	return fmt.Sprintf("there is a session %q already", flow.Clean(e.Name, 100))
}

// An AmbiguousError says that several sessions could be meant.
type AmbiguousError struct{ Names []string }

// Error names them.
func (e *AmbiguousError) Error() string {
	return "several sessions could be meant: " + flow.Clean(strings.Join(e.Names, ", "), 400)
}

// A BusyError says that another process held a lock for too long. Nothing was
// changed.
type BusyError struct {
	PID    int // of the holder; 0 if it did not say
	Waited time.Duration
}

// Error returns one line.
func (e *BusyError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("another mxauth (pid %d)", e.PID)
	}
	return fmt.Sprintf("%s has been busy with this session for %d s", who, int(e.Waited.Seconds()))
}
