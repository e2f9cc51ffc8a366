package tui

import (
	"fmt"
	"time"
)

// hintAfter is how long somebody waits before the screen says what an error on
// the server's page means: servers check what was asked for only there, and the
// waiting client is told nothing.
const hintAfter = time.Minute

// Ranks of what stands beside the code. Up to rankKeep it must fit beside a QR
// code, or the QR code goes.
const (
	rankKeep = 2
	rankNice = 3
	rankMore = 4
)

// A variant is one way to arrange the code page.
type variant struct {
	zone   int
	beside bool
	tight  bool // short words, fewer rows
}

// codePage shows where to go and what to enter: with a QR code where one fits,
// in text always.
func (m model) codePage() []line {
	if m.qr.text != "" {
		for _, v := range []variant{
			{zoneWide, true, false}, {zoneSmall, true, false}, {zoneSmall, true, true},
			{zoneWide, false, false}, {zoneSmall, false, false}, {zoneSmall, false, true},
		} {
			if lines, ok := m.withQR(v); ok {
				return lines
			}
		}
	}
	words := wording{w: m.w, lead: "Open", link: m.linkFits(), aside: m.noQR}
	if m.qr.text != "" {
		words.aside = "Enlarge the window for the QR code."
	}
	if lines, ok := fit(m.words(words), m.h, rankMore); ok {
		return lines
	}
	words.tight = true
	return squeeze(m.words(words), m.h)
}

// linkFits reports whether the whole link, the code and the keys have room.
func (m model) linkFits() bool {
	return len(hardFold(m.shown.Code.VerificationURI, m.w))+2 <= m.h
}

// withQR draws one variant, if it fits.
func (m model) withQR(v variant) ([]line, bool) {
	halves := m.palette.utf8
	cols, rows := m.qr.dimensions(v.zone, halves)
	if cols > m.w || rows > m.h {
		return nil, false
	}
	if !v.beside {
		text, ok := fit(m.words(wording{m.w, scanOr, v.tight, true, ""}), m.h-rows, v.keep())
		return append(m.qr.lines(v.zone, halves), text...), ok
	}
	w := m.w - cols - gutter
	if w < textMin {
		return nil, false
	}
	link := m.shown.Code.VerificationURI
	if len(link) <= w || len(link) > m.w {
		text, ok := fit(m.words(wording{w, scanOr, v.tight, true, ""}), m.h, v.keep())
		return beside(m.qr.lines(v.zone, halves), text), ok
	}
	// The link would break beside the code and does not below it.
	text, ok := fit(m.words(wording{w, scanOr + " the link below", v.tight, false, ""}), m.h-1, v.keep())
	if !ok || rows > m.h-1 {
		return nil, false
	}
	return append(beside(m.qr.lines(v.zone, halves), text), m.linkLines(m.w)...), true
}

// keep is the highest rank that must stand beside the QR code.
func (v variant) keep() int {
	if v.tight {
		return rankKeep
	}
	return rankMore
}

// linkLines is the link by itself, broken only where the window ends.
func (m model) linkLines(w int) []line {
	link := m.shown.Code.VerificationURI
	var lines []line
	for _, part := range hardFold(link, w) {
		lines = append(lines, line{{text: part, look: underlined, link: link}})
	}
	return lines
}

// scanOr leads to the link, where there is a QR code.
const scanOr = "Scan the code, or open"

// A wording is one way to put the code page in words.
type wording struct {
	w     int    // columns
	lead  string // what comes before the link
	tight bool
	link  bool   // the link is part of it
	aside string // why there is no QR code
}

