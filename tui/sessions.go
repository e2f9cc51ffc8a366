package tui

import (
	"context"
	"io"
	"time"
)

// A SessionRow is what the sessions screen shows of one session. It holds no
// token.
type SessionRow struct {
	ID       string    // what [SessionActions] take; it stays when the name changes
	Name     string    // what the person calls it
	UserID   string    // may be empty
	Server   string    // as the person knows it
	DeviceID string    // may be empty
	Scope    string    // as granted
	Store    string    // where the tokens are, in words: "the OS keyring"
	Created  time.Time // the login
	Updated  time.Time // the last refresh; zero if there was none
	Expiry   time.Time // of the access token; zero if the server did not say
	Default  bool      // it is meant when none is named
	Ended    string    // why the session is over; empty while it lives
	EndedAt  time.Time // zero if that is not known
}

// SessionActions is what the sessions screen needs of whoever keeps the sessions.
//
// No method is called from the screen's event loop: each call has a goroutine of
// its own and a context with a deadline. Calls for different sessions may run at
// the same time; for one session there is never more than one. A context is
// cancelled when the person leaves the screen, which then waits for the calls
// that change something: they end in good order, and soon.
//
// Errors are shown as they are, so they say in words what happened and whether
// the session lives.
type SessionActions interface {
	// List returns the sessions in the order in which they are shown. It is
	// called every few seconds, so it unlocks nothing and asks no server. What it
	// returns beside an error is shown with the error.
	List(ctx context.Context) ([]SessionRow, error)

	// Use makes a session the one that is meant when none is named.
	Use(ctx context.Context, id string) error

	// Refresh gets new tokens now.
	Refresh(ctx context.Context, id string) error

	// Logout ends a session at its server and forgets it; one that has ended
	// already is only forgotten. After an error the session is still listed.
	Logout(ctx context.Context, id string) error

	// AccountLink returns the address of the page where the person manages this
	// session. It holds nothing secret.
	AccountLink(ctx context.Context, id string) (string, error)
}

// SessionsOptions say what [Sessions] works with.
type SessionsOptions struct {
	Input   io.Reader // the keyboard; nil: standard input
	Output  io.Writer // where to draw; nil: standard error
	Environ []string  // nil: os.Environ()

	Actions SessionActions

	// Selected is the ID of the session to begin with; empty: the default one.
	Selected string

	// Note is said until the first key is pressed, for instance what came of a
	// login; may be empty.
	Note string

	// OpenURL opens a page in a browser on this machine. It is called only
	// when the user asks for it. Without it there is no such key.
	OpenURL func(ctx context.Context, url string) error

	// The window of an Output that is no terminal.
	width, height int
}

// SessionsResult is what the person left the sessions screen for.
type SessionsResult struct {
	// Login is set when a login is wanted: run [Login], then open the screen
	// again.
	Login bool

	// Again is the session to log in again; its ID is empty if the login is to
	// be a new session.
	Again SessionRow

	// Selected is the ID of the session that was selected, for the next time.
	Selected string
}

// Sessions shows all sessions and does with them what the person asks for. The
// error is nil when the person left, and the context's cause when ctx ended.
func Sessions(ctx context.Context, o SessionsOptions) (SessionsResult, error) {
	w := wiring{o.Input, o.Output, o.Environ, o.width, o.height}.filled()
	if err := context.Cause(ctx); err != nil {
		return SessionsResult{Selected: o.Selected}, err
	}
	base, cancel := context.WithCancel(ctx)
	defer cancel()
	end, err := run(ctx, newSessions(base, cancel, w.env, o), w)
	if err == nil {
		end.leave(w.out, end.parting())
		err = end.err
	}
	result := end.result
	result.Selected = end.selected
	return result, err
}
