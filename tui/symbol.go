package tui

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// QRCode draws a link for w, with a newline at its end. Colours are set where a
// terminal will obey them; elsewhere the glyphs have to do. The error says why
// there is none: the link is too long, the window is too narrow, or the terminal
// has no characters for it. A nil env stands for os.Environ.
func QRCode(w io.Writer, link string, env []string) (string, error) {
	if env == nil {
		env = os.Environ()
	}
	qr, err := newQR(link)
	if err != nil {
		return "", err
	}
	p := newPalette(env)
	cols, coloured := 0, false
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		coloured = environ(env).get("TERM") != "dumb"
		cols, _, _ = term.GetSize(int(f.Fd()))
	}
	need, _ := qr.dimensions(zoneWide, p.utf8)
	switch {
	case cols > 0 && need > cols:
		return "", fmt.Errorf("it needs %d columns, and this window has %d", need, cols)
	case !p.utf8 && !coloured:
		return "", errors.New("this terminal has no characters for it")
	}
	rows := qr.lines(zoneWide, p.utf8)
	if !coloured {
		for _, r := range rows {
			r[0].look = plain
		}
	}
	return p.paint(rows) + "\n", nil
}
