package tui

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// A terminal is an emulator with a program running in it, in virtual time.
type terminal struct {
	t      *testing.T
	em     *vt.SafeEmulator
	cancel context.CancelCauseFunc
	ended  chan struct{}
	err    error

	screen    sync.Mutex // held while cells are written or read
	keyboard  *slowLine
	alternate string // the alternate screen when it was left
	endedAt   time.Time
}

// An outlet is the program's output. It does what a terminal's driver does
// (ONLCR), and notes what is on the alternate screen when the program leaves it:
// some terminals show that again at a key.
type outlet struct{ term *terminal }

func (o outlet) Write(p []byte) (int, error) {
	o.term.screen.Lock()
	defer o.term.screen.Unlock()
	text := bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
	if at := bytes.Index(text, []byte(ansi.ResetModeAltScreenSaveCursor)); at >= 0 {
		if _, err := o.term.em.Write(text[:at]); err != nil {
			return 0, err
		}
		o.term.alternate, text = o.term.snapshot(), text[at:]
	}
	_, err := o.term.em.Write(text)
	return len(p), err
}

// A slowLine carries what the terminal sends, with a delay. The emulator waits until
// its answers are read; a terminal does not.
type slowLine struct {
	delay  time.Duration
	chunks chan chunk
	rest   []byte
	last   atomic.Int64 // when the last chunk arrived, in Unix nanoseconds
}

type chunk struct {
	at   time.Time
	text []byte
}

// carry takes what the terminal sends until it is closed.
func (l *slowLine) carry(from io.Reader) {
	defer close(l.chunks)
	for {
		buf := make([]byte, 256)
		n, err := from.Read(buf)
		if n > 0 {
			at := time.Now().Add(l.delay)
			l.last.Store(at.UnixNano())
			l.chunks <- chunk{at, buf[:n]}
		}
		if err != nil {
			return
		}
	}
}

// Read is the program's end.
func (l *slowLine) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		c, ok := <-l.chunks
		if !ok {
			return 0, io.EOF
		}
		time.Sleep(time.Until(c.at))
		l.rest = c.text
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// resize changes the window, and reports it as terminals do that can (mode 2048).
func (term *terminal) resize(w, h int) {
	term.em.Resize(w, h)
	term.press(fmt.Sprintf("\x1b[48;%d;%d;0;0t", h, w))
}

// startTerminal runs a program on a fresh terminal. It must be called in a
// bubble.
func startTerminal(t *testing.T, w, h int, delay time.Duration, program func(context.Context, wiring) error) *terminal {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	term := &terminal{t: t, em: vt.NewSafeEmulator(w, h), cancel: cancel, ended: make(chan struct{}),
		keyboard: &slowLine{delay: delay, chunks: make(chan chunk, 1000)}}
	go term.keyboard.carry(term.em)
	go func() {
		defer close(term.ended)
		term.err = program(ctx, wiring{in: term.keyboard, out: outlet{term}, env: []string{"TERM=xterm-256color", "LANG=C.UTF-8"}, width: w, height: h})
		term.endedAt = time.Now()
	}()
	time.Sleep(200 * time.Millisecond)
	t.Cleanup(func() { cancel(nil) })
	return term
}

func (term *terminal) press(keys string) {
	term.em.SendText(keys)
	synctest.Wait()
	time.Sleep(150 * time.Millisecond) // escape is told from a sequence by time
}

// text is the screen without blanks at the ends, once the program is at rest.
func (term *terminal) text() string {
	synctest.Wait()
	term.screen.Lock()
	defer term.screen.Unlock()
	return term.snapshot()
}

