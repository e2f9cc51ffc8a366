package tui

import (
	"context"
	"errors"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
)

const (
	// listEvery is how often the list is read again: other programs refresh
	// sessions too.
	listEvery = 10 * time.Second

	// listTime bounds one reading of the list, which asks nobody.
	listTime = 10 * time.Second

	// jobTime bounds everything else: a person may have to unlock a keyring, and
	// another program may hold the session's lock.
	jobTime = 2 * time.Minute

	// grace is how long after its deadline a call may still answer.
	grace = 5 * time.Second
)

var errNoAnswer = errors.New("no answer in time; it may still be under way")

// A verb is what a job does with a session.
type verb int

const (
	toUse verb = iota
	toRefresh
	toLogOut
	toFindPage
)

// doing is the verb in the session's row, while it lasts.
func (v verb) doing() string {
	return [...]string{"making default", "refreshing", "logging out", "looking up"}[v]
}

// noun is the verb in a sentence about what came of it.
func (v verb) noun() string {
	return [...]string{"change of default", "refresh", "logout", "account page"}[v]
}

// changes reports whether the verb leaves something behind.
func (v verb) changes() bool { return v != toFindPage }

// call does it.
func (v verb) call(ctx context.Context, a SessionActions, id string) (link string, err error) {
	switch v {
	case toUse:
		return "", a.Use(ctx, id)
	case toRefresh:
		return "", a.Refresh(ctx, id)
	case toLogOut:
		return "", a.Logout(ctx, id)
	}
	return a.AccountLink(ctx, id)
}

// A job is one call of SessionActions that is under way for a session.
type job struct {
	number int
	verb   verb
	row    SessionRow
	since  time.Time
	cancel context.CancelFunc
}

// An outcome is what came of a session's last job.
type outcome struct {
	row   SessionRow
	verb  verb
	err   error
	late  bool      // the screen was being left
	until time.Time // a success is told for a while, a failure until the next job
}

// The messages of the calls.
type (
	listMsg struct {
		number int
		rows   []SessionRow
		err    error
	}
	jobMsg struct {
		number int
		link   string
		err    error
	}
)

// list reads the list again, unless that is under way.
func (m sessionsModel) list() (sessionsModel, tea.Cmd) {
	if !m.asked.IsZero() {
		return m, nil
	}
	m.asked, m.number = m.now, m.number+1
	m.listing = m.number
	actions, base, number := m.options.Actions, m.base, m.number
	return m, func() tea.Msg {
		ctx, cancel := context.WithTimeout(base, listTime)
		defer cancel()
		rows, err := actions.List(ctx)
		return listMsg{number, rows, err}
	}
}

// listed takes the list. What could not be read stays as it was.
func (m sessionsModel) listed(msg listMsg) (sessionsModel, tea.Cmd) {
	if msg.number != m.listing || m.asked.IsZero() {
		return m, nil
	}
	m.asked, m.readAt, m.listErr = time.Time{}, m.now, msg.err
	if msg.err == nil || len(msg.rows) > 0 {
		m = m.replace(msg.rows)
	}
	if m.phase == loading {
		m = m.enter(browsing)
	}
	if m.stale && m.phase != leaving { // a job ended while this list was being read
		m.stale = false
		return m.list()
	}
	return m, nil
}

// replace takes new rows and keeps the selection where it was.
func (m sessionsModel) replace(rows []SessionRow) sessionsModel {
	at := m.index()
	m.rows = slices.Clone(rows)
	// A failure is history once the session has new tokens from elsewhere.
	m.outcomes = slices.DeleteFunc(slices.Clone(m.outcomes), func(o outcome) bool {
		r := m.find(o.row.ID)
		return r.ID == "" || o.err != nil && !r.Updated.Equal(o.row.Updated)
	})
	if m.row().ID != "" || len(m.rows) == 0 {
		return m.present()
	}
	if i := slices.IndexFunc(m.rows, func(r SessionRow) bool { return r.Default }); m.phase == loading && i >= 0 {
		at = i
	}
	m = m.present()
	m.selected = m.rows[min(max(at, 0), len(m.rows)-1)].ID
	return m
}

