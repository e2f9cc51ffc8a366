package tui

import (
	"fmt"
	"image"
	"image/color"
	"testing"
	"testing/synctest"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/mxauth/mxauth/flow"
	"rsc.io/qr"
)

func TestPolicy(t *testing.T) {
	tests := []struct {
		chars int
		level qr.Level
		size  int
	}{
		{30, qr.L, 25}, {45, qr.L, 29}, {60, qr.M, 33}, {80, qr.M, 37}, {120, qr.L, 41}, {200, qr.L, 53},
	}
	for _, tt := range tests {
		q, err := newQR(address(tt.chars))
		if err != nil || q.level != tt.level || q.size != tt.size {
			t.Errorf("%d characters: level %d, %d modules, %v; want %d, %d", tt.chars, q.level, q.size, err, tt.level, tt.size)
		}
	}
	for _, chars := range []int{900, 3000, 5000} {
		if _, err := newQR(address(chars)); err == nil {
			t.Errorf("%d characters were drawn", chars)
		}
	}
}

// What dimensions promises is what is drawn, and the quiet zone is white all
// around.
func TestSymbol(t *testing.T) {
	for _, zone := range []int{zoneSmall, zoneWide} {
		for _, halves := range []bool{true, false} {
			q, err := newQR(address(45))
			if err != nil {
				t.Fatal(err)
			}
			rows := q.lines(zone, halves)
			cols, n := q.dimensions(zone, halves)
			if len(rows) != n {
				t.Errorf("zone %d, halves %v: %d rows, want %d", zone, halves, len(rows), n)
			}
			for i, r := range rows {
				if r.width() != cols {
					t.Errorf("zone %d, halves %v: row %d has %d columns, want %d", zone, halves, i, r.width(), cols)
				}
			}
			for _, r := range []line{rows[0], rows[len(rows)-1]} {
				for _, s := range r {
					for _, c := range s.text {
						if s.look == black || s.look == symbol && c != '█' {
							t.Errorf("zone %d, halves %v: the edge is not white: %q", zone, halves, s.text)
						}
					}
				}
			}
		}
	}
}

// The whole way: program, terminal, picture, reader.
func TestScan(t *testing.T) {
	tests := []struct {
		w, h, chars int
		env         []string
	}{
		{80, 24, 30, nil}, {80, 24, 45, nil}, {80, 24, 60, nil}, {80, 24, 80, nil}, {80, 24, 120, nil}, {80, 24, 134, nil},
		{40, 24, 30, nil}, {40, 24, 45, nil}, {120, 40, 200, nil},
		{80, 24, 45, []string{"TERM=xterm-256color", "LANG=C.UTF-8", "NO_COLOR=yes", "COLORTERM="}},
		{80, 24, 45, []string{"TERM=xterm", "LANG=en_US.UTF-8", "NO_COLOR=1"}},
		{120, 50, 45, []string{"TERM=linux", "LANG=C.UTF-8"}},
		{120, 50, 45, []string{"TERM=xterm", "LC_ALL=POSIX", "LANG=C.UTF-8"}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := address(tt.chars)
				term, a := opened(t, tt.w, tt.h, link, LoginOptions{Environ: tt.env})
				for _, th := range themes() {
					if got, err := scan(term.picture(th)); err != nil || got != link {
						t.Errorf("%s: read %q, %v\n%s", th.name, got, err, term.text())
					}
				}
				term.shows("7KQ4ZP")
				checkLink(t, term.text(), loginModel{canvas: canvas{w: tt.w, h: tt.h}}, link)
				a.play()
				term.press("q")
				term.wait()
			})
		})
	}
}

// With a complete link the code holds that one, and the text the short one.
func TestScanComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := open(t, 80, 24, LoginOptions{Server: "matrix.org"})
		a := term.attempt()
		e := codeEvent("https://account.matrix.org/link")
		e.Code.VerificationURIComplete = "https://account.matrix.org/link?code=7KQ4ZP"
		a.send(serverEvent(), e)
		if got, err := scan(term.picture(themes()[0])); err != nil || got != e.Code.VerificationURIComplete {
			t.Errorf("read %q, %v", got, err)
		}
		term.shows("open https://account.matrix.org/link and enter 7KQ4ZP")
		a.play()
		term.press("q")
		term.wait()
	})
}

// A window that is drawn over while it changes its size still ends up right.
func TestResizeStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newLogin(t.Context(), []string{"TERM=xterm"}, LoginOptions{Server: "matrix.org"})
		m = m.record(serverEvent()).record(codeEvent(address(45)))
		for p := asking; p <= left; p++ {
			m = m.enter(p)
			m.err = errNoReason
			everySize(func(w, h int) {
				m.w, m.h = w, h
				checkFrame(t, m)
			})
		}
	})
}

// FuzzQR: whatever can be shown and fits is read back as it was, in both ways of
// drawing (by a reader that need not look for the code: a camera's finds no tiny
// one); what cannot is refused before anything is drawn.
func FuzzQR(f *testing.F) {
	for _, s := range []string{"https://account.matrix.org/link", "", "\x00\xff", address(2953), "0123456789", "HTTPS://A.B/C", "a%20b\\;:{}|~"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_ = presentable(flow.Code{UserCode: text, VerificationURI: text, Expiry: time.Time{}})
		q, err := newQR(text)
		if err != nil {
			return
		}
		halves, full := modules(q.lines(zoneWide, true)), modules(q.lines(zoneWide, false))
		if !drawable(text) {
			return
		}
		for _, m := range [][][]bool{halves, full} {
			if got, err := scan(drawn(m), gozxing.DecodeHintType_PURE_BARCODE); err != nil || got != text {
				t.Errorf("%q is read as %q, %v", text, got, err)
			}
		}
	})
}

// modules reads lines of a QR code: true is white.
func modules(lines []line) [][]bool {
	var rows [][]bool
	for _, l := range lines {
		var upper, lower []bool
		for _, s := range l {
			for i, c := range []rune(s.text) {
				switch {
				case s.look == symbol:
					upper, lower = append(upper, c == '█' || c == '▀'), append(lower, c == '█' || c == '▄')
				case i%2 == 0:
					upper = append(upper, s.look == white)
				}
			}
		}
		rows = append(rows, upper)
		if lower != nil {
			rows = append(rows, lower)
		}
	}
	return rows
}

// drawn is a picture of modules, four pixels each.
func drawn(rows [][]bool) image.Image {
	img := image.NewGray(image.Rect(0, 0, 4*len(rows[0]), 4*len(rows)))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			if rows[y/4][x/4] {
				img.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	return img
}
