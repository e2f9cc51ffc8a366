package tui

import (
	"context"
	"errors"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/mxauth/mxauth/flow"
)

// strayed answers an address that leads nowhere.
const strayed = "That is not the address that this login ends on."

// offersBrowser reports whether the failed login would be possible by browser.
func (m loginModel) offersBrowser() bool {
	return m.options.Browser != nil && errors.Is(m.err, flow.ErrBrowserOnly)
}

func browserKey(m loginModel) (loginModel, tea.Cmd) {
	m.browser = true
	return m.begin()
}

func (m loginModel) browserKeys(text, quit key[loginModel]) []key[loginModel] {
	type k = key[loginModel]
	if m.typing {
		return []k{{[]string{"enter"}, "continue", "", "", addressKey}, {[]string{"esc"}, "back", "", "", linkKey},
			{[]string{"ctrl+c"}, "quit", "", "", quitKey}}
	}
	all := []k{{[]string{"a"}, "enter address", "address", "takes the address of the page that a browser elsewhere ended on; it can be pasted at once, too", typeKey},
		{[]string{"c"}, "copy link", "copy", "sends the link to your clipboard", copyKey},
		{[]string{"n"}, "new link", "new", "gives this link up for a new one", loginModel.again},
		text, {[]string{"?"}, "help", "", "", helpKey}, quit}
	if m.options.OpenURL != nil {
		all = append([]k{{[]string{"o"}, "open", "", "opens the link in a browser here once more", openKey}}, all...)
	}
	return all
}

func typeKey(m loginModel) (loginModel, tea.Cmd) {
	m.typing, m.field, m.note = true, field{max: addressMax}, ""
	return m, nil
}

func linkKey(m loginModel) (loginModel, tea.Cmd) {
	m.typing, m.note = false, ""
	return m, nil
}

func addressKey(m loginModel) (loginModel, tea.Cmd) {
	address := m.field.String()
	if address == "" {
		m.note = "Type or paste the address first."
		return m, nil
	}
	return m.give(address)
}

// pasted takes an address at once: nothing else is ever pasted here.
func (m loginModel) pasted(text string) (loginModel, tea.Cmd) {
	return m.give(strings.Join(strings.Fields(text), "")) // a terminal may have broken it into lines
}

// give hands an address to the attempt, which says what it thinks of it.
func (m loginModel) give(address string) (loginModel, tea.Cmd) {
	m.typing = false
	select {
	case m.attempt.addresses <- address:
	default: // one lies there already
	}
	return m, nil
}

// paste hands on addresses until there are no more.
func paste(ctx context.Context, to chan<- string, from <-chan string) {
	for address := range from {
		select {
		case to <- address:
		case <-ctx.Done():
			return
		}
	}
}

// browserPage shows the link of a login by browser. There is no QR code: another
// device could not come back to this one.
func (m loginModel) browserPage() []line {
	p := poster{link: m.link(), words: m.browserWords,
		tooLong: "The link is too long for this window: c copies it, p prints it."}
	return p.draw(m.canvas)
}

func (m loginModel) browserWords(o wording) []block {
	blocks := append([]block{m.title(o.w)}, o.link...)
	elsewhere := "In a browser on this machine. In one elsewhere the last page cannot be shown: paste its address here, or press a."
	if o.tight {
		elsewhere = "From a browser elsewhere, paste the last address (a)."
	}
	blocks = append(blocks, o.para(rankKeep, true, elsewhere),
		o.para(rankKeep, true, onlyYours(account(m.server, m.name()), "")))
	if m.now.Sub(m.since) >= hintAfter && m.offline.Kind == "" {
		blocks = append(blocks, o.para(rankNice, true, "If the server's page shows an error, it refuses what was asked for: ? tells more."))
	}
	blocks = append(blocks, o.para(0, true, m.state(false)))
	blocks = append(blocks, m.warned(o.w)...)
	if m.note != "" {
		blocks = append(blocks, o.para(1, false, m.note))
	}
	return append(blocks, keyBlocks(m.keys(), o.w, o.tight)...)
}

// browserHelp explains the keys and what happens in the browser.
func (m loginModel) browserHelp() []block {
	refused := "If the server's page shows an error, it refuses what was asked for, and this screen will never hear of it."
	if scope := clean(m.shown.Authorization.Scope); scope != "" {
		refused += " Asked for was: " + scope
	}
	blocks := append([]block{m.title(m.w)}, keyHelp(m.keys(), m.w)...)
	return append(blocks,
		m.paragraph(3, true, "The browser comes back to this machine by itself. From another machine it ends on a page that cannot be shown;"+
			" its address is what this login waits for, and is of no use to anybody else. Approve only if you started this login."),
		m.paragraph(4, true, refused),
		block{rank: 2, gap: true, lines: []line{say("Any key goes back.")}})
}
