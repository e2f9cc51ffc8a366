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
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/mxauth/mxauth/flow"
)

// A terminal is an emulator with a login running in it, in virtual time.
type terminal struct {
	t      *testing.T
	em     *vt.SafeEmulator
	cancel context.CancelCauseFunc
	starts []*script
	ended  chan struct{}
	result LoginResult
	err    error

	keyboard  *slowLine
	alternate string // the alternate screen when it was left
	endedAt   time.Time
}

// A script is one attempt, as the test plays it.
type script struct {
	server string
	ctx    context.Context
	events chan flow.Event
}

func (s *script) send(events ...flow.Event) {
	for _, e := range events {
		e.Time = time.Now()
		s.events <- e
	}
	synctest.Wait()
	time.Sleep(50 * time.Millisecond) // a frame
}

// An outlet is the program's output. It does what a terminal's driver does
// (ONLCR), and notes what is on the alternate screen when the program leaves it:
// some terminals show that again at a key.
type outlet struct{ term *terminal }

func (o outlet) Write(p []byte) (int, error) {
	text := bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
	if at := bytes.Index(text, []byte(ansi.ResetModeAltScreenSaveCursor)); at >= 0 {
		if _, err := o.term.em.Write(text[:at]); err != nil {
			return 0, err
		}
		o.term.alternate, text = o.term.text(), text[at:]
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

// open starts a login on a fresh terminal. It must be called in a bubble.
func open(t *testing.T, w, h int, o LoginOptions, delay ...time.Duration) *terminal {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	term := &terminal{t: t, em: vt.NewSafeEmulator(w, h), cancel: cancel, ended: make(chan struct{})}
	term.keyboard = &slowLine{chunks: make(chan chunk, 1000)}
	for _, d := range delay {
		term.keyboard.delay = d
	}
	go term.keyboard.carry(term.em)
	o.Input, o.Output, o.width, o.height = term.keyboard, outlet{term}, w, h
	if o.Environ == nil {
		o.Environ = []string{"TERM=xterm-256color", "LANG=C.UTF-8"}
	}
	if o.Start == nil {
		o.Start = func(ctx context.Context, server string) <-chan flow.Event {
			s := &script{server: server, ctx: ctx, events: make(chan flow.Event)}
			term.starts = append(term.starts, s)
			return s.events
		}
	}
	go func() {
		defer close(term.ended)
		term.result, term.err = Login(ctx, o)
		term.endedAt = time.Now()
	}()
	time.Sleep(200 * time.Millisecond)
	t.Cleanup(func() { cancel(nil) })
	return term
}

// attempt returns the one that was begun last.
func (term *terminal) attempt() *script {
	term.t.Helper()
	synctest.Wait()
	if len(term.starts) == 0 {
		term.t.Fatal("no attempt was begun")
	}
	return term.starts[len(term.starts)-1]
}

func (term *terminal) press(keys string) {
	term.em.SendText(keys)
	synctest.Wait()
	time.Sleep(150 * time.Millisecond) // escape is told from a sequence by time
}

// text is the screen without blanks at the ends.
func (term *terminal) text() string {
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
	if err := term.em.Close(); err != nil {
		term.t.Error(err)
	}
}

// scrollback is what has left the screen at its upper edge.
func (term *terminal) scrollback() string {
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
func scan(img image.Image) (string, error) {
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", err
	}
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true}
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

func codeEvent(link string) flow.Event {
	return flow.Event{Kind: flow.EventCode, DeviceName: "build-box", Code: flow.Code{UserCode: "7KQ4ZP",
		VerificationURI: link, Expiry: time.Now().Add(20 * time.Minute), Interval: 5 * time.Second}}
}

func serverEvent() flow.Event {
	return flow.Event{Kind: flow.EventServer, Server: flow.Server{Name: "matrix.org",
		Homeserver: "https://matrix-client.matrix.org", Issuer: "https://account.matrix.org/"}}
}

func doneEvent() flow.Event {
	return flow.Event{Kind: flow.EventDone, Name: "@alice:matrix.org", UserID: "@alice:matrix.org", Store: "the keyring"}
}

func errorEvent(kind flow.Kind, problem string) flow.Event {
	return flow.Event{Kind: flow.EventError, Err: &flow.Error{Kind: kind, Op: "log in", Problem: problem}}
}
