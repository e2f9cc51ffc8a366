package tui

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// stillEvery is how often the plain lines say that they are waiting.
const stillEvery = 5 * time.Minute

// LinesOptions say how [Lines] prints.
type LinesOptions struct {
	Seen    []flow.Event // what came before, see [Attempt]
	QR      bool         // print a QR code too
	Browser bool         // it is a login by browser
	Paste   bool         // somebody takes the address that a browser elsewhere ends on

	// OpenURL opens the link of a login by browser at once; nil where no browser
	// can be expected here.
	OpenURL func(ctx context.Context, url string) error

	Environ []string // nil: os.Environ()
}

// Lines prints a login as sentences, one under the other: nothing moves, nothing
// is drawn over, so that screen readers and log files can follow. It reads
// events until the channel closes; when ctx ends it waits for that a little
// longer, because whoever began the attempt cancels it with the same ctx.
//
// It returns the last event: EventDone with a nil error, or EventError with the
// attempt's error, which is not printed. Without either the error is ctx's cause.
func Lines(ctx context.Context, w io.Writer, events <-chan flow.Event, o LinesOptions) (flow.Event, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	l := &lines{ctx: ctx, w: w, options: o, opened: make(chan error, 1), still: time.NewTicker(stillEvery), hint: time.NewTimer(hintAfter)}
	defer l.still.Stop()
	defer l.hint.Stop()
	for _, e := range o.Seen {
		l.event(e)
	}
	l.read(ctx, events)
	switch {
	case l.last.Kind == flow.EventDone:
		return l.last, nil
	case ctx.Err() != nil:
		return l.last, context.Cause(ctx)
	case l.bad != nil:
		return l.last, l.bad
	case l.last.Err != nil:
		return l.last, l.last.Err
	}
	return l.last, errNoReason
}

// lines is the state of one Lines.
type lines struct {
	ctx     context.Context
	w       io.Writer
	options LinesOptions
	still   *time.Ticker
	hint    *time.Timer // when to say what may be wrong
	code    flow.Code   // the one that is shown
	opened  chan error  // what came of opening the link
	expiry  time.Time   // of the code, or of the link
	server  string
	typed   string // what was asked for; perhaps a Matrix ID
	away    bool   // the lost connection was told
	waiting bool
	scope   string // what was asked for
	last    flow.Event
	bad     error // the code cannot be shown
}

// read takes events until the channel closes, the code turns out unusable, or
// nobody answers any more.
func (l *lines) read(ctx context.Context, events <-chan flow.Event) {
	cancelled := ctx.Done()
	var enough <-chan time.Time
	for l.bad == nil {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			l.event(e)
		case <-l.still.C:
			if left := time.Until(l.expiry); l.waiting && left > time.Minute {
				l.say("Still waiting, %s left.", roughly(left))
			}
		case <-l.hint.C:
			if l.waiting && !l.away {
				l.say("%s", refusedHint(l.scope))
			}
		case err := <-l.opened:
			if err != nil {
				l.say("No browser could be opened: %s", sentence(clean(err.Error())))
			}
		case <-cancelled:
			limit := time.NewTimer(patience)
			defer limit.Stop()
			cancelled, enough = nil, limit.C
		case <-enough:
			go drain(events)
			return
		}
	}
	go drain(events)
}

// say prints one line. A standard error that nobody reads is no reason to give
// the login up.
func (l *lines) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !environ(l.options.Environ).utf8() {
		text = asciiOnly(text)
	}
	_, _ = io.WriteString(l.w, text+"\n")
}

