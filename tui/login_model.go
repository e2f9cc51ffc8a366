package tui

import (
	"context"
	"errors"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mxauth/mxauth/flow"
)

// A loginPhase is what the screen is about.
type loginPhase int

const (
	asking      loginPhase = iota // for the server's name
	discovering                   // finding the server, registering, asking for a code
	waiting                       // the code is shown
	linked                        // the link of a login by browser is shown
	fetching                      // the browser has answered
	storing                       // approved
	failed                        // m.err says why
	expired                       // the code ran out
	renewing                      // the old attempt is being ended, a new one follows
	quitting                      // the attempt is being ended, then the screen
	handing                       // plain lines are about to go on with the attempt
	handed                        // they may
	left                          // the result is all that is drawn
)

var errNoReason = errors.New("the login ended without a reason")

// A loginModel is the state of the login screen. It is a value: Update returns a new one.
type loginModel struct {
	canvas
	options LoginOptions
	base    context.Context // parent of every attempt

	phase   loginPhase
	since   time.Time // when it began
	server  string    // as it was given
	field   field
	attempt attempt
	browser bool // this is a login by browser
	typing  bool // linked: an address is being typed into field

	step     flow.EventKind // discovering: the last step
	found    flow.Event     // EventServer
	shown    flow.Event     // EventCode or EventLink
	qr       qrCode         // empty if there is none, noQR says why
	noQR     string
	offline  flow.Event // EventOffline, while it lasts
	warnings []flow.Event
	last     flow.Event // EventDone or EventError
	err      error      // why it is over
}

// beginMsg begins the first attempt.
type beginMsg struct{}

func newLogin(base context.Context, env environ, o LoginOptions) loginModel {
	m := loginModel{canvas: newCanvas(env), options: o, base: base, server: o.Server, browser: o.InBrowser && o.Browser != nil}
	if m.server == "" {
		return m.enter(asking)
	}
	return m.enter(discovering)
}

// enter begins a phase.
func (m loginModel) enter(p loginPhase) loginModel {
	m.phase, m.since, m.help, m.typing = p, m.now, false, false
	return m
}

// Init begins the login, if it is known where.
func (m loginModel) Init() tea.Cmd {
	if m.phase == asking {
		return nil
	}
	return func() tea.Msg { return beginMsg{} }
}

// over reports whether the last frame is drawn.
func (m loginModel) over() bool { return m.phase == left || m.phase == handed }

// Update takes one message and keeps the clock ticking.
func (m loginModel) Update(msg tea.Msg) (loginModel, tea.Cmd) {
	m.canvas = m.take(msg)
	if m.over() {
		return m, nil
	}
	m, cmd := m.handle(msg)
	var tick tea.Cmd
	m.canvas, tick = m.tick(m.next())
	return m, tea.Batch(cmd, tick)
}

func (m loginModel) handle(msg tea.Msg) (loginModel, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		return m.press(msg)
	case tea.PasteMsg:
		switch m.phase {
		case asking:
			m.field = m.field.insert(msg.Content)
		case linked:
			return m.pasted(msg.Content)
		}
	case beginMsg:
		return m.begin()
	case stopMsg:
		m.err = msg.cause // it counts, though the attempt may have failed of it first
		return m.quit(msg.cause)
	case openedMsg:
		m.canvas = m.opened(msg.err)
	default:
		return m.progress(msg)
	}
	return m, nil
}

// progress takes the messages of the attempt; those of older ones are void.
func (m loginModel) progress(msg tea.Msg) (loginModel, tea.Cmd) {
	switch msg := msg.(type) {
	case startedMsg:
		if msg.number == m.attempt.number {
			m.attempt.events = msg.events
			return m, m.attempt.listen()
		}
	case eventMsg:
		if msg.number != m.attempt.number {
			return m, nil
		}
		if msg.closed {
			return m.ended()
		}
		return m.event(msg.event)
	case releasedMsg:
		return m.enter(handed), nil
	case impatientMsg:
		if msg.number == m.attempt.number && (m.phase == quitting || m.phase == renewing) {
			go drain(m.attempt.events)
			return m.ended()
		}
	}
	return m, nil
}

