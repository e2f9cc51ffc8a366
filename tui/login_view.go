package tui

import (
	tea "charm.land/bubbletea/v2"

	"github.com/mxauth/mxauth/flow"
)

// View draws the phase. What does not fit the window is left out by rank, not
// cut off by the terminal.
//
// It is drawn on the alternate screen: on the main one, each change of the
// window's size would leave a copy of the code in the scrollback. For the same
// reason the last frame is empty.
func (m loginModel) View() tea.View {
	if m.w < 1 || m.h < 1 || m.hidden || m.over() || m.phase == handing {
		return blank()
	}
	var lines []line
	var cursor *tea.Cursor
	margin := m.margin()
	if (m.phase == waiting || m.phase == linked) && !m.help && !m.typing {
		margin = 0 // a long link needs every column
	}
	m.w -= margin
	switch {
	case m.help && m.phase == waiting:
		lines = squeeze(m.helpPage(), m.h)
	case m.help && m.phase == linked:
		lines = squeeze(m.browserHelp(), m.h)
	case m.phase == asking:
		lines, cursor = m.question("Server  ", "A domain, a Matrix ID or a URL, such as matrix.org or @alice:example.org")
	case m.typing:
		lines, cursor = m.question("Address ", "The address of the page that the browser elsewhere ended on. It begins with "+m.shown.Authorization.RedirectURI)
	case m.phase == linked:
		lines = m.browserPage()
	case m.phase == waiting:
		lines = m.codePage()
	default:
		lines = squeeze(m.page(), m.h)
	}
	view := m.frame(lines, margin)
	if cursor != nil {
		cursor.X += margin
	}
	view.Cursor = cursor
	return view
}

// title is the first row of every screen.
func (m loginModel) title(w int) block {
	text := "Log in to Matrix"
	if name := m.name(); name != "" && m.phase != asking {
		text = "Log in to " + name
	}
	return heading(text, w)
}

// name is the server's, as the user knows it.
func (m loginModel) name() string {
	if m.found.Server.Name != "" {
		return clean(m.found.Server.Name)
	}
	return clean(m.server)
}

// page draws the phases that are a few lines of text.
func (m loginModel) page() []block {
	blocks := []block{m.title(m.w)}
	switch m.phase {
	case discovering:
		blocks = append(blocks, block{gap: true, lines: m.steps()})
	case fetching:
		next := "Asking for the tokens" + m.waited(m.since)
		if m.offline.Kind != "" {
			next = m.state(true)
		}
		blocks = append(blocks, block{gap: true, lines: append(
			m.marked(good, "[ok]", "The browser has answered"), m.marked(plain, "[..]", next)...)})
	case storing:
		blocks = append(blocks, block{gap: true, lines: append(
			m.marked(good, "[ok]", "Approved"),
			m.marked(plain, "[..]", "Storing the tokens"+m.waited(m.since))...)})
	case renewing:
		what := "code"
		if m.browser {
			what = "link"
		}
		blocks = append(blocks, m.paragraph(0, true, "[..] Giving up the old "+what+m.waited(m.since)))
	case quitting:
		blocks = append(blocks, m.paragraph(0, true, "[..] Stopping; the server may still be answering"+m.waited(m.since)))
	case failed:
		blocks = append(blocks, block{gap: true, lines: m.marked(bad, "[!]", sentence(clean(m.err.Error())))})
	case expired:
		life := m.expiry().Sub(m.shown.Time)
		text := "The code ran out."
		if m.browser { // or the server took the answer for too old
			text, life = sentence(clean(m.err.Error())), 0
		}
		if !m.shown.Time.IsZero() && life > 0 {
			text = "The code ran out after " + minutes(life) + "."
		}
		blocks = append(blocks, block{gap: true, lines: m.marked(bad, "[!]", text)})
	}
	return append(append(blocks, m.warned(m.w)...), keyBlocks(m.keys(), m.w, false)...)
}

// steps tells how far an attempt has come.
func (m loginModel) steps() []line {
	if m.step == "" || m.step == flow.EventDiscover {
		return m.marked(plain, "[..]", "Looking up "+m.name()+m.waited(m.since))
	}
	var lines []line
	labels := [2]string{"Homeserver    ", "Login service "}
	if m.w < wideFrom {
		labels = [2]string{}
	}
	s := m.found.Server
	if s.Homeserver != "" {
		lines = m.hostRow(labels[0], host(s.Homeserver))
	}
	if service := host(s.Issuer); service != host(s.Homeserver) || labels[0] != "" {
		lines = append(lines, m.hostRow(labels[1], service)...)
	}
	next := "Asking for a code"
	if m.browser {
		next = "Registering"
	}
	return append(lines, m.marked(plain, "[..]", next+m.waited(m.since))...)
}

// hostRow is a row about a host. Where it is too long it breaks and is not cut:
// the end of a name is what counts.
func (m loginModel) hostRow(label, name string) []line {
	if l := mark(good, "[ok]", label+name); l.width() <= m.w {
		return []line{l}
	}
	return m.marked(good, "[ok]", name)
}

// warned repeats the warnings.
func (m loginModel) warned(w int) []block {
	var blocks []block
	for _, e := range m.warnings {
		blocks = append(blocks, block{rank: 1, gap: true, lines: sayAll(fold("[!] "+clean(e.Text), w))})
	}
	return blocks
}

// result is what stays in the scrollback: the end, and what the user should
// know about it. No code and no link.
func (m loginModel) result() []line {
	var lines []line
	if m.last.Kind != flow.EventDone {
		if m.err == nil {
			return nil
		}
		return m.marked(bad, "[!]", sentence(clean(m.err.Error())))
	}
	for _, e := range m.warnings {
		lines = append(lines, m.marked(bad, "[!]", clean(e.Text))...)
	}
	return append(lines, m.marked(good, "[ok]", loggedIn(m.last))...)
}

// loggedIn words the end of a login, without a full stop.
func loggedIn(e flow.Event) string {
	text := "Logged in"
	if user := clean(e.UserID); user != "" {
		text += " as " + user
	}
	if name := clean(e.Name); name != "" && name != clean(e.UserID) {
		text += " (session " + name + ")"
	}
	if store := clean(e.Store); store != "" {
		text += "; token in " + store
	}
	return text
}

// question asks for something in one line, which is longer than the window at
// times.
func (m loginModel) question(label, help string) ([]line, *tea.Cursor) {
	prompt := label
	if m.w < 2*len(label) {
		prompt = ""
	}
	text, column := m.field.window(m.w - len(prompt))
	entry := line{{text: prompt}, {text: text, look: bold}}
	blocks := []block{m.title(m.w), {gap: true, lines: []line{entry}}, m.paragraph(3, false, help)}
	if m.note != "" {
		blocks = append(blocks, block{rank: 1, gap: true, lines: m.marked(bad, "[!]", m.note)})
	}
	lines := squeeze(append(blocks, keyBlocks(m.keys(), m.w, false)...), m.h)
	for y, l := range lines {
		if len(l) == 2 && l[0] == entry[0] && l[1] == entry[1] {
			return lines, tea.NewCursor(min(len(prompt)+column, m.w-1), y)
		}
	}
	return lines, nil
}
