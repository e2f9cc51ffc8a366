package tui

import (
	"fmt"
	"net/url"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mxauth/mxauth/flow"
)

// View draws the phase. What does not fit the window is left out by rank, not
// cut off by the terminal.
func (m model) View() tea.View {
	if m.w < 1 || m.h < 1 || m.hidden {
		return tea.NewView("")
	}
	var lines []line
	var cursor *tea.Cursor
	switch {
	case m.phase == handing || m.phase == handed:
	case m.phase == left:
		lines = m.result()
	case m.help && m.phase == waiting:
		lines = squeeze(m.helpPage(), m.h)
	case m.phase == asking:
		lines, cursor = m.question()
	case m.phase == waiting:
		lines = m.codePage()
	default:
		lines = squeeze(m.page(), m.h)
	}
	for i := range lines {
		lines[i] = lines[i].cut(m.w)
	}
	text := m.palette.paint(lines)
	if m.phase == left && text != "" {
		text += "\n" // Bubble Tea ends by erasing the last row
	}
	view := tea.NewView(text)
	view.Cursor = cursor
	return view
}

// paragraph is a block of wrapped text.
func (m model) paragraph(rank int, gap bool, text string) block {
	return block{rank: rank, gap: gap, lines: sayAll(fold(text, m.w))}
}

// title is the first row of every screen.
func (m model) title(w int) block {
	text := "Log in to Matrix"
	if name := m.name(); name != "" && m.phase != asking {
		text = "Log in to " + name
	}
	b := block{rank: 2}
	for _, row := range fold(text, w) {
		b.lines = append(b.lines, strong(row))
	}
	return b
}

// name is the server's, as the user knows it.
func (m model) name() string {
	if m.found.Server.Name != "" {
		return clean(m.found.Server.Name)
	}
	return clean(m.server)
}

// page draws the phases that are a few lines of text.
func (m model) page() []block {
	blocks := []block{m.title(m.w)}
	switch m.phase {
	case discovering:
		blocks = append(blocks, block{gap: true, lines: m.steps()})
	case storing:
		blocks = append(blocks, block{gap: true, lines: append(
			m.marked(good, "[ok]", "Approved"),
			m.marked(plain, "[..]", "Storing the tokens"+m.waited())...)})
	case renewing:
		blocks = append(blocks, m.paragraph(0, true, "[..] Giving up the old code"+m.waited()))
	case quitting:
		blocks = append(blocks, m.paragraph(0, true, "[..] Stopping; the server may still be answering"+m.waited()))
	case failed:
		blocks = append(blocks, block{gap: true, lines: m.marked(bad, "[!]", sentence(clean(m.err.Error())))})
	case expired:
		life := m.shown.Code.Expiry.Sub(m.shown.Time)
		text := "The code ran out."
		if !m.shown.Time.IsZero() && life > 0 {
			text = "The code ran out after " + minutes(life) + "."
		}
		blocks = append(blocks, block{gap: true, lines: m.marked(bad, "[!]", text)})
	}
	return append(append(blocks, m.warned(m.w)...), m.keyBlocks(m.w, false)...)
}

// steps tells how far an attempt has come.
func (m model) steps() []line {
	if m.step == "" || m.step == flow.EventDiscover {
		return m.marked(plain, "[..]", "Looking up "+m.name()+m.waited())
	}
	var lines []line
	labels := [2]string{"Homeserver    ", "Login service "}
	if m.w < 60 {
		labels = [2]string{}
	}
	s := m.found.Server
	if s.Homeserver != "" {
		lines = m.hostRow(labels[0], host(s.Homeserver))
	}
	if service := host(s.Issuer); service != host(s.Homeserver) || labels[0] != "" {
		lines = append(lines, m.hostRow(labels[1], service)...)
	}
	return append(lines, m.marked(plain, "[..]", "Asking for a code"+m.waited())...)
}

