package tui

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// A guard keeps a bug in the model from ending the program the hard way. Bubble
// Tea restores the terminal after a panic too, but it prints the panic's value
// and a stack, and leaves the code on the screen. The guard ends the program in
// good order; what it tells is where the bug is, not what was in the variables.
type guard struct {
	model model
	fault *fault
}

// A fault is the first panic. It is shared by the copies of a guard, which all
// live in Bubble Tea's event loop.
type fault struct {
	err  error
	send func(tea.Msg)
}

// panicMsg says that a command panicked.
type panicMsg struct{ err error }

func (g guard) Init() tea.Cmd { return safe(g.model.Init()) }

func (g guard) Update(msg tea.Msg) (next tea.Model, cmd tea.Cmd) {
	defer func() {
		if err := caught(recover()); err != nil {
			next, cmd = g.broken(err)
		}
	}()
	if p, ok := msg.(panicMsg); ok {
		return g.broken(p.err)
	}
	m, cmd := g.model.Update(msg)
	g.model = m
	return g, safe(cmd)
}

func (g guard) View() (v tea.View) {
	defer func() {
		if err := caught(recover()); err != nil {
			g.fault.err = err
			v = tea.NewView("")
			go g.fault.send(panicMsg{err})
		}
	}()
	if g.fault.err != nil {
		return tea.NewView("")
	}
	return g.model.View()
}

// broken ends the program with an empty screen.
func (g guard) broken(err error) (tea.Model, tea.Cmd) {
	if g.fault.err == nil {
		g.fault.err = err
	}
	g.model.stop()
	return g, tea.Quit
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