// words are the blocks of text.
func (m model) words(o wording) []block {
	para := func(rank int, gap bool, text string) block {
		return block{rank: rank, gap: gap, lines: sayAll(fold(text, o.w))}
	}
	title := m.title(o.w)
	if o.tight {
		title.rank = rankNice
	}
	blocks := []block{title}
	switch {
	case !o.link && !m.linkFits():
		blocks = append(blocks, para(0, true, "The link is too long for this window: c copies it, p prints it."))
	case o.tight && o.link:
		blocks = append(blocks, block{lines: m.linkLines(o.w)})
	case o.link:
		blocks = append(blocks, para(0, true, o.lead), block{lines: m.linkLines(o.w)})
	default:
		blocks = append(blocks, para(0, true, o.lead))
	}
	blocks = append(blocks, m.codeBlock(o.w, o.tight))
	blocks = append(blocks, m.advice(o.w)...)
	if o.aside != "" {
		blocks = append(blocks, para(rankMore, true, o.aside))
	}
	if !o.tight || m.offline.Kind != "" {
		blocks = append(blocks, para(0, true, m.state()))
	}
	blocks = append(blocks, m.warned(o.w)...)
	if m.note != "" {
		blocks = append(blocks, para(1, false, m.note))
	}
	return append(blocks, m.keyBlocks(o.w, o.tight)...)
}

// codeBlock is the code that is typed, unbroken and in its own letters. In the
// tight form the time stands beside it, in as many words as there is room for.
func (m model) codeBlock(w int, tight bool) block {
	code := span{text: m.shown.Code.UserCode, look: bold}
	if !tight {
		return block{lines: []line{say("and enter"), {{text: "    "}, code}}}
	}
	left := minutes(m.left())
	if m.offline.Kind != "" {
		left = ""
	}
	for _, l := range []line{
		{{text: "Code "}, code, {text: "  Waiting, " + left + " left"}},
		{{text: "Code "}, code, {text: "  " + left + " left"}},
		{code, {text: "  " + left}},
	} {
		if left != "" && l.width() <= w {
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
func (m model) advice(w int) []block {
	blocks := []block{
		{rank: rankNice, gap: true, lines: sayAll(fold("Check: the page shows this code.", w))},
		{rank: rankKeep, lines: sayAll(fold(onlyYours(m.name(), m.shown.DeviceName), w))},
	}
	if m.now.Sub(m.since) >= hintAfter && m.offline.Kind == "" {
		hint := "If that page shows an error, the server refuses what was asked for."
		blocks = append(blocks, block{rank: rankNice, gap: true, lines: sayAll(fold(hint, w))})
	}
	return blocks
}

// onlyYours is the sentence against phishing.
func onlyYours(server, device string) string {
	text := "Only approve a login that you started: to " + server
	if device = clean(device); device != "" {
		text += ", from " + device
	}
	return text + "."
}

// state says what the login is waiting for.
func (m model) state() string {
	if m.offline.Kind == "" {
		return "Waiting. " + minutes(m.left()) + " left"
	}
	next := "trying again"
	if d := m.offline.Retry.Sub(m.now); d > 0 {
		next = fmt.Sprintf("next try in %d s", int((d+time.Second-1)/time.Second))
	}
	return "No connection; " + next + ". The code is still good, " + minutes(m.left()) + " left."
}

// helpPage explains the keys. The code stays in sight.
func (m model) helpPage() []block {
	blocks := []block{m.title(m.w)}
	for _, k := range m.keys() {
		if k.help != "" {
			l := line{{text: "  "}, {text: k.names[0], look: bold}, {text: "  " + k.help}}
			blocks = append(blocks, block{rank: 1, gap: len(blocks) == 1, lines: []line{l}})
		}
	}
	code := m.codeBlock(m.w, true)
	code.gap = true
	return append(blocks,
		m.paragraph(3, true, "Open the link on any device; the QR code holds it. Log in there to "+m.name()+
			", compare the code, and approve only if you started this login: whoever sends you a link and a code wants your account."),
		m.paragraph(4, true, "If the page shows an error, the server refuses what was asked for: stop here, and ask for less or ask its administrator."),
		code,
		block{rank: 2, gap: true, lines: []line{say("Any key goes back.")}})
}
