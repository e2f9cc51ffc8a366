package tui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// A sessionsPhase is what the sessions screen is about.
type sessionsPhase int

const (
	loading    sessionsPhase = iota // the list has not come yet
	browsing                        // the list
	reading                         // the details of the selected session
	confirming                      // log out? y/N
	linking                         // the account page of the selected session
	leaving                         // jobs are being ended
	gone                            // over
)

var errLink = errors.New("the address of the account page holds characters that do not belong there")

// A sessionsModel is the state of the sessions screen. It is a value: Update
// returns a new one.
type sessionsModel struct {
	canvas
	options SessionsOptions
	base    context.Context // parent of every call
	cancel  context.CancelFunc

	phase    sessionsPhase
	since    time.Time     // when it began
	back     sessionsPhase // browsing or reading, whichever the others were entered from
	rows     []SessionRow
	selected string // an ID

	number  int       // of the last call
	listing int       // number of the list that is under way
	asked   time.Time // when it was asked for; zero: none is
	readAt  time.Time // when the last one came
	listErr error
	stale   bool // the list under way may be too old

	jobs     []job
	outcomes []outcome

	link    string // linking: the page, empty until it is known
	linkQR  qrCode
	noQR    string
	linkErr error

	result SessionsResult
	err    error // why the screen was left
}

func newSessions(base context.Context, cancel context.CancelFunc, env environ, o SessionsOptions) sessionsModel {
	m := sessionsModel{canvas: newCanvas(env), options: o, base: base, cancel: cancel, selected: o.Selected, back: browsing}
	m.note = clean(o.Note) // until the first key
	return m.enter(loading)
}

// enter begins a phase.
func (m sessionsModel) enter(p sessionsPhase) sessionsModel {
	m.phase, m.since, m.help = p, m.now, false
	return m
}

// Init reads the list.
func (m sessionsModel) Init() tea.Cmd { return func() tea.Msg { return beginMsg{} } }

func (m sessionsModel) over() bool { return m.phase == gone }

func (m sessionsModel) stop() { m.cancel() }

// Update takes one message and keeps the clock ticking.
func (m sessionsModel) Update(msg tea.Msg) (sessionsModel, tea.Cmd) {
	m.canvas = m.canvas.take(msg)
	if m.over() {
		return m, nil
	}
	m, cmd := m.handle(msg)
	m, late := m.overdue()
	var again, tick tea.Cmd
	if !m.readAt.IsZero() && m.phase != leaving && m.now.Sub(m.readAt) >= listEvery {
		m, again = m.list()
	}
	m.canvas, tick = m.tick(m.next())
	return m, tea.Batch(cmd, late, again, tick)
}

func (m sessionsModel) handle(msg tea.Msg) (sessionsModel, tea.Cmd) {
	switch msg := msg.(type) {
	case beginMsg:
		return m.list()
	case tea.KeyPressMsg:
		return m.press(msg)
	case listMsg:
		return m.listed(msg)
	case jobMsg:
		return m.ended(msg)
	case openedMsg:
		m.canvas = m.opened(msg.err)
	case stopMsg:
		return m.part(SessionsResult{}, msg.cause)
	case tickMsg:
		if m.phase == leaving && m.now.Sub(m.since) >= patience {
			return m.enter(gone), nil
		}
	}
	return m, nil
}

// index is where the selected session stands in the list; -1 if nowhere.
func (m sessionsModel) index() int {
	return slices.IndexFunc(m.rows, func(r SessionRow) bool { return r.ID == m.selected })
}

// row is the selected session; its ID is empty if there is none.
func (m sessionsModel) row() SessionRow { return m.find(m.selected) }

func (m sessionsModel) find(id string) SessionRow {
	for _, r := range m.rows {
		if r.ID == id {
			return r
		}
	}
	return SessionRow{}
}

// move selects the session that stands n rows below.
func (m sessionsModel) move(n int) sessionsModel {
	if len(m.rows) > 0 {
		m.selected = m.rows[min(max(m.index()+n, 0), len(m.rows)-1)].ID
	}
	return m
}

// pageFound takes the account page's address.
func (m sessionsModel) pageFound(j job, msg jobMsg) sessionsModel {
	if m.phase != linking || j.row.ID != m.selected {
		return m
	}
	m.link, m.linkErr = msg.link, msg.err
	if m.linkErr == nil && (!drawable(m.link) || !strings.HasPrefix(m.link, "https://") && !strings.HasPrefix(m.link, "http://")) {
		m.link, m.linkErr = "", errLink
	}
	if m.linkErr != nil {
		return m
	}
	var err error
	if m.linkQR, err = newQR(m.link); err != nil {
		m.noQR = err.Error()
	}
	return m
}

// part leaves the screen, after the jobs that change something have ended.
// Whoever asks twice does not wait.
func (m sessionsModel) part(r SessionsResult, err error) (sessionsModel, tea.Cmd) {
	if m.phase == leaving {
		return m.enter(gone), nil
	}
	m.result, m.err = r, err
	m.stop()
	return m.enter(leaving).left(), nil
}

// left ends the screen if nothing is left to wait for.
func (m sessionsModel) left() sessionsModel {
	if slices.ContainsFunc(m.jobs, func(j job) bool { return j.verb.changes() }) {
		return m
	}
	return m.enter(gone)
}

// next is how long the screen stays as it is.
func (m sessionsModel) next() time.Duration {
	if m.phase == gone {
		return 0
	}
	if m.phase == loading || m.phase == leaving {
		return untilSecond(m.now.Sub(m.since))
	}
	second := untilSecond(time.Duration(m.now.Nanosecond()))
	for _, j := range m.jobs {
		second = min(second, untilSecond(m.now.Sub(j.since)))
	}
	if len(m.jobs) > 0 || len(m.outcomes) > 0 {
		return second
	}
	for _, r := range m.rows {
		if d := r.Expiry.Sub(m.now); d > 0 && d <= secondsBelow {
			return second
		}
	}
	return max(m.readAt.Add(listEvery).Sub(m.now), second)
}
