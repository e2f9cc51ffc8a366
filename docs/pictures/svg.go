package main

import (
	"fmt"
	"html"
	"image/color"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/vt"
)

// The size of the drawing, in cells and in units a cell.
const (
	columns, rows = 80, 24
	cellW, cellH  = 10, 20
	bold          = 1 // vt's attribute
)

// drawing draws a screen, given as text with escape sequences. Block glyphs are
// drawn as what they stand for, so that no font comes between a QR code and the
// camera.
func drawing(screen string) string {
	em := vt.NewSafeEmulator(columns, rows)
	_, _ = em.Write([]byte(strings.ReplaceAll(strings.TrimRight(screen, "\n"), "\n", "\r\n"))) // it is memory
	var b strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) } // a Builder takes everything
	say(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 -12 %d %d" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="16">`,
		columns*cellW+24, rows*cellH+24)
	say(`<rect x="-12" y="-12" width="100%%" height="100%%" rx="8" fill="#111"/>`)
	for y := range rows {
		for x := 0; x < columns; {
			c := em.CellAt(x, y)
			n := 1
			for x+n < columns && same(em, x, y, n) {
				n++
			}
			var text strings.Builder
			for i := range n {
				text.WriteString(em.CellAt(x+i, y).Content)
			}
			drawStretch(say, stretch{x, y, n, text.String(), fill(c.Style.Fg, "#ddd"), fill(c.Style.Bg, "none"), c.Style.Attrs&bold != 0, c.Style.Underline != 0})
			x += n
		}
	}
	say("</svg>")
	return b.String()
}

// same reports whether the cell n to the right of (x, y) looks like it.
func same(em *vt.SafeEmulator, x, y, n int) bool {
	a, c := em.CellAt(x, y), em.CellAt(x+n, y)
	return a != nil && c != nil && a.Style.Equal(&c.Style) && glyph(a.Content) == glyph(c.Content) &&
		(glyph(a.Content) == "" || a.Content == c.Content)
}

// glyph returns a block glyph, "" for other text.
func glyph(s string) string {
	if strings.ContainsAny(s, "▀▄█") {
		return s
	}
	return ""
}

// A stretch is cells of one look beside each other.
type stretch struct {
	x, y, n         int
	text            string
	fg, bg          string
	bold, underline bool
}

func drawStretch(say func(string, ...any), r stretch) {
	box := func(top, height int, fill string) {
		say(`<rect x="%d" y="%d" width="%d" height="%d" fill="%s" shape-rendering="crispEdges"/>`, r.x*cellW, r.y*cellH+top, r.n*cellW, height, fill)
	}
	if r.bg != "none" {
		box(0, cellH, r.bg)
	}
	switch {
	case strings.HasPrefix(r.text, "▀"):
		box(0, cellH/2, r.fg)
	case strings.HasPrefix(r.text, "▄"):
		box(cellH/2, cellH/2, r.fg)
	case strings.HasPrefix(r.text, "█"):
		box(0, cellH, r.fg)
	default:
		r.words(say)
	}
}

// words draws each word where its first cell is: fonts are not all as wide.
func (r stretch) words(say func(string, ...any)) {
	look := ""
	if r.bold {
		look += ` font-weight="bold"`
	}
	if r.underline {
		look += ` text-decoration="underline"`
	}
	x := r.x
	for _, word := range strings.Split(r.text, " ") {
		n := utf8.RuneCountInString(word)
		if n > 0 {
			say(`<text x="%d" y="%d" textLength="%d" fill="%s"%s>%s</text>`, x*cellW, r.y*cellH+15, n*cellW, r.fg, look, html.EscapeString(word))
		}
		x += n + 1
	}
}

// fill names a colour; nil is the terminal's own.
func fill(c color.Color, own string) string {
	if c == nil {
		return own
	}
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}
