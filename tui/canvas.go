package tui

import (
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
)

// noteTime is how long a note about a key stands.
const noteTime = 5 * time.Second

// wideFrom is how many columns make a window wide.
const wideFrom = 60

// A canvas is what every screen draws on, and what it notes for a while.
type canvas struct {
	palette palette
	now     time.Time // when the last message came
	w, h    int

	help    bool      // the help page is shown
	note    string    // about the last key
	noteEnd time.Time // zero: the note stays
	hidden  bool      // the program is about to be suspended
	tickAt  time.Time // when the next tickMsg comes; zero: none is on its way
}

// tickMsg comes when something on the screen changes with time alone.
type tickMsg struct{}

func newCanvas(env environ) canvas {
	return canvas{palette: newPalette(env), now: time.Now()}
}

// take notes what a message means on every screen.
func (c canvas) take(msg tea.Msg) canvas {
	c.now = time.Now()
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		c.w, c.h = msg.Width, msg.Height
	case tea.ResumeMsg:
		c.hidden = false
	case tickMsg:
		if !c.now.Before(c.tickAt) {
			c.tickAt = time.Time{}
		}
	}
	if !c.noteEnd.IsZero() && !c.now.Before(c.noteEnd) {
		c.note, c.noteEnd = "", time.Time{}
	}
	return c
}

// tick arranges for a tickMsg after d, or when the note is to go; d 0 stands for
// never. Nothing is arranged twice.
func (c canvas) tick(d time.Duration) (canvas, tea.Cmd) {
	if !c.noteEnd.IsZero() && (d <= 0 || c.now.Add(d).After(c.noteEnd)) {
		d = c.noteEnd.Sub(c.now)
	}
	at := c.now.Add(d)
	if d <= 0 || c.hidden || !c.tickAt.IsZero() && !at.Before(c.tickAt) {
		return c, nil
	}
	c.tickAt = at
	return c, tea.Tick(d, func(time.Time) tea.Msg { return tickMsg{} })
}

// remark shows a note for a while.
func (c canvas) remark(note string) canvas {
	c.note, c.noteEnd = note, c.now.Add(noteTime)
	return c
}

// paragraph is a block of wrapped text.
func (c canvas) paragraph(rank int, gap bool, text string) block {
	return block{rank: rank, gap: gap, lines: sayAll(fold(text, c.w))}
}

// marked is text that begins with its state, and wraps beside it.
func (c canvas) marked(l look, state, text string) []line {
	return marked(l, state, text, c.w)
}

// margin is what a page of text keeps free at its left.
func (c canvas) margin() int {
	if c.w > wideFrom {
		return 1
	}
	return 0
}

// frame is what Bubble Tea draws, on the alternate screen. The margin at the left
// is not part of the canvas any more.
func (c canvas) frame(lines []line, margin int) tea.View {
	for i, l := range lines {
		if lines[i] = l.cut(c.w); margin > 0 && len(l) > 0 {
			lines[i] = append(line(nil).pad(margin), lines[i]...)
		}
	}
	view := tea.NewView(c.palette.paint(lines))
	view.AltScreen = true
	return view
}

// leave writes what stays when the program has ended and the terminal shows what
// it showed before. There is nobody to tell that it failed.
func (c canvas) leave(w io.Writer, lines []line) {
	if len(lines) > 0 {
		_, _ = io.WriteString(w, c.palette.paint(lines)+"\n")
	}
}

// waited tells how long something lasts, once that is worth telling.
func (c canvas) waited(since time.Time) string {
	if d := c.now.Sub(since); d >= 2*time.Second {
		return " (" + seconds(d) + ")"
	}
	return ""
}

// untilSecond is how long it takes until d is a whole number of seconds.
func untilSecond(d time.Duration) time.Duration { return time.Second - d%time.Second }