// present goes back to the list if the phase is about a session that is gone.
func (m sessionsModel) present() sessionsModel {
	if m.row().ID == "" && (m.phase == reading || m.phase == confirming || m.phase == linking) {
		m.canvas = m.remark("The session is gone.")
		m = m.enter(browsing)
	}
	return m
}

// begin starts a job for the selected session. There is one at a time.
func (m sessionsModel) begin(v verb) (sessionsModel, tea.Cmd) {
	row := m.row()
	if j, busy := m.job(row.ID); busy {
		m.canvas = m.remark("Still " + j.verb.doing() + ": " + clean(row.Name) + ".")
		return m, nil
	}
	ctx, cancel := context.WithTimeout(m.base, jobTime)
	m.number++
	j := job{number: m.number, verb: v, row: row, since: m.now, cancel: cancel}
	m.jobs = append(slices.Clone(m.jobs), j)
	m = m.forget(row.ID)
	actions := m.options.Actions
	return m, func() tea.Msg {
		defer cancel()
		link, err := v.call(ctx, actions, row.ID)
		return jobMsg{j.number, link, err}
	}
}

// job finds what is under way for a session.
func (m sessionsModel) job(id string) (job, bool) {
	i := slices.IndexFunc(m.jobs, func(j job) bool { return j.row.ID == id })
	if i < 0 {
		return job{}, false
	}
	return m.jobs[i], true
}

// forget drops what came of a session's last job.
func (m sessionsModel) forget(id string) sessionsModel {
	m.outcomes = slices.DeleteFunc(slices.Clone(m.outcomes), func(o outcome) bool { return o.row.ID == id })
	return m
}

// ended takes the end of a job.
func (m sessionsModel) ended(msg jobMsg) (sessionsModel, tea.Cmd) {
	i := slices.IndexFunc(m.jobs, func(j job) bool { return j.number == msg.number })
	if i < 0 {
		return m, nil // given up
	}
	j := m.jobs[i]
	m.jobs = slices.Delete(slices.Clone(m.jobs), i, i+1)
	if !j.verb.changes() {
		return m.pageFound(j, msg), nil
	}
	m = m.forget(j.row.ID)
	o := outcome{row: j.row, verb: j.verb, err: msg.err, late: m.base.Err() != nil, until: m.now.Add(noteTime)}
	m.outcomes = append(m.outcomes, o)
	if msg.err == nil && j.verb == toLogOut {
		m.canvas = m.remark("Logged out: " + clean(j.row.Name) + ".")
	}
	if m.phase == leaving {
		return m.left(), nil
	}
	if !m.asked.IsZero() {
		m.stale = true
		return m, nil
	}
	return m.list()
}

// overdue gives up on calls that do not keep to their deadline, and drops
// successes that were told long enough.
func (m sessionsModel) overdue() (sessionsModel, tea.Cmd) {
	var cmds []tea.Cmd
	var cmd tea.Cmd
	if !m.asked.IsZero() && m.now.Sub(m.asked) >= listTime+grace {
		m, cmd = m.listed(listMsg{number: m.listing, err: errNoAnswer})
		cmds = append(cmds, cmd)
	}
	for _, j := range m.jobs {
		if m.now.Sub(j.since) >= jobTime+grace {
			m, cmd = m.ended(jobMsg{number: j.number, err: errNoAnswer})
			cmds = append(cmds, cmd)
		}
	}
	m.outcomes = slices.DeleteFunc(slices.Clone(m.outcomes), func(o outcome) bool {
		return o.err == nil && !m.now.Before(o.until)
	})
	return m, tea.Batch(cmds...)
}