func (term *terminal) snapshot() string {
	var b strings.Builder
	for y := range term.em.Height() {
		var row strings.Builder
		for x := range term.em.Width() {
			if c := term.em.CellAt(x, y); c != nil && c.Width > 0 {
				row.WriteString(c.Content)
			}
		}
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// words is the text in one line without the QR code, for sentences that are
// broken somewhere.
func (term *terminal) words() string {
	var words []string
	for row := range strings.Lines(term.text()) {
		if _, after, beside := cutLast(row, "██  "); beside {
			row = after
		}
		if strings.ContainsAny(row, "█▀▄") {
			continue
		}
		words = append(words, strings.Fields(row)...)
	}
	return strings.Join(words, " ")
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (term *terminal) shows(want string) {
	term.t.Helper()
	if !strings.Contains(term.words(), want) {
		term.t.Errorf("the screen does not show %q:\n%s", want, term.text())
	}
}

func (term *terminal) hides(unwanted string) {
	term.t.Helper()
	if strings.Contains(term.words(), unwanted) {
		term.t.Errorf("the screen shows %q:\n%s", unwanted, term.text())
	}
}

// wait waits for the program's end, at most a virtual minute, and looks at what
// it left behind.
func (term *terminal) wait() {
	term.t.Helper()
	select {
	case <-term.ended:
	case <-time.After(time.Minute):
		term.t.Fatalf("the screen does not end:\n%s", term.text())
	}
	time.Sleep(time.Minute) // timers that nobody waits for
	if last := time.Unix(0, term.keyboard.last.Load()); last.After(term.endedAt) {
		term.t.Errorf("an answer of the terminal came %v after the end: it is left to the shell", last.Sub(term.endedAt))
	}
	if term.em.IsAltScreen() || term.em.CursorHidden() {
		term.t.Errorf("not restored: alternate screen %v, cursor hidden %v", term.em.IsAltScreen(), term.em.CursorHidden())
	}
	behind := term.scrollback() + term.text() + term.alternate
	for _, secret := range []string{"7KQ4ZP", "https://", "█"} {
		if strings.Contains(behind, secret) {
			term.t.Errorf("%s is left behind:\n%s", secret, behind)
		}
	}
	if term.alternate != "\n" {
		term.t.Errorf("the alternate screen was not used, or not cleared: %q", term.alternate)
	}
	// The emulator's own Close races with its Read.
	if err := term.em.InputPipe().(io.Closer).Close(); err != nil {
		term.t.Error(err)
	}
}

// scrollback is what has left the screen at its upper edge.
func (term *terminal) scrollback() string {
	term.screen.Lock()
	defer term.screen.Unlock()
	var b strings.Builder
	for y := range term.em.ScrollbackLen() {
		for x := range term.em.Width() {
			if c := term.em.ScrollbackCellAt(x, y); c != nil {
				b.WriteString(c.Content)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A theme is a terminal's own pair of colours.
type theme struct {
	name   string
	fg, bg color.RGBA
}

func themes() []theme {
	rgb := func(v uint32) color.RGBA { return color.RGBA{byte(v >> 16), byte(v >> 8), byte(v), 255} }
	return []theme{
		{"black", rgb(0xcccccc), rgb(0x000000)},
		{"white", rgb(0x000000), rgb(0xffffff)},
		{"night blue", rgb(0x93a1a1), rgb(0x002b36)},
		{"paper", rgb(0x586e75), rgb(0xfdf6e3)},
		{"purple", rgb(0xf8f8f2), rgb(0x282a36)},
		{"grey on grey", rgb(0x808080), rgb(0x404040)},
		{"green phosphor", rgb(0x33ff33), rgb(0x001100)},
	}
}

// picture draws the screen: block glyphs as blocks, letters as smudges.
func (term *terminal) picture(th theme) image.Image {
	synctest.Wait()
	term.screen.Lock()
	defer term.screen.Unlock()
	const cw, ch = 8, 16
	img := image.NewRGBA(image.Rect(0, 0, (term.em.Width()+4)*cw, (term.em.Height()+2)*ch))
	draw.Draw(img, img.Bounds(), image.NewUniform(th.bg), image.Point{}, draw.Src)
	for y := range term.em.Height() {
		for x := range term.em.Width() {
			c := term.em.CellAt(x, y)
			if c == nil {
				continue
			}
			var fg, bg color.Color = th.fg, th.bg
			if c.Style.Fg != nil {
				fg = c.Style.Fg
			}
			if c.Style.Bg != nil {
				bg = c.Style.Bg
			}
			box := image.Rect((x+2)*cw, (y+1)*ch, (x+3)*cw, (y+2)*ch)
			draw.Draw(img, box, image.NewUniform(bg), image.Point{}, draw.Src)
			draw.Draw(img, ink(c.Content, box), image.NewUniform(fg), image.Point{}, draw.Src)
		}
	}
	return img
}

// ink is the part of a cell that a glyph covers.
func ink(glyph string, box image.Rectangle) image.Rectangle {
	middle := (box.Min.Y + box.Max.Y) / 2
	switch glyph {
	case "", " ":
		return image.Rectangle{}
	case "█":
		return box
	case "▀":
		box.Max.Y = middle
		return box
	case "▄":
		box.Min.Y = middle
		return box
	}
	return box.Inset(2)
}

// scan reads the QR code in a picture.
func scan(img image.Image, more ...gozxing.DecodeHintType) (string, error) {
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", err
	}
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true}
	for _, h := range more {
		hints[h] = true
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, hints)
	if err != nil {
		return "", err
	}
	return result.GetText(), nil
}

// address makes a link of exactly n characters.
func address(n int) string {
	const head = "https://account.matrix.org/link"
	if n <= len(head) {
		return head[:8] + head[len(head)-(n-8):]
	}
	tail := "?c=" + strings.Repeat("k7Qz4p", n)
	return head + tail[:n-len(head)]
}