// hostRow is a row about a host. Where it is too long it breaks and is not cut:
// the end of a name is what counts.
func (m model) hostRow(label, name string) []line {
	if l := mark(good, "[ok]", label+name); l.width() <= m.w {
		return []line{l}
	}
	return m.marked(good, "[ok]", name)
}

// waited is how long the phase lasts, once that is worth telling.
func (m model) waited() string {
	if d := m.now.Sub(m.since); d >= 2*time.Second {
		return fmt.Sprintf(" (%d s)", int(d.Seconds()))
	}
	return ""
}

// mark is a row that begins with its state.
func mark(l look, state, text string) line {
	return line{{text: state, look: l}, {text: " " + text}}
}

// marked wraps a longer text beside its state.
func (m model) marked(l look, state, text string) []line {
	var lines []line
	for i, row := range fold(state+" "+text, m.w) {
		if i == 0 && len(row) > len(state) {
			lines = append(lines, mark(l, state, row[len(state)+1:]))
			continue
		}
		lines = append(lines, say(row))
	}
	return lines
}

// warned repeats the warnings.
func (m model) warned(w int) []block {
	var blocks []block
	for _, e := range m.warnings {
		blocks = append(blocks, block{rank: 1, gap: true, lines: sayAll(fold("[!] "+clean(e.Text), w))})
	}
	return blocks
}

// result is what stays in the scrollback: the end, and what the user should
// know about it. No code and no link.
func (m model) result() []line {
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

// question asks for the server's name.
func (m model) question() ([]line, *tea.Cursor) {
	const label = "Server  "
	prompt := label
	if m.w < 2*len(label) {
		prompt = ""
	}
	text, column := m.field.window(m.w - len(prompt))
	entry := line{{text: prompt}, {text: text, look: bold}}
	help := "A domain, a Matrix ID or a URL, such as matrix.org or @alice:example.org"
	blocks := []block{m.title(m.w), {gap: true, lines: []line{entry}}, m.paragraph(3, false, help)}
	if m.note != "" {
		blocks = append(blocks, block{rank: 1, gap: true, lines: m.marked(bad, "[!]", m.note)})
	}
	lines := squeeze(append(blocks, m.keyBlocks(m.w, false)...), m.h)
	for y, l := range lines {
		if len(l) == 2 && l[0] == entry[0] && l[1] == entry[1] {
			return lines, tea.NewCursor(min(len(prompt)+column, m.w-1), y)
		}
	}
	return lines, nil
}

// keyBlocks list the keys, in as many rows as they need. Where rows are dear,
// the way out and the way to help stay longest.
func (m model) keyBlocks(w int, short bool) []block {
	keys := m.keys()
	if !short {
		return []block{{rank: 1, gap: true, lines: keyRows(keys, w, false)}}
	}
	var first, last []key
	for _, k := range keys {
		if k.label == "quit" || k.label == "help" {
			last = append(last, k)
		} else {
			first = append(first, k)
		}
	}
	return []block{{rank: 2, lines: keyRows(first, w, true)}, {rank: 1, lines: keyRows(last, w, true)}}
}

func keyRows(keys []key, w int, short bool) []line {
	var rows []line
	var row line
	for _, k := range keys {
		label := k.label
		if short && k.short != "" {
			label = k.short
		}
		item := line{{text: k.names[0], look: bold}, {text: " " + label}}
		if len(row) > 0 && row.width()+2+item.width() > w {
			rows, row = append(rows, row), nil
		}
		if len(row) > 0 {
			row = append(row, span{text: "  "})
		}
		row = append(row, item...)
	}
	if len(row) > 0 {
		rows = append(rows, row)
	}
	return rows
}

// host is the part of an address that people compare.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return clean(address)
	}
	return clean(u.Host)
}

// minutes writes m:ss, rounded up to a whole second.
func minutes(d time.Duration) string {
	s := int((max(d, 0) + time.Second - 1) / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	if s[0] >= 'a' && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	if last := s[len(s)-1]; last != '.' && last != '!' && last != '?' {
		s += "."
	}
	return s
}
