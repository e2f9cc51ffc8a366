package tui

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
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
