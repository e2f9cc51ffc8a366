package tui

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

const (
	// secondsBelow is from when on a countdown shows seconds.
	secondsBelow = time.Hour

	// columnGap is the space between two columns.
	columnGap = 2
)

// View draws the phase, always on the alternate screen. The last frame is empty.
func (m sessionsModel) View() tea.View {
	if m.w < 1 || m.h < 1 || m.hidden || m.over() {
		return blank()
	}
	margin := m.margin()
	m.w -= margin
	return m.frame(m.draw(), margin)
}

func (m sessionsModel) draw() []line {
	switch {
	case m.help:
		return squeeze(m.helpPage(), m.h)
	case m.phase == loading:
		return m.text(m.paragraph(0, true, "[..] Reading the list"+m.waited(m.since)))
	case m.phase == leaving:
		return m.text(m.paragraph(0, true, "[..] Stopping; waits for: "+m.pending()+m.waited(m.since)))
	case m.phase == linking:
		return m.accountPage()
	case m.phase == reading || m.phase == confirming && m.back == reading:
		return squeeze(append(m.details(), m.foot()...), m.h)
	case len(m.rows) == 0:
		return squeeze(append([]block{heading("Sessions", m.w)}, m.empty()...), m.h)
	}
	return m.listPage()
}

// text is a page of one block.
func (m sessionsModel) text(b block) []line {
	blocks := []block{heading("Sessions", m.w), b}
	return squeeze(append(blocks, keyBlocks(m.keys(), m.w, false)...), m.h)
}

// empty is what stands there without sessions.
func (m sessionsModel) empty() []block {
	var blocks []block
	if m.listErr == nil {
		blocks = append(blocks, m.paragraph(0, true, "There are none yet. A session is one login: its tokens are kept here and renewed."))
	}
	return append(blocks, m.foot()...)
}

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
		c.name = max(c.name, ansi.StringWidth(nameOf(r)))
		c.server = max(c.server, ansi.StringWidth(clean(r.Server)))
		c.token = max(c.token, len(state))
		c.device = max(c.device, ansi.StringWidth(clean(r.DeviceID)))
	}
	c.token = max(c.token, len("refreshing")) // so that a key press moves nothing
	if m.w < wideFrom {                       // the margin is off
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
	return c.line("  ", "Session", "Server", span{text: "Token"}, "Device", bold)
}

// line is one row of the table.
func (c columns) line(mark, name, server string, token span, device string, l look) line {
	cell := func(text string, w int) string { return ansi.Truncate(text, w, "..") }
	if token.look == plain {
		token.look = l
	}
	row := line{{text: mark + cell(name, c.name), look: l}}
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
	return c.line(mark, nameOf(r), clean(r.Server), span{text: state, look: tone}, device, l)
}

// nameOf marks the default session.
func nameOf(r SessionRow) string {
	if r.Default {
		return clean(r.Name) + " *"
	}
	return clean(r.Name)
}

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

// foot is what stands under every list and every page of details: what there is
// to say about the selected session, a note, a question, the keys.
func (m sessionsModel) foot() []block {
	var blocks []block
	if m.listErr != nil {
		text := "Not all sessions can be listed: " + clean(m.listErr.Error())
		if len(m.rows) == 0 {
			text = "The sessions cannot be listed: " + clean(m.listErr.Error())
		}
		blocks = append(blocks, block{rank: 1, gap: true, lines: m.marked(bad, "[!]", sentence(text))})
	}
	if m.phase == confirming {
		return append(append(blocks, m.question()...), keyBlocks(m.keys(), m.w, false)...)
	}
	if about := m.about(); len(about) > 0 {
		blocks = append(blocks, block{rank: 1, gap: true, lines: about})
	}
	if m.note != "" {
		blocks = append(blocks, m.paragraph(1, true, m.note))
	}
	return append(blocks, keyBlocks(m.keys(), m.w, m.w < wideFrom)...)
}

// about says what the selected session waits for, or what is wrong with it.
func (m sessionsModel) about() []line {
	r := m.row()
	if j, ok := m.job(r.ID); ok {
		text := capital(j.verb.doing()) + ": waits for the store"
		if j.verb != toUse {
			text += " and for " + clean(r.Server)
		}
		return m.marked(plain, "[..]", text+", at most "+roughly(jobTime)+".")
	}
	if o, ok := m.outcome(r.ID); ok && o.err != nil {
		return m.marked(bad, "[!]", sentence("the "+o.verb.noun()+" failed: "+clean(o.err.Error())))
	}
	if r.Ended == "" {
		return nil
	}
	when := ""
	if !r.EndedAt.IsZero() {
		when = " on " + moment(r.EndedAt)
	}
	over := sentence("this session ended" + when + ": " + clean(r.Ended))
	return m.marked(bad, "[!]", over+" l logs in again, d takes it off the list.")
}

