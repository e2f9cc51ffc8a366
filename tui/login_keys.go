package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// keys returns what can be pressed now.
func (m loginModel) keys() []key[loginModel] {
	type k = key[loginModel]
	quit := k{[]string{"q", "esc", "ctrl+c"}, "quit", "", "stops the login", quitKey}
	text := k{[]string{"p"}, "plain", "", "plain lines instead of this screen", loginModel.handOver}
	back := k{[]string{"s"}, "other server", "server", "", otherKey}
	switch m.phase {
	case asking:
		return []k{{[]string{"enter"}, "continue", "", "", answerKey},
			{[]string{"esc", "ctrl+c"}, "quit", "", "", quitKey}}
	case discovering:
		return []k{text, quit}
	case waiting:
		all := []k{{[]string{"c"}, "copy link", "copy", "sends the link to your clipboard", copyKey},
			{[]string{"n"}, "new code", "new", "gives this code up for a new one", loginModel.again},
			text, {[]string{"?"}, "help", "", "", helpKey}, quit}
		if m.options.OpenURL != nil {
			open := k{[]string{"o"}, "open", "", "opens the link in a browser here", openKey}
			all = append([]k{open}, all...)
		}
		return all
	case linked:
		return m.browserKeys(text, quit)
	case failed:
		again := k{[]string{"n", "enter"}, "try again", "", "", loginModel.again}
		if m.offersBrowser() {
			return []k{{[]string{"b", "enter"}, "log in by browser", "browser", "", browserKey}, again, back, quit}
		}
		return []k{again, back, quit}
	case expired:
		label := "new code"
		if m.browser {
			label = "new link"
		}
		return []k{{[]string{"enter", "n"}, label, "", "", loginModel.again}, back, quit}
	case fetching, storing, renewing, quitting:
		return []k{quit}
	}
	return nil
}

// press takes one key.
func (m loginModel) press(k tea.KeyPressMsg) (loginModel, tea.Cmd) {
	name := spelling(k)
	if m.typing && k.Text != "" { // a letter of the address, and no key
		m.field = m.field.edit(k)
		return m, nil
	}
	c, cmd, taken := m.common(name)
	if m.canvas = c; taken {
		return m, cmd
	}
	if do := pressed(m.keys(), name); do != nil {
		return do(m)
	}
	if m.phase == asking || m.typing {
		m.note = ""
		m.field = m.field.edit(k)
	}
	return m, nil
}

func quitKey(m loginModel) (loginModel, tea.Cmd) { return m.quit(ErrQuit) }

func helpKey(m loginModel) (loginModel, tea.Cmd) {
	m.help = true
	return m, nil
}

// answerKey takes the server's name from the field.
func answerKey(m loginModel) (loginModel, tea.Cmd) {
	server := strings.TrimSpace(m.field.String())
	if server == "" {
		m.note = "Type the name of your server first, such as matrix.org."
		return m, nil
	}
	m.server = server
	return m.again()
}

// otherKey goes back to the field, with the name that was tried.
func otherKey(m loginModel) (loginModel, tea.Cmd) {
	m.field, m.note = newField(m.server), ""
	m.err = nil
	m.browser = m.options.InBrowser && m.options.Browser != nil
	return m.enter(asking), nil
}

func copyKey(m loginModel) (loginModel, tea.Cmd) {
	var cmd tea.Cmd
	m.canvas, cmd = m.copy(m.link())
	return m, cmd
}

func openKey(m loginModel) (loginModel, tea.Cmd) {
	var cmd tea.Cmd
	m.canvas, cmd = m.open(m.base, m.options.OpenURL, m.link())
	return m, cmd
}
