package tui

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// A screen is a model that a guard runs. M is the screen's own type: it is a
// value, and Update returns a new one.
type screen[M any] interface {
	Init() tea.Cmd
	Update(tea.Msg) (M, tea.Cmd)
	View() tea.View
	over() bool // what is drawn now is the end
	stop()      // cancel what is under way
}

// A guard is what Bubble Tea sees of a screen. It ends the program in good order:
// when the screen is over and the terminal has answered what it was asked, and
// also when the screen has a bug.
//
// Bubble Tea restores the terminal after a panic too, but it prints the panic's
// value and a stack, and leaves the code on the screen. What the guard tells is
// where the bug is, not what was in the variables.
type guard[M screen[M]] struct {
	model   M
	replies replies
	fault   *fault
}

// A fault is the first panic. It is shared by the copies of a guard, which all
// live in Bubble Tea's event loop.
type fault struct {
	err  error
	send func(tea.Msg)
}

// panicMsg says that a command panicked.
type panicMsg struct{ err error }

func newGuard[M screen[M]](model M) guard[M] {
	return guard[M]{model: model, replies: replies{asked: time.Now()}, fault: &fault{}}
}

func (g guard[M]) Init() tea.Cmd { return tea.Batch(probe(), safe(g.model.Init())) }

func (g guard[M]) Update(msg tea.Msg) (next tea.Model, cmd tea.Cmd) {
	var answer tea.Cmd
	g.replies, answer = g.replies.take(msg)
	defer func() {
		if err := caught(recover()); err != nil {
			next, cmd = g.broken(err)
		}
	}()
	if p, ok := msg.(panicMsg); ok {
		return g.broken(p.err)
	}
	if g.fault.err != nil {
		return g, answer
	}
	g.model, cmd = g.model.Update(msg)
	if g.model.over() {
		var quit tea.Cmd
		g.replies, quit = g.replies.end()
		answer = tea.Batch(answer, quit)
	}
	return g, tea.Batch(answer, safe(cmd))
}

func (g guard[M]) View() (v tea.View) {
	defer func() {
		if err := caught(recover()); err != nil {
			g.fault.err = err
			v = blank()
			go g.fault.send(panicMsg{err})
		}
	}()
	if g.fault.err != nil {
		return blank()
	}
	return g.model.View()
}

// blank takes everything off the screen. It stays on the alternate screen, as
// every frame does: a switch would ask the terminal another question.
func blank() tea.View { return canvas{}.frame(nil, 0) }

// broken ends the program with an empty screen.
func (g guard[M]) broken(err error) (tea.Model, tea.Cmd) {
	if g.fault.err == nil {
		g.fault.err = err
	}
	g.model.stop()
	var quit tea.Cmd
	g.replies, quit = g.replies.end()
	return g, quit
}

// safe catches panics of a command.
func safe(cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		return nil
	}
	return func() (msg tea.Msg) {
		defer func() {
			if err := caught(recover()); err != nil {
				msg = panicMsg{err}
			}
		}()
		msg = cmd()
		if batch, ok := msg.(tea.BatchMsg); ok {
			for i, c := range batch {
				batch[i] = safe(c)
			}
		}
		return msg
	}
}

// caught words a recovered panic by its type and place.
func caught(value any) error {
	if value == nil {
		return nil
	}
	return fmt.Errorf("a bug broke the screen (%T at %s)", value, culprit())
}

// culprit finds the innermost place in this package that was running.
func culprit() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	panicked := false
	for {
		f, more := frames.Next()
		if f.Function == "runtime.gopanic" {
			panicked = true
		} else if panicked && !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}
