package tui

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mxauth/mxauth/flow"
)

// patience is how long the screen waits for an attempt to end after it was
// cancelled: a poll's answer may still be tokens, which are revoked then.
const patience = 15 * time.Second

// An attempt is what the model knows of one login under way. Attempts are
// numbered, because messages of an older one may still be on their way.
type attempt struct {
	number    int
	cancel    context.CancelFunc
	events    <-chan flow.Event
	addresses chan string   // out of a browser elsewhere, to the attempt
	release   chan struct{} // closed when somebody else is to read events
	over      bool          // the channel is closed, or there was none yet
}

// The messages of an attempt.
type (
	startedMsg struct {
		number int
		events <-chan flow.Event
	}
	eventMsg struct {
		number int
		event  flow.Event
		closed bool
	}
	releasedMsg  struct{ number int }
	impatientMsg struct{ number int } // it took too long to end
)

// begin starts an attempt at m.server.
func (m loginModel) begin() (loginModel, tea.Cmd) {
	m = m.forget()
	ctx, cancel := context.WithCancel(m.base)
	number := m.attempt.number + 1
	addresses := make(chan string, 1)
	m.attempt = attempt{number: number, cancel: cancel, addresses: addresses, release: make(chan struct{})}
	m = m.enter(discovering)
	start, server := m.options.Start, m.server
	if browser := m.options.Browser; m.browser {
		start = func(ctx context.Context, server string) <-chan flow.Event { return browser(ctx, server, addresses) }
	}
	return m, func() tea.Msg { return startedMsg{number, start(ctx, server)} }
}

// forget drops what an earlier attempt brought.
func (m loginModel) forget() loginModel {
	m.step, m.found, m.shown, m.offline = "", flow.Event{}, flow.Event{}, flow.Event{}
	m.warnings, m.last, m.qr, m.noQR = nil, flow.Event{}, qrCode{}, ""
	m.err, m.note, m.help, m.typing = nil, "", false, false
	return m
}

// listen reads one event.
func (a attempt) listen() tea.Cmd {
	return func() tea.Msg {
		select {
		case e, ok := <-a.events:
			return eventMsg{a.number, e, !ok}
		case <-a.release:
			return releasedMsg{a.number}
		}
	}
}

// limit bounds the wait for the end of an attempt.
func (a attempt) limit() tea.Cmd {
	return tea.Tick(patience, func(time.Time) tea.Msg { return impatientMsg{a.number} })
}

// stop cancels the attempt that is under way, if there is one.
func (m loginModel) stop() {
	if m.attempt.cancel != nil {
		m.attempt.cancel()
	}
}

// running reports whether the attempt's channel may still bring something.
func (m loginModel) running() bool { return m.attempt.cancel != nil && !m.attempt.over }

// again begins an attempt, after the one under way has ended.
func (m loginModel) again() (loginModel, tea.Cmd) {
	if !m.running() {
		return m.begin()
	}
	m.stop()
	return m.enter(renewing), m.attempt.limit()
}

// quit ends the screen, after the attempt under way has ended. Whoever asks
// twice does not wait.
func (m loginModel) quit(err error) (loginModel, tea.Cmd) {
	if m.err == nil {
		m.err = err
	}
	if !m.running() || m.phase == quitting {
		return m.enter(left), nil
	}
	m.stop()
	return m.enter(quitting), m.attempt.limit()
}

// handOver stops reading events, so that plain lines can go on with them.
func (m loginModel) handOver() (loginModel, tea.Cmd) {
	if m.attempt.events == nil || m.attempt.over {
		return m, nil
	}
	close(m.attempt.release)
	return m.enter(handing), nil
}

// seen returns the events that plain lines begin with.
func (m loginModel) seen() []flow.Event {
	events := slices.Clone(m.warnings)
	for _, e := range []flow.Event{m.found, m.shown, m.offline, m.last} {
		if e.Kind != "" {
			events = append(events, e)
		}
	}
	return events
}