// question asks before a logout, and says what it means.
func (m sessionsModel) question() []block {
	r := m.row()
	text := "Log out " + clean(r.Name) + "? y/N"
	means := "Whatever uses this session stops working."
	if device := clean(r.DeviceID); device != "" {
		means += " The server removes its device " + device + ", and what only that device can decrypt is lost."
	}
	if r.Ended != "" {
		text = "Take " + clean(r.Name) + " off the list? y/N"
		means = "The session is over already."
	}
	question := heading(text, m.w)
	question.rank, question.gap = 0, true
	return []block{m.paragraph(rankKeep, true, means), question}
}

// outcome finds what came of a session's last job.
func (m sessionsModel) outcome(id string) (outcome, bool) {
	for _, o := range m.outcomes {
		if o.row.ID == id {
			return o, true
		}
	}
	return outcome{}, false
}

// details are all that is known of the selected session.
func (m sessionsModel) details() []block {
	r := m.row()
	state, _ := m.state(r)
	if left := r.Expiry.Sub(m.now); !r.Expiry.IsZero() && r.Ended == "" && left > 0 {
		state = "good for " + countdown(left) + ", until " + moment(r.Expiry)
	} else if state == "due" {
		state = "due: the next use gets a new one"
	}
	name := clean(r.Name)
	if r.Default {
		name += " (default)"
	}
	blocks := []block{heading(clean(r.Name), m.w)}
	for _, f := range [][2]string{
		{"Session", name}, {"Account", clean(r.UserID)}, {"Server", clean(r.Server)}, {"Device", clean(r.DeviceID)},
		{"Scope", clean(r.Scope)}, {"Token", state}, {"Store", clean(r.Store)}, {"Logged in", moment(r.Created)}, {"Refreshed", moment(r.Updated)},
	} {
		if f[1] != "" {
			blocks = append(blocks, block{rank: rankNice, gap: len(blocks) == 1, lines: labelled(strong(f[0]), f[1], len("Refreshed  "), m.w)})
		}
	}
	return blocks
}

// moment writes a time for people; empty if it is not known.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2 Jan 2006 15:04")
}

// accountPage shows the link to the page where the session is managed.
func (m sessionsModel) accountPage() []line {
	title := "Account page of " + clean(m.row().Name)
	keys := func(w int, tight bool) []block { return keyBlocks(m.keys(), w, tight) }
	switch {
	case m.linkErr != nil:
		text := m.marked(bad, "[!]", sentence(clean(m.linkErr.Error())))
		return squeeze(append([]block{heading(title, m.w), {gap: true, lines: text}}, keys(m.w, false)...), m.h)
	case m.link == "":
		text := m.paragraph(0, true, "[..] Looking up the link"+m.waited(m.since))
		return squeeze(append([]block{heading(title, m.w), text}, keys(m.w, false)...), m.h)
	}
	p := poster{link: m.link, qr: m.linkQR, noQR: m.noQR, tooLong: "The link is too long for this window: c copies it."}
	p.words = func(o wording) []block {
		blocks := append([]block{heading(title, o.w)}, o.link...)
		blocks = append(blocks, o.para(rankNice, true, "The server may ask you to log in there first. The link holds nothing secret."))
		if o.aside != "" {
			blocks = append(blocks, o.para(rankMore, true, o.aside))
		}
		if m.note != "" {
			blocks = append(blocks, o.para(1, true, m.note))
		}
		return append(blocks, keys(o.w, o.tight)...)
	}
	return p.draw(m.canvas)
}

// helpPage explains the keys and the words of the list.
func (m sessionsModel) helpPage() []block {
	blocks := append([]block{heading("Sessions", m.w)}, keyHelp(m.keys(), m.w)...)
	return append(blocks,
		m.paragraph(rankNice, true, "The time is how long the access token is good. Due: the next use gets a new one, by itself."+
			" LOGGED OUT: the server ended the session. The star marks the default: the session that is meant when none is named."),
		block{rank: rankKeep, gap: true, lines: []line{say("Any key goes back.")}})
}

// pending names what the screen waits for before it ends.
func (m sessionsModel) pending() string {
	var jobs []string
	for _, j := range m.jobs {
		if j.verb.changes() {
			jobs = append(jobs, j.verb.noun()+" of "+clean(j.row.Name))
		}
	}
	return strings.Join(jobs, ", ")
}

// parting is what stays in the scrollback: what went wrong at the end.
func (m sessionsModel) parting() []line {
	var lines []line
	for _, o := range m.outcomes {
		if o.err != nil && o.late {
			text := "The " + o.verb.noun() + " of " + clean(o.row.Name) + " failed: " + clean(o.err.Error())
			lines = append(lines, m.marked(bad, "[!]", sentence(text))...)
		}
	}
	if open := m.pending(); open != "" {
		lines = append(lines, m.marked(bad, "[!]", sentence("Left while still under way: "+open))...)
	}
	return lines
}
