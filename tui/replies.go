package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// replyTime is how long the terminal may take to answer before the program ends
// without its answers.
const replyTime = time.Second

// probeDelay lets Bubble Tea draw a frame first, which asks the terminal too.
const probeDelay = 50 * time.Millisecond

// Replies are the answers that a terminal owes. Bubble Tea asks it what it can do
// and does not wait; a program that ends before the answers are there leaves
// them to the shell, which takes them for typed text. So one more question is
// asked, for the cursor: terminals answer in order, and with that answer all
// others have come.
type replies struct {
	asked  time.Time // when the questions went out
	all    bool      // every answer is there
	ending bool      // the program ends when they are
}

// The messages of replies. The answer is a [tea.CursorPositionMsg].
type (
	probeMsg  struct{}
	enoughMsg struct{} // no answer will come any more
)

func probe() tea.Cmd {
	return tea.Tick(probeDelay, func(time.Time) tea.Msg { return probeMsg{} })
}

// take looks at a message on its way to the screen.
func (r replies) take(msg tea.Msg) (replies, tea.Cmd) {
	switch msg.(type) {
	case probeMsg:
		return r, tea.RequestCursorPosition
	case tea.ResumeMsg: // a suspended program asks anew
		r.asked, r.all = time.Now(), false
		return r, probe()
	case enoughMsg:
		return r, tea.Quit
	case tea.CursorPositionMsg:
		r.all = true
		if r.ending {
			return r, tea.Quit
		}
	}
	return r, nil
}

// end ends the program as soon as all answers are there.
func (r replies) end() (replies, tea.Cmd) {
	if r.ending {
		return r, nil
	}
	r.ending = true
	wait := replyTime - time.Since(r.asked)
	if r.all || wait <= 0 {
		return r, tea.Quit
	}
	return r, tea.Tick(wait, func(time.Time) tea.Msg { return enoughMsg{} })
}
