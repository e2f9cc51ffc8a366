package tui

import (
	"errors"
	"strings"

	"github.com/mdp/qrterminal/v3"
	"rsc.io/qr"
)

// Quiet zones, in modules. ISO 18004 wants four; readers do as well with two.
const (
	zoneWide  = 4
	zoneSmall = 2
)

// qrSizeMax is how many modules a code may have on a side before nobody can
// hold a camera still enough (version 20, some 850 characters).
const qrSizeMax = 97

var errTooDense = errors.New("the link is too long for a QR code")

// A qrCode is a text that is known to fit into a QR code, and how.
type qrCode struct {
	text  string
	level qr.Level
	size  int // modules on a side
}

// newQR chooses the smallest code that holds text, and then the strongest error
// correction that costs no size. It is called before qrterminal, which panics on
// what it cannot encode.
func newQR(text string) (qrCode, error) {
	least, err := qr.Encode(text, qr.L)
	if err != nil || least.Size > qrSizeMax {
		return qrCode{}, errTooDense
	}
	q := qrCode{text: text, level: qr.L, size: least.Size}
	for _, level := range []qr.Level{qr.M, qr.Q, qr.H} {
		c, err := qr.Encode(text, level)
		if err != nil || c.Size > q.size {
			break
		}
		q.level = level
	}
	return q, nil
}

// lines draws the code with a quiet zone (an even number), as half blocks or,
// for terminals without those, as coloured blanks.
//
// Half blocks are drawn in white on black ourselves: a terminal's default
// colours make the code unreadable on a light theme.
func (q qrCode) lines(zone int, halves bool) []line {
	if q.text == "" {
		return nil
	}
	if halves {
		return q.halfBlocks(zone)
	}
	return q.fullBlocks(zone)
}

func (q qrCode) halfBlocks(zone int) []line {
	rows := q.render(qrterminal.Config{HalfBlocks: true, QuietZone: zone})
	// The last row of an even zone ends in a black half: take the white first.
	rows[len(rows)-1] = rows[0]
	out := make([]line, len(rows))
	for i, r := range rows {
		out[i] = line{{text: r, look: symbol}}
	}
	return out
}

func (q qrCode) fullBlocks(zone int) []line {
	var out []line
	for _, row := range q.render(qrterminal.Config{QuietZone: zone, WhiteChar: "w", BlackChar: "b"}) {
		var l line
		for row != "" {
			run := len(row) - len(strings.TrimLeft(row, row[:1]))
			module := span{text: strings.Repeat("  ", run), look: white}
			if row[0] == 'b' {
				module.look = black
			}
			l, row = append(l, module), row[run:]
		}
		out = append(out, l)
	}
	return out
}

// render has qrterminal draw into a string. WithSixel stays unset: its probe
// waits for the terminal without a limit.
func (q qrCode) render(c qrterminal.Config) []string {
	var b strings.Builder
	c.Level, c.Writer = q.level, &b
	qrterminal.GenerateWithConfig(q.text, c)
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

// dimensions tells columns and rows without drawing.
func (q qrCode) dimensions(zone int, halves bool) (cols, rows int) {
	side := q.size + 2*zone
	if halves {
		return side, (side + 1) / 2
	}
	return 2 * side, side
}
