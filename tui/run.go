package tui

import (
	"context"
	"fmt"
	"io"
	"os"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
)

// framesPerSecond bounds how long a key press waits to be seen. Bubble Tea wakes
// up as often even when there is nothing to draw: at its own 60 a screen that
// stands still takes one per cent of a core, at 30 half of that.
const framesPerSecond = 30

// A wiring is what a program is connected to.
type wiring struct {
	in            io.Reader
	out           io.Writer
	env           []string
	width, height int // the window of an output that is no terminal
}

// filled returns w with its defaults.
func (w wiring) filled() wiring {
	if w.in == nil {
		w.in = os.Stdin
	}
	if w.out == nil {
		w.out = os.Stderr
	}
	if w.env == nil {
		w.env = os.Environ()
	}
	return w
}

// stopMsg says that the context of the program has ended.
type stopMsg struct{ cause error }

// run runs a screen to its end and returns it as it was then, whatever happens.
func run[M screen[M]](ctx context.Context, model M, w wiring) (M, error) {
	g := newGuard(model)
	p := tea.NewProgram(g,
		tea.WithInput(w.in), tea.WithOutput(w.out), tea.WithEnvironment(w.env),
		// A terminal that is told about 256 colours draws the QR code right;
		// Bubble Tea would take its colours away under NO_COLOR.
		tea.WithColorProfile(colorprofile.ANSI256),
		// A signal would end the program with the code left on the screen.
		tea.WithoutSignalHandler(),
		tea.WithFPS(framesPerSecond), tea.WithWindowSize(w.width, w.height))
	g.fault.send = p.Send
	stop := context.AfterFunc(ctx, func() { p.Send(stopMsg{cause: context.Cause(ctx)}) })
	defer stop()
	end, err := p.Run()
	if last, ok := end.(guard[M]); ok {
		model = last.model
	}
	if g.fault.err != nil {
		return model, g.fault.err
	}
	if err != nil {
		return model, fmt.Errorf("the screen broke off: %w", err)
	}
	return model, nil
}
