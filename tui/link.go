package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"
)

// openedMsg says what came of opening a link.
type openedMsg struct{ err error }

// copy hands a link to the terminal. Whether it arrives, nobody tells: tmux, for
// one, may drop it.
func (c canvas) copy(link string) (canvas, tea.Cmd) {
	return c.remark("Link sent to the clipboard."), tea.SetClipboard(link)
}

// open opens a link in a browser on this machine.
func (c canvas) open(ctx context.Context, open func(context.Context, string) error, link string) (canvas, tea.Cmd) {
	return c.remark("Opening the link."), func() tea.Msg { return openedMsg{open(ctx, link)} }
}

func (c canvas) opened(err error) canvas {
	if err != nil {
		return c.remark("No browser could be opened: " + clean(err.Error()))
	}
	return c.remark("Link sent to the browser.")
}
