package tui

import (
	"context"
	"errors"
	"io"

	"github.com/mxauth/mxauth/flow"
)

// ErrQuit says that the user left the screen before the login was over.
var ErrQuit = errors.New("stopped before the login was complete")

// LoginOptions say what [Login] works with.
type LoginOptions struct {
	Input   io.Reader // the keyboard; nil: standard input
	Output  io.Writer // where to draw; nil: standard error
	Environ []string  // nil: os.Environ()

	// Server is where to log in. If it is empty, the screen asks.
	Server string

	// Start begins an attempt at a login and returns at once. The channel
	// closes after EventDone or EventError. When ctx is cancelled the attempt
	// ends soon, and the channel closes then too; whoever cancels goes on
	// reading until it does.
	Start func(ctx context.Context, server string) <-chan flow.Event

	// Leave reports whether an error ends the screen at once, because whoever
	// began the login has a question to ask about it. Nil: none does.
	Leave func(error) bool

	// Browser is Start for a login by browser. Where the browser runs elsewhere,
	// addresses brings those that the user copied out of it. It is offered where a
	// server takes no other login, or comes first with InBrowser. It may be nil.
	Browser   func(ctx context.Context, server string, addresses <-chan string) <-chan flow.Event
	InBrowser bool

	// OpenURL opens a page in a browser on this machine. It is called only
	// when the user asks for it, by a key or by a login by browser. Without it
	// there is no such key.
	OpenURL func(ctx context.Context, url string) error

	// The window of an Output that is no terminal.
	width, height int
}

// LoginResult is how a login on the screen ended.
type LoginResult struct {
	Server string     // the last one tried, as it was given
	Done   flow.Event // EventDone; its Kind is empty unless the login is stored

	// Plain is set when the user asked to go on without the screen. The
	// attempt goes on: hand it to [Lines].
	Plain *Attempt

	// Told is set when the result, be it a success or a reason, stands in the
	// scrollback already.
	Told bool
}

// An Attempt is a login under way that somebody else watches from now on.
type Attempt struct {
	Seen   []flow.Event // what is still of interest: the server, the code, a lost connection
	Events <-chan flow.Event
	Cancel context.CancelFunc // ends it; must be called at the end in any case

	// Paste takes addresses out of a browser until there are no more or the
	// attempt is cancelled. It is nil for a login with a code.
	Paste func(addresses <-chan string)
}

// Login shows one login from the server's name to its result. The error is nil
// when the login is stored or goes on in plain lines, [ErrQuit] when the user
// left, the attempt's error when it failed and the user left it at that, and
// the context's cause when ctx ended.
//
// Signals are the caller's: a cancelled ctx ends the screen in good order.
func Login(ctx context.Context, o LoginOptions) (LoginResult, error) {
	w := wiring{o.Input, o.Output, o.Environ, o.width, o.height}.filled()
	if err := context.Cause(ctx); err != nil {
		return LoginResult{Server: o.Server}, err
	}
	base, cancel := context.WithCancel(ctx)
	end, err := run(ctx, newLogin(base, w.env, o), w)
	result := LoginResult{Server: end.server, Told: err == nil && end.phase == left}
	if result.Told {
		end.leave(w.out, end.result())
	}
	if end.last.Kind == flow.EventDone {
		result.Done = end.last
	}
	if err == nil && end.phase == handed {
		result.Plain = &Attempt{Seen: end.seen(), Events: end.attempt.events, Cancel: cancel}
		if end.browser {
			result.Plain.Paste = func(from <-chan string) { paste(base, end.attempt.addresses, from) }
		}
		return result, nil
	}
	cancel()
	go drain(end.attempt.events)
	switch {
	case result.Done.Kind == flow.EventDone:
		return result, nil
	case err != nil:
		return result, err
	case end.err != nil:
		return result, end.err
	}
	return result, ErrQuit
}

// drain reads a channel to its end, so that nobody waits to write to it.
func drain(events <-chan flow.Event) {
	if events == nil {
		return
	}
	for range events {
	}
}
