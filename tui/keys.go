package tui

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// noteTime is how long a note about a key stands.
const noteTime = 5 * time.Second

// A key is declared once, for the dispatch, the help line and the help page.
type key struct {
	names []string // as Bubble Tea spells them; the first is shown
	label string
	short string // label for narrow windows; empty: label
	help  string // a sentence on the help page; empty: the key is not on it
	do    func(model) (model, tea.Cmd)
}

// keys returns what can be pressed now.
func (m model) keys() []key {
	quit := key{[]string{"q", "esc", "ctrl+c"}, "quit", "", "stops the login", quitKey}
	help := key{[]string{"?"}, "help", "", "", func(m model) (model, tea.Cmd) { m.help = true; return m, nil }}
	text := key{[]string{"p"}, "plain", "", "plain lines instead of this screen", model.handOver}
	renew := key{[]string{"n"}, "new code", "new", "gives this code up for a new one", model.again}
	back := key{[]string{"s"}, "other server", "server", "", otherKey}
	switch m.phase {
	case asking:
		return []key{{[]string{"enter"}, "continue", "", "", answerKey},
			{[]string{"esc", "ctrl+c"}, "quit", "", "", quitKey}}
	case discovering:
		return []key{text, quit}
	case waiting:
		all := []key{{[]string{"c"}, "copy link", "copy", "sends the link to your clipboard", copyKey},
			renew, text, help, quit}
		if m.options.OpenURL != nil {
			open := key{[]string{"o"}, "open", "", "opens the link in a browser here", openKey}
			all = append([]key{open}, all...)
		}
		return all
	case failed:
		return []key{{[]string{"n", "enter"}, "try again", "", "", model.again}, back, quit}
	case expired:
		return []key{{[]string{"enter", "n"}, "new code", "", "", model.again}, back, quit}
	case storing, renewing, quitting:
		return []key{quit}
	}
	return nil
}

// press takes one key.
func (m model) press(k tea.KeyPressMsg) (model, tea.Cmd) {
	name := spelling(k)
	if name == "ctrl+z" {
		m.hidden = true // suspending draws once more: not the code
		return m, tea.Suspend
	}
	if m.help {
		m.help = false
		if name != "ctrl+c" && name != "q" {
			return m, nil
		}
	}
	for _, known := range m.keys() {
		for _, n := range known.names {
			if n == name {
				return known.do(m)
			}
		}
	}
	if m.phase == asking {
		m.note = ""
		m.field = m.field.edit(k)
	}
	return m, nil
}

// spelling names a key as keys declares it: letters in lower case, and by their
// place on the keyboard where the layout is not Latin and the terminal tells.
func spelling(k tea.KeyPressMsg) string {
	if k.Text != "" && k.Text[0] >= 0x80 && k.BaseCode > ' ' && k.BaseCode < 0x7f && k.Mod == 0 {
		return string(k.BaseCode)
	}
	if len(k.Text) == 1 {
		return strings.ToLower(k.Text)
	}
	return k.String()
}

func quitKey(m model) (model, tea.Cmd) { return m.quit(ErrQuit) }

// answerKey takes the server's name from the field.
func answerKey(m model) (model, tea.Cmd) {
	server := strings.TrimSpace(m.field.String())
	if server == "" {
		m.note = "Type the name of your server first, such as matrix.org."
		return m, nil
	}
	m.server = server
	return m.again()
}

// otherKey goes back to the field, with the name that was tried.
func otherKey(m model) (model, tea.Cmd) {
	m.field, m.note = newField(m.server), ""
	m.err = nil
	return m.enter(asking), nil
}

// copyKey hands the link to the terminal. Whether it arrives, nobody tells:
// tmux, for one, may drop it.
func copyKey(m model) (model, tea.Cmd) {
	return m.remark("Link sent to the clipboard."), tea.SetClipboard(m.shown.Code.Link())
}

func openKey(m model) (model, tea.Cmd) {
	open, ctx, link := m.options.OpenURL, m.base, m.shown.Code.Link()
	return m.remark("Opening the link."), func() tea.Msg { return openedMsg{open(ctx, link)} }
}

// pageOpened says what came of openKey.
func (m model) pageOpened(err error) model {
	if err != nil {
		return m.remark("No browser could be opened: " + clean(err.Error()))
	}
	return m.remark("Link sent to the browser.")
}

// remark shows a note for a while.
func (m model) remark(note string) model {
	m.note, m.noteEnd = note, m.now.Add(noteTime)
	return m
}
