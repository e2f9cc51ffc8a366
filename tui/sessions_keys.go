package tui

import (
	tea "charm.land/bubbletea/v2"
)

// keys returns what can be pressed now.
func (m sessionsModel) keys() []key[sessionsModel] {
	type k = key[sessionsModel]
	quit := k{[]string{"q", "ctrl+c"}, "quit", "", "leaves; the sessions stay", leaveKey}
	back := k{[]string{"esc", "enter", "left"}, "back", "", "", backKey}
	help := k{[]string{"?"}, "help", "", "", func(m sessionsModel) (sessionsModel, tea.Cmd) { m.help = true; return m, nil }}
	fresh := k{[]string{"n"}, "new login", "new", "logs in somewhere else", newKey}
	switch m.phase {
	case loading:
		return []k{quit}
	case browsing:
		if len(m.rows) == 0 {
			return []k{{[]string{"l", "n", "enter"}, "log in", "", "logs in to a server", newKey}, help, quit}
		}
		all := append([]k{{[]string{"enter", "right"}, "details", "", "shows all that is known", detailsKey}}, m.actionKeys()...)
		return append(append(all, fresh, help, quit), moveKeys()...)
	case reading:
		return append(m.actionKeys(), back, help, quit)
	case confirming:
		return []k{{[]string{"y"}, "yes", "", "", confirmKey}, {[]string{"n", "esc"}, "no", "", "", backKey},
			{[]string{"ctrl+c"}, "", "", "", leaveKey}}
	case linking:
		return append(m.linkKeys(), back, quit)
	case leaving:
		return []k{quit}
	}
	return nil
}

// actionKeys act on the selected session.
func (m sessionsModel) actionKeys() []key[sessionsModel] {
	return []key[sessionsModel]{
		{[]string{"u"}, "use", "", "makes it the default", useKey},
		{[]string{"r"}, "refresh", "", "gets a new access token now", refreshKey},
		{[]string{"l"}, "log in again", "again", "puts a new login in its place", againKey},
		{[]string{"d"}, "log out", "", "logs out, after a question", logoutKey},
		{[]string{"a"}, "account page", "account", "links to the server's page on it", pageKey},
	}
}

// linkKeys act on the account page's link, once it is there.
func (m sessionsModel) linkKeys() []key[sessionsModel] {
	if m.link == "" {
		return nil
	}
	keys := []key[sessionsModel]{{[]string{"c"}, "copy link", "copy", "", copyPageKey}}
	if m.options.OpenURL != nil {
		keys = append(keys, key[sessionsModel]{[]string{"o"}, "open", "", "", openPageKey})
	}
	return keys
}

// moveKeys select another session. They are on the help page only.
func moveKeys() []key[sessionsModel] {
	by := func(n int) func(sessionsModel) (sessionsModel, tea.Cmd) {
		return func(m sessionsModel) (sessionsModel, tea.Cmd) { return m.move(n), nil }
	}
	const all = 1 << 20
	return []key[sessionsModel]{
		{[]string{"up", "k"}, "", "", "the one above, as k does", by(-1)},
		{[]string{"down", "j"}, "", "", "the one below, as j does", by(1)},
		{[]string{"pgup"}, "", "", "", by(-10)},
		{[]string{"pgdown"}, "", "", "", by(10)},
		{[]string{"home"}, "", "", "", by(-all)},
		{[]string{"end"}, "", "", "", by(all)},
	}
}

// press takes one key. Whatever is not a clear yes to a question is a no.
func (m sessionsModel) press(k tea.KeyPressMsg) (sessionsModel, tea.Cmd) {
	name := spelling(k)
	if m.noteEnd.IsZero() {
		m.note = ""
	}
	c, cmd, taken := m.common(name)
	if m.canvas = c; taken {
		return m, cmd
	}
	if do := pressed(m.keys(), name); do != nil {
		return do(m)
	}
	if m.phase == confirming {
		return backKey(m)
	}
	return m, nil
}

func leaveKey(m sessionsModel) (sessionsModel, tea.Cmd) { return m.part(SessionsResult{}, nil) }

func newKey(m sessionsModel) (sessionsModel, tea.Cmd) {
	return m.part(SessionsResult{Login: true}, nil)
}

func againKey(m sessionsModel) (sessionsModel, tea.Cmd) {
	return m.part(SessionsResult{Login: true, Again: m.row()}, nil)
}

func detailsKey(m sessionsModel) (sessionsModel, tea.Cmd) { return m.enter(reading), nil }

// backKey goes back to where a phase was entered from. What was asked only for
// that phase is given up.
func backKey(m sessionsModel) (sessionsModel, tea.Cmd) {
	if j, ok := m.job(m.selected); ok && !j.verb.changes() {
		j.cancel()
	}
	if m.phase == reading {
		m.back = browsing
	}
	return m.enter(m.back), nil
}

func useKey(m sessionsModel) (sessionsModel, tea.Cmd) {
	if m.row().Default {
		m.canvas = m.remark("It is the default already.")
		return m, nil
	}
	return m.begin(toUse)
}

func refreshKey(m sessionsModel) (sessionsModel, tea.Cmd) {
	if m.row().Ended != "" {
		m.canvas = m.remark("The session is over: l logs in again.")
		return m, nil
	}
	return m.begin(toRefresh)
}

func logoutKey(m sessionsModel) (sessionsModel, tea.Cmd) { return m.aside(confirming), nil }

func confirmKey(m sessionsModel) (sessionsModel, tea.Cmd) {
	return m.enter(m.back).begin(toLogOut)
}

// pageKey looks up the account page. Where that has to wait for another job, the
// screen stays as it is.
func pageKey(m sessionsModel) (sessionsModel, tea.Cmd) {
	if _, busy := m.job(m.selected); busy {
		return m.begin(toFindPage)
	}
	m.link, m.linkQR, m.noQR, m.linkErr = "", qrCode{}, "", nil
	return m.aside(linking).begin(toFindPage)
}

// aside enters a phase that goes back to this one.
func (m sessionsModel) aside(p sessionsPhase) sessionsModel {
	m.back = m.phase
	return m.enter(p)
}

func copyPageKey(m sessionsModel) (sessionsModel, tea.Cmd) {
	var cmd tea.Cmd
	m.canvas, cmd = m.copy(m.link)
	return m, cmd
}

func openPageKey(m sessionsModel) (sessionsModel, tea.Cmd) {
	var cmd tea.Cmd
	m.canvas, cmd = m.open(m.base, m.options.OpenURL, m.link)
	return m, cmd
}
