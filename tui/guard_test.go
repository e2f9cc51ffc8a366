package tui

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	tea "charm.land/bubbletea/v2"

	"github.com/mxauth/mxauth/flow"
)

// A bug ends the screen in good order, and what it tells holds no value.
func TestPanics(t *testing.T) {
	const secret = "mat_canary"
	tests := map[string]func(*LoginOptions){
		"begin": func(o *LoginOptions) {
			o.Start = func(context.Context, string) <-chan flow.Event { panic(secret) }
		},
		"open": func(o *LoginOptions) {
			o.OpenURL = func(context.Context, string) error { panic(secret) }
		},
	}
	for name, set := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := LoginOptions{Server: "matrix.org"}
				set(&o)
				term := open(t, 80, 24, o)
				if name == "open" {
					a := term.attempt()
					a.send(codeEvent(address(31)))
					defer close(a.events)
					term.press("o")
				}
				term.wait()
				if term.err == nil || !strings.Contains(term.err.Error(), "a bug broke the screen") || strings.Contains(term.err.Error(), secret) {
					t.Errorf("error %v", term.err)
				}
				if !strings.Contains(term.err.Error(), "_test.go:") {
					t.Errorf("the place is missing: %v", term.err)
				}
				term.hides("7KQ4ZP")
				term.hides(secret)
				if term.result.Told {
					t.Error("says that the reason was told")
				}
			})
		})
	}
}

// A brittle screen panics where it is told to.
type brittle struct {
	panics  string
	stopped *bool
}

func (b brittle) Init() tea.Cmd { return nil }
func (b brittle) over() bool    { return false }
func (b brittle) stop()         { *b.stopped = true }

func (b brittle) Update(tea.Msg) (brittle, tea.Cmd) {
	if b.panics == "update" {
		panic("mat_canary")
	}
	return b, nil
}

func (b brittle) View() tea.View {
	if b.panics == "view" {
		panic("mat_canary")
	}
	v := tea.NewView("7KQ4ZP")
	v.AltScreen = true
	return v
}

func TestGuard(t *testing.T) {
	for _, where := range []string{"update", "view"} {
		stopped := false
		g := newGuard(brittle{stopped: &stopped})
		sent := make(chan tea.Msg, 1)
		g.fault.send = func(msg tea.Msg) { sent <- msg }
		if g.View().Content == "" {
			t.Error("a sound screen is not shown")
		}
		g.model.panics = where
		var msg tea.Msg
		if where == "view" {
			g.View()
			msg = <-sent
		}
		next, cmd := g.Update(msg)
		v := next.View()
		if g.fault.err == nil || strings.Contains(g.fault.err.Error(), "canary") || v.Content != "" || !v.AltScreen {
			t.Errorf("%s: fault %v, view %+v", where, g.fault.err, v)
		}
		if cmd == nil || !stopped || !next.(guard[brittle]).replies.ending {
			t.Errorf("%s: the program goes on", where)
		}
	}
	msg := safe(tea.Batch(func() tea.Msg { panic(1) }, func() tea.Msg { return nil }))()
	if p, ok := msg.(tea.BatchMsg)[0]().(panicMsg); !ok || p.err == nil {
		t.Error("a panic in a batch is not caught")
	}
}