// event takes one event and reads on.
func (m loginModel) event(e flow.Event) (loginModel, tea.Cmd) {
	m = m.record(e)
	if m.phase == handing {
		return m.enter(handed), nil
	}
	// What is stored is stored, even if somebody was about to leave.
	if e.Kind == flow.EventDone {
		m.err = nil
		return m.enter(left), nil
	}
	var open tea.Cmd
	if m.phase != quitting && m.phase != renewing {
		m = m.move(e)
		if e.Kind == flow.EventLink && m.phase == linked && m.options.OpenURL != nil {
			m, open = openKey(m) // which is what a login by browser is
		}
	}
	return m, tea.Batch(open, m.attempt.listen())
}

// record notes what an event tells.
func (m loginModel) record(e flow.Event) loginModel {
	switch e.Kind {
	case flow.EventDiscover, flow.EventRegister:
		m.step = e.Kind
	case flow.EventServer:
		m.step, m.found = e.Kind, e
	case flow.EventCode:
		m.shown = e
		if qr, err := newQR(e.Code.Link()); err != nil {
			m.noQR = err.Error()
		} else {
			m.qr = qr
		}
	case flow.EventLink:
		m.shown = e
	case flow.EventOffline:
		m.offline = e
	case flow.EventOnline:
		m.offline = flow.Event{}
	case flow.EventWarning:
		m.warnings = append(slices.Clone(m.warnings), e)
	case flow.EventDone, flow.EventError:
		m.last = e
	}
	return m
}

// move goes to the phase that an event leads to.
func (m loginModel) move(e flow.Event) loginModel {
	switch e.Kind {
	case flow.EventCode:
		if err := presentable(e.Code); err != nil {
			m.stop()
			return m.fail(err)
		}
		return m.enter(waiting)
	case flow.EventLink:
		if !drawable(e.Authorization.URI) {
			m.stop()
			return m.fail(errUndrawable)
		}
		return m.enter(linked)
	case flow.EventStray:
		m.canvas = m.remark(strayed)
	case flow.EventAnswered:
		return m.enter(fetching)
	case flow.EventApproved:
		return m.enter(storing)
	case flow.EventError:
		return m.fail(e.Err)
	}
	return m
}

// fail shows why an attempt is over. The first reason stays.
func (m loginModel) fail(err error) loginModel {
	if m.err != nil {
		return m
	}
	if err == nil {
		err = errNoReason
	}
	switch kind := flow.KindOf(err); {
	case m.options.Leave != nil && m.options.Leave(err):
		m.err = err
		return m.enter(left)
	case kind == flow.KindExpired:
		m.err = err
		return m.enter(expired)
	case kind == flow.KindUsage && m.options.Server == "":
		m.note = clean(err.Error())
		return m.enter(asking)
	}
	m.err = err
	return m.enter(failed)
}

// ended is called when the attempt's channel is closed, or given up.
func (m loginModel) ended() (loginModel, tea.Cmd) {
	m.attempt.over = true
	switch m.phase {
	case quitting:
		return m.enter(left), nil
	case renewing:
		return m.begin()
	case handing:
		return m.enter(handed), nil
	case discovering, waiting, linked, fetching, storing:
		return m.fail(errNoReason), nil
	}
	return m, nil
}

// errUndrawable refuses what a terminal might obey.
var errUndrawable = &flow.Error{Kind: flow.KindInvalid, Op: "show the code", Problem: "the server's link or code holds characters that do not belong there"}

// presentable refuses a code that could not be shown as the server sent it.
func presentable(c flow.Code) error {
	for _, s := range []string{c.UserCode, c.VerificationURI, c.Link()} {
		if !drawable(s) {
			return errUndrawable
		}
	}
	return nil
}

// next is how long the screen stays as it is; 0 if it does not change with time.
func (m loginModel) next() time.Duration {
	switch m.phase {
	case discovering, fetching, storing, renewing, quitting:
		return untilSecond(m.now.Sub(m.since))
	case waiting, linked:
		if odd := m.left() % time.Second; odd > 0 {
			return odd
		}
		return time.Second
	}
	return 0
}

// expiry is when the code or the link runs out.
func (m loginModel) expiry() time.Time {
	if m.shown.Kind == flow.EventLink {
		return m.shown.Authorization.Expiry
	}
	return m.shown.Code.Expiry
}

// left is how long the code or the link is good.
func (m loginModel) left() time.Duration { return max(0, m.expiry().Sub(m.now)) }

// link is what leads to the server's page.
func (m loginModel) link() string {
	if m.shown.Kind == flow.EventLink {
		return m.shown.Authorization.URI
	}
	return m.shown.Code.Link()
}
