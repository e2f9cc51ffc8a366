package flow

import "time"

// An EventKind names a step of a login. The names are part of the output of
// "login --json" and change only with a major version.
type EventKind string

// The steps of a login, in their usual order.
const (
	EventDiscover EventKind = "discover" // looking for the server; Name is what was asked for
	EventServer   EventKind = "server"   // Server is known
	EventRegister EventKind = "register" // registering and asking for a code
	EventCode     EventKind = "code"     // Code is to be shown; polling has begun
	EventLink     EventKind = "link"     // Authorization is to be opened in a browser, and is waited for
	EventStray    EventKind = "stray"    // an address was given that is not the login's (Text); the wait goes on
	EventAnswered EventKind = "answered" // the browser brought an answer; the tokens are being fetched
	EventOffline  EventKind = "offline"  // no answer (Err); the next try is at Retry, the code is still good
	EventOnline   EventKind = "online"   // the server answers again
	EventApproved EventKind = "approved" // tokens have come, they are being stored
	EventWarning  EventKind = "warning"  // Text is something the user should know; the login goes on
	EventDone     EventKind = "done"     // stored: Name is the session, UserID whose it is
	EventError    EventKind = "error"    // Err says why it is over
)

// An Event is one step of a login, for the screen, the plain lines and JSON
// alike. Only the members that its Kind names are set.
type Event struct {
	Kind          EventKind
	Time          time.Time
	Name          string        // server asked for (discover), session (done)
	Server        Server        // from server on
	DeviceName    string        // code: what the person will read on the consent page; empty if none is sent (Code.DeviceName)
	Code          Code          // code
	Authorization Authorization // link
	Retry         time.Time
	UserID        string
	Store         string // done: where the tokens are, in words
	Text          string
	Err           error
}