func (l *lines) event(e flow.Event) {
	switch e.Kind {
	case flow.EventDiscover:
		l.server, l.typed = clean(e.Name), e.Name
		l.say("Looking up %s.", l.server)
	case flow.EventServer:
		if name := clean(e.Server.Name); name != "" {
			l.server = name
		}
		if l.options.Browser {
			l.say("Registering at %s.", host(e.Server.Issuer))
			return
		}
		l.say("Asking %s for a code.", host(e.Server.Issuer))
	case flow.EventCode:
		l.show(e)
	case flow.EventLink:
		l.link(e)
	case flow.EventStray:
		l.say("%s", strayed)
	case flow.EventAnswered:
		l.waiting = false
		l.say("The browser has answered. Asking for the tokens.")
	case flow.EventOffline:
		if !l.away {
			l.say("No connection; trying again.%s", l.stillGood())
		}
		l.away = true
	case flow.EventOnline:
		if l.away {
			l.say("Connected again. Waiting.")
		}
		l.away = false
	case flow.EventApproved:
		l.waiting = false
		l.say("Approved. Storing the tokens.")
	case flow.EventWarning:
		l.say("Warning: %s", sentence(clean(e.Text)))
	case flow.EventDone:
		l.last, l.waiting = e, false
		l.say("%s.", loggedIn(e))
	case flow.EventError:
		l.last, l.waiting = e, false
	}
}

// show prints where to go and what to enter.
func (l *lines) show(e flow.Event) {
	if l.bad = presentable(e.Code); l.bad != nil {
		return
	}
	l.code = e.Code
	l.wait(e.Code.Expiry, e.Code.Scope)
	if l.options.QR {
		l.symbol(e.Code.Link())
	}
	l.say("Open %s and enter %s", e.Code.VerificationURI, e.Code.UserCode)
	l.say("%s", spelled(e.Code.UserCode))
	if c := e.Code.VerificationURIComplete; c != "" && c != e.Code.VerificationURI {
		l.say("Or open %s", c)
	}
	l.say("%s", onlyYours(account(l.typed, l.server), e.DeviceName))
	l.say("%s", compare(e.DeviceName))
	l.say("The code is good until %s. Waiting.", e.Code.Expiry.Local().Format("15:04"))
}

// wait begins the wait for a person.
func (l *lines) wait(expiry time.Time, scope string) {
	l.expiry, l.scope, l.waiting = expiry, scope, true
	l.still.Reset(stillEvery)
	l.hint.Reset(hintAfter)
}

func (l *lines) stillGood() string {
	if l.code.UserCode == "" {
		return ""
	}
	return " The code is still good."
}

// link prints where to log in by browser, and opens it.
func (l *lines) link(e flow.Event) {
	auth := e.Authorization
	if !drawable(auth.URI) {
		l.bad = errUndrawable
		return
	}
	l.wait(auth.Expiry, auth.Scope)
	l.say("Open this link in a browser on this machine:")
	l.say("%s", auth.URI)
	if l.options.Paste {
		l.say("In a browser elsewhere, the last page cannot be shown: paste its address here. It begins with %s", auth.RedirectURI)
	}
	l.say("%s", onlyYours(account(l.typed, l.server), ""))
	l.say("The link is good until %s. Waiting.", auth.Expiry.Local().Format("15:04"))
	if l.options.OpenURL != nil && len(l.options.Seen) == 0 { // else a screen has opened it
		go func() { l.opened <- l.options.OpenURL(l.ctx, auth.URI) }()
	}
}

// refusedHint says what an error on the page means: servers check what was asked
// for only there, and the device hears "pending" till the code runs out.
func refusedHint(scope string) string {
	hint := "If that page shows an error, the server refuses what was asked for, which is never heard of here: stop, and ask for less."
	if scope = clean(scope); scope != "" {
		hint += " Asked for was: " + scope
	}
	return hint
}

// spelled writes a code so that it is read aloud letter by letter.
func spelled(code string) string {
	var letters []string
	for _, r := range code {
		if r == '-' {
			letters = append(letters, "dash")
			continue
		}
		letters = append(letters, string(r))
	}
	return strings.Join(letters, ", ")
}

// roughly writes a time in whole minutes.
func roughly(d time.Duration) string {
	n := int((d + 30*time.Second) / time.Minute)
	if n == 1 {
		return "1 minute"
	}
	return fmt.Sprintf("%d minutes", n)
}

// symbol prints a QR code, or says why not.
func (l *lines) symbol(link string) {
	text, err := QRCode(l.w, link, l.options.Environ)
	if err != nil {
		l.say("No QR code: %v.", err)
		return
	}
	_, _ = io.WriteString(l.w, text)
}
