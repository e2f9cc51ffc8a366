package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// A palette knows what the terminal can draw, and what its user wants drawn.
type palette struct {
	colour bool // our own text may have colours
	utf8   bool // block glyphs and other letters come out right
	links  bool // OSC 8 does no harm
}

// newPalette reads the environment. NO_COLOR counts when it is not empty
// (no-color.org); Bubble Tea asks for a boolean, so its own reading is not used.
func newPalette(env environ) palette {
	linux := env.get("TERM") == "linux"
	return palette{
		colour: env.get("NO_COLOR") == "",
		utf8:   env.utf8() && !linux,
		links:  !linux,
	}
}

// sgr returns what switches a look on. The colours of a QR code are fixed
// (themes rarely remap 16 and 231) and do not follow NO_COLOR.
func (p palette) sgr(l look) string {
	switch l {
	case bold:
		return "\x1b[1m"
	case underlined:
		return "\x1b[4m"
	case symbol:
		return "\x1b[38;5;231;48;5;16m"
	case white:
		return "\x1b[48;5;231m"
	case black:
		return "\x1b[48;5;16m"
	case good:
		if p.colour {
			return "\x1b[32m"
		}
	case bad:
		if p.colour {
			return "\x1b[1;31m"
		}
		return "\x1b[1m"
	}
	return ""
}

// paint turns lines into what Bubble Tea draws.
func (p palette) paint(lines []line) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, s := range l {
			p.span(&b, s)
		}
	}
	return b.String()
}

func (p palette) span(b *strings.Builder, s span) {
	text, on := s.text, p.sgr(s.look)
	if !p.utf8 {
		text = asciiOnly(text)
	}
	linked := s.link != "" && p.links
	if linked {
		b.WriteString(ansi.SetHyperlink(s.link))
	}
	b.WriteString(on)
	b.WriteString(text)
	if on != "" {
		b.WriteString("\x1b[m")
	}
	if linked {
		b.WriteString(ansi.ResetHyperlink())
	}
}
