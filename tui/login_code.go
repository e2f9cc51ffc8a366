package tui

import (
	"strings"
	"time"
)

// hintAfter is how long somebody waits before the screen says what an error on
// the server's page means: servers check what was asked for only there, and the
// waiting client is told nothing.
const hintAfter = time.Minute

// codePage shows where to go and what to enter.
func (m loginModel) codePage() []line {
	p := poster{link: m.shown.Code.VerificationURI, qr: m.qr, noQR: m.noQR, words: m.words,
		tooLong: "The link is too long for this window: c copies it, p prints it."}
	return p.draw(m.canvas)
}

// words are the blocks of text around the link.
func (m loginModel) words(o wording) []block {
	title := m.title(o.w)
	if o.tight {
		title.rank = rankMore
	}
	blocks := append([]block{title}, o.link...)
	blocks = append(blocks, m.codeBlock(o.w, o.tight))
	blocks = append(blocks, m.advice(o)...)
	if o.aside != "" {
		blocks = append(blocks, o.para(rankMore, true, o.aside))
	}
	if !o.tight || m.offline.Kind != "" {
		blocks = append(blocks, o.para(0, true, m.state(o.tight)))
	}
	blocks = append(blocks, m.warned(o.w)...)
	if m.note != "" {
		blocks = append(blocks, o.para(1, false, m.note))
	}
	return append(blocks, keyBlocks(m.keys(), o.w, o.tight)...)
}

// codeBlock is the code that is typed, unbroken and in its own letters. In the
// tight form the time stands beside it, in as many words as there is room for.
func (m loginModel) codeBlock(w int, tight bool) block {
	code := span{text: m.shown.Code.UserCode, look: bold}
	if !tight {
		return block{lines: []line{say("and enter"), nil, {{text: "    "}, code}}}
	}
	left, waiting := minutes(m.left()), "Waiting, "
	if m.offline.Kind != "" {
		waiting = ""
	}
	for _, l := range []line{
		{{text: "Code "}, code, {text: "  " + waiting + left + " left"}},
		{{text: "Code "}, code, {text: "  " + left + " left"}},
		{code, {text: "  " + left}},
	} {
		if l.width() <= w {
			return block{lines: []line{l}}
		}
	}
	var rows []line
	for _, part := range hardFold(code.text, w) {
		rows = append(rows, strong(part))
	}
	return block{lines: rows}
}

// advice is what keeps people from approving somebody else's login.
func (m loginModel) advice(o wording) []block {
	blocks := []block{
		o.para(rankKeep, true, onlyYours(account(m.server, m.name()), m.shown.DeviceName)),
		o.para(rankMore, false, compare(m.shown.DeviceName)),
	}
	if m.now.Sub(m.since) >= hintAfter && m.offline.Kind == "" {
		hint := "If that page shows an error, the server refuses what was asked for: ? tells more."
		if o.tight {
			hint = "An error on that page? Press ?."
		}
		blocks = append(blocks, o.para(rankNice, true, hint))
	}
	return blocks
}

// onlyYours is the sentence against phishing.
func onlyYours(account, device string) string {
	text := "Only approve a login that you started: to " + account
	if device = clean(device); device != "" {
		text += ", from " + device
	}
	return text + "."
}

// account names what is logged in to: the Matrix ID if one was typed, else the
// server.
func account(typed, server string) string {
	if typed = clean(typed); strings.HasPrefix(typed, "@") {
		return typed
	}
	return server
}

// compare prepares for the page where the login is approved.
func compare(device string) string {
	if device = clean(device); device != "" {
		return "The page names " + device + ` and repeats the code as "security code": compare both.`
	}
	return `The page repeats the code as "security code": compare them.`
}

// state says what the login is waiting for. In the tight form the time stands
// beside the code.
func (m loginModel) state(tight bool) string {
	if m.offline.Kind == "" {
		return "Waiting. " + minutes(m.left()) + " left"
	}
	next := "trying again"
	if d := m.offline.Retry.Sub(m.now); d > 0 {
		next = "next try in " + seconds(d+time.Second-1)
	}
	if tight {
		return "No connection; " + next + "."
	}
	return "No connection; " + next + ". The code is still good, " + minutes(m.left()) + " left."
}

// helpPage explains the keys and the page at the server. The code stays in sight.
func (m loginModel) helpPage() []block {
	blocks := append([]block{m.title(m.w)}, keyHelp(m.keys(), m.w)...)
	refused := "If the page shows an error, the server refuses what was asked for, and this screen will never hear of it." +
		" Quit and ask for less, or ask the server's administrator."
	if scope := clean(m.shown.Code.Scope); scope != "" {
		refused += " Asked for was: " + scope
	}
	code := m.codeBlock(m.w, true)
	code.gap = true
	return append(blocks,
		m.paragraph(3, true, "Open the link on any device; the QR code holds it. Log in there to "+m.name()+
			", compare the code, and approve only if you started this login: whoever sends you a link and a code wants your account."),
		m.paragraph(4, true, refused),
		code,
		block{rank: 2, gap: true, lines: []line{say("Any key goes back.")}})
}
