package tui

import (
	"fmt"
	"time"

	"github.com/charmbracelet/x/ansi"
)

const (
	// secondsBelow is from when on a countdown shows seconds.
	secondsBelow = time.Hour

	// columnGap is the space between two columns.
	columnGap = 2
)

// listPage is the list, with as many rows as fit around the selected one.
func (m sessionsModel) listPage() []line {
	c := m.columns()
	top := []block{heading("Sessions", m.w), {rank: 1, gap: true, lines: []line{c.header()}}}
	foot := m.foot()
	around := append(top[:2:2], foot...)
	room := m.h - height(around, true)
	if room < min(len(m.rows), 10) {
		room = m.h - height(around, false)
	}
	n := min(max(room, 1), len(m.rows))
	from := min(max(m.index()-n/2, 0), len(m.rows)-n)
	top[0] = heading(m.count(from, n), m.w)
	list := block{}
	for _, r := range m.rows[from : from+n] {
		list.lines = append(list.lines, m.listRow(c, r))
	}
	return squeeze(append(append(top, list), foot...), m.h)
}

// count says how many sessions there are, and which of them are in sight.
func (m sessionsModel) count(from, n int) string {
	switch {
	case n < len(m.rows):
		return fmt.Sprintf("Sessions %d-%d of %d", from+1, from+n, len(m.rows))
	case n == 1:
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", n)
}

// A columns value holds the widths of the list; 0 is a column that is not shown.
type columns struct{ name, server, token, device int }

// columns shares out the window's width.
func (m sessionsModel) columns() columns {
	c := columns{name: len("Session"), server: len("Server"), token: len("Token"), device: len("Device")}
	for _, r := range m.rows {
		state, _ := m.state(r)
		name := ansi.StringWidth(clean(r.Name))
		if r.Default {
			name += len(star)
		}
		c.name = max(c.name, name)
		c.server = max(c.server, ansi.StringWidth(clean(r.Server)))
		c.token = max(c.token, len(state))
		c.device = max(c.device, ansi.StringWidth(clean(r.DeviceID)))
	}
	c.token = max(c.token, len("refreshing")) // so that a key press moves nothing
	if m.w < wideFrom {
		c.server, c.device = 0, 0
		c.name = max(min(c.name, m.w-len("> ")-columnGap-c.token), 6)
		return c
	}
	c.device = min(c.device, 16)
	room := m.w - len("> ") - 3*columnGap - c.token - c.device
	if c.name+c.server > room {
		c.server = min(c.server, max(room*2/5, room-c.name))
		c.name = min(c.name, room-c.server)
	}
	return c
}

func (c columns) header() line {
	return c.line("  ", cell("Session", c.name), "Server", span{text: "Token"}, "Device", bold)
}

// line is one row of the table.
func (c columns) line(mark, name, server string, token span, device string, l look) line {
	if token.look == plain {
		token.look = l
	}
	row := line{{text: mark + name, look: l}}
	at := len(mark) + c.name + columnGap
	if c.server > 0 {
		row = append(row.pad(at), span{text: cell(server, c.server), look: l})
		at += c.server + columnGap
	}
	row = append(row.pad(at), token)
	if c.device > 0 {
		row = append(row.pad(at+c.token+columnGap), span{text: cell(device, c.device), look: l})
	}
	return row
}

// listRow is a session in the list.
func (m sessionsModel) listRow(c columns, r SessionRow) line {
	mark, l := "  ", plain
	if r.ID == m.selected {
		mark, l = "> ", bold
	}
	state, tone := m.state(r)
	device := clean(r.DeviceID)
	if device == "" {
		device = "-"
	}
	return c.line(mark, nameOf(r, c.name), clean(r.Server), span{text: state, look: tone}, device, l)
}

// star marks the default session.
const star = " *"

// nameOf is a session's name in w columns, with its star.
func nameOf(r SessionRow, w int) string {
	if r.Default {
		return cell(clean(r.Name), w-len(star)) + star
	}
	return cell(clean(r.Name), w)
}

// cell cuts text to w columns.
func cell(text string, w int) string { return ansi.Truncate(text, max(w, 0), "..") }

// state is what is happening with a session, has happened, or how long its token
// is good.
func (m sessionsModel) state(r SessionRow) (string, look) {
	if j, ok := m.job(r.ID); ok {
		return j.verb.doing() + m.waited(j.since), plain
	}
	if o, ok := m.outcome(r.ID); ok {
		switch {
		case o.err != nil:
			return o.verb.noun() + " failed", bad
		case o.verb == toRefresh:
			return "refreshed", good
		}
	}
	switch {
	case r.Ended != "":
		return "LOGGED OUT", bad
	case r.Expiry.IsZero():
		return "-", plain
	}
	return countdown(r.Expiry.Sub(m.now)), plain
}

// countdown tells how long a token is good.
func countdown(d time.Duration) string {
	switch {
	case d <= 0:
		return "due"
	case d <= secondsBelow:
		return minutes(d)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
