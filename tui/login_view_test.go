package tui

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mxauth/mxauth/flow"
)

// checkFrame looks at what is true of every frame, and returns its text.
func checkFrame(t *testing.T, m loginModel) string {
	t.Helper()
	return checkText(t, fmt.Sprint("phase ", m.phase), m.w, m.h, m.View().Content)
}

// at makes a model as it is when the code is shown, without a program.
func at(t *testing.T, w, h int, link string) loginModel {
	t.Helper()
	m := newLogin(t.Context(), []string{"TERM=xterm", "LANG=C.UTF-8"}, LoginOptions{Server: "matrix.org",
		Start: func(context.Context, string) <-chan flow.Event { return make(chan flow.Event) }})
	m.w, m.h = w, h
	m, _ = m.begin()
	return m.record(serverEvent()).record(codeEvent(link)).enter(waiting)
}

func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range [][2]int{{1, 1}, {2, 2}, {5, 20}, {20, 5}, {20, 1}, {40, 24}, {40, 12}, {80, 24}, {80, 10}, {132, 43}, {200, 100}} {
			for _, chars := range []int{30, 45, 60, 80, 120, 200, 3000} {
				link := address(chars)
				m := at(t, size[0], size[1], link)
				for _, set := range []func(loginModel) loginModel{
					func(m loginModel) loginModel { return m },
					func(m loginModel) loginModel { m.help = true; return m },
					func(m loginModel) loginModel {
						return m.record(flow.Event{Kind: flow.EventOffline, Retry: m.now.Add(time.Minute)})
					},
					func(m loginModel) loginModel { return m.record(flow.Event{Kind: flow.EventWarning, Text: "beware"}) },
				} {
					m := set(m)
					checkLink(t, checkFrame(t, m), m, link)
				}
			}
		}
	})
}

// checkLink wants the link whole or not at all, and the code wherever there is
// room for more than nothing.
func checkLink(t *testing.T, text string, m loginModel, link string) {
	t.Helper()
	name := fmt.Sprintf("%dx%d, %d characters", m.w, m.h, len(link))
	rows := strings.Split(text, "\n")
	for i, r := range rows {
		rows[i] = r[strings.LastIndexAny(r, "█▀▄ ")+1:]
		if last := strings.LastIndexAny(r, "█▀▄"); last >= 0 {
			rows[i] = strings.TrimSpace(r[last+len("█"):])
		} else {
			rows[i] = strings.TrimSpace(r)
		}
	}
	joined := strings.Join(rows, "")
	if strings.Contains(joined, link[:min(len(link), 12)]) && !strings.Contains(joined, link) {
		t.Errorf("%s: the link is cut:\n%s", name, text)
	}
	if m.w >= 20 && m.h >= 5 && !strings.Contains(joined, "7KQ4ZP") {
		t.Errorf("%s: no code:\n%s", name, text)
	}
	if m.w >= 20 && m.h >= 5 && !strings.Contains(joined, link) && !strings.Contains(strings.Join(rows, " "), "too long") && !m.help {
		t.Errorf("%s: no link and no word about it:\n%s", name, text)
	}
	if len(link) <= m.w && m.h >= 8 && !m.help {
		for _, r := range rows {
			if r == link {
				return
			}
		}
		t.Errorf("%s: the link does not stand alone:\n%s", name, text)
	}
}

// QR codes are where they are promised, and the text says so where they are not.
func TestWhereQRCodesAre(t *testing.T) {
	tests := []struct {
		w, h, chars int
		beside      bool
		say         string
	}{
		{80, 24, 30, true, ""}, {80, 24, 134, true, ""}, {40, 24, 30, false, ""}, {40, 24, 45, false, ""},
		{80, 24, 200, false, "Enlarge the window for the QR code."}, {40, 15, 45, false, "Enlarge the window for the QR code."},
		{200, 100, 900, false, "the link is too long for a QR code"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			text := checkFrame(t, at(t, tt.w, tt.h, address(tt.chars)))
			drawn := strings.Contains(text, "█")
			if drawn == (tt.say != "") || !strings.Contains(strings.Join(strings.Fields(text), " "), tt.say) {
				t.Errorf("%v:\n%s", tt, text)
			}
			if beside := drawn && !strings.HasSuffix(strings.Split(text, "\n")[0], "█"); drawn && beside != tt.beside {
				t.Errorf("%v: beside is %v:\n%s", tt, beside, text)
			}
		})
	}
}

// Whatever else there is to say, link, code and QR code stay together.
func TestTogether(t *testing.T) {
	states := map[string]func(loginModel) loginModel{
		"waiting": func(m loginModel) loginModel { return m },
		"hint":    func(m loginModel) loginModel { m.since = m.since.Add(-hintAfter); return m },
		"note":    func(m loginModel) loginModel { m.canvas = m.remark("Link sent to the clipboard."); return m },
		"offline": func(m loginModel) loginModel {
			return m.record(flow.Event{Kind: flow.EventOffline, Retry: m.now.Add(8 * time.Second)})
		},
		"an account": func(m loginModel) loginModel { m.server = "@alice:matrix.org"; return m },
	}
	for _, tt := range [][3]int{{80, 24, 30}, {80, 24, 45}, {80, 24, 60}, {80, 24, 80}, {80, 24, 120}, {40, 24, 30}, {40, 24, 45}} {
		for name, set := range states {
			synctest.Test(t, func(t *testing.T) {
				link := address(tt[2])
				m := set(at(t, tt[0], tt[1], link))
				text := checkFrame(t, m)
				checkLink(t, text, m, link)
				if !strings.Contains(text, "█") || !strings.Contains(strings.Join(strings.Fields(text), ""), m.shown.Code.UserCode) {
					t.Errorf("%v, %s:\n%s", tt, name, text)
				}
			})
		}
	}
}

func TestNoColour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := at(t, 80, 24, address(45))
		m.palette = newPalette(environ{"TERM=xterm", "NO_COLOR=yes"})
		m.err = errNoReason
		for _, p := range []loginPhase{failed, storing, left} {
			m := m.enter(p)
			if c := m.View().Content + m.palette.paint(m.result()); strings.Contains(c, "[32m") || strings.Contains(c, "31m") {
				t.Errorf("phase %d has colours: %q", p, c)
			}
		}
		if c := m.View().Content; !strings.Contains(c, "38;5;231;48;5;16") {
			t.Error("the QR code lost its black and white")
		}
	})
}

// Nothing changes between two ticks, so nothing is drawn between them; and where
// nothing counts, nothing ticks.
func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := at(t, 80, 24, address(45))
		before := m.View().Content
		time.Sleep(900 * time.Millisecond)
		m.now = time.Now()
		if m.View().Content != before {
			t.Error("drawn anew within a second")
		}
		var cmd tea.Cmd
		m.tickAt = time.Time{}
		m.canvas, cmd = m.tick(m.next())
		if cmd == nil || m.tickAt.IsZero() {
			t.Fatal("the countdown does not tick")
		}
		if _, again := m.tick(m.next()); again != nil {
			t.Error("two ticks under way")
		}
		cmd()
		m.now = time.Now()
		if m.View().Content == before {
			t.Error("not drawn anew after a second")
		}
		for _, p := range []loginPhase{asking, failed, expired, handing, left} {
			m := m.enter(p)
			m.tickAt = time.Time{}
			if _, cmd := m.tick(m.next()); cmd != nil {
				t.Errorf("phase %d ticks", p)
			}
		}
	})
}

func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		press := func(m loginModel, k tea.Key) (loginModel, tea.Cmd) { return m.Update(tea.KeyPressMsg(k)) }
		m := at(t, 80, 24, address(45))
		next, cmd := press(m, tea.Key{Code: 'c', Text: "c"})
		if cmd == nil || !strings.Contains(checkFrame(t, next), "Link sent to the clipboard.") {
			t.Error("c says nothing")
		}
		if next, _ := press(m, tea.Key{Code: 'o', Text: "o"}); next.note != "" {
			t.Error("o does something where no browser can be opened")
		}
		opened := ""
		m.options.OpenURL = func(_ context.Context, url string) error { opened = url; return os.ErrNotExist }
		_, cmd = press(m, tea.Key{Code: 'o', Text: "o"})
		msg := first[openedMsg](t, cmd)
		next, _ = m.Update(msg)
		if opened != address(45) || !strings.Contains(checkFrame(t, next), "No browser could be opened") {
			t.Errorf("opened %q:\n%s", opened, checkFrame(t, next))
		}
		help, _ := press(m, tea.Key{Code: '?', Text: "?"})
		if text := checkFrame(t, help); !strings.Contains(text, "7KQ4ZP") || !strings.Contains(text, "gives this code up for a new one") {
			t.Errorf("help:\n%s", text)
		}
		if back, _ := press(help, tea.Key{Code: 'n', Text: "n"}); back.help || back.phase != waiting {
			t.Error("a key on the help page does more than go back")
		}
		if quit, _ := press(m, tea.Key{Code: 'й', Text: "й", BaseCode: 'q'}); quit.phase != quitting {
			t.Error("q on another keyboard layout does not quit")
		}
	})
}

// first runs the commands in cmd until one returns a T.
func first[T any](t *testing.T, cmd tea.Cmd) T {
	t.Helper()
	var zero T
	if cmd == nil {
		t.Fatalf("no command brings a %T", zero)
	}
	switch msg := cmd().(type) {
	case T:
		return msg
	case tea.BatchMsg:
		for _, c := range msg {
			if v, ok := c().(T); ok {
				return v
			}
		}
	}
	t.Fatalf("no command brings a %T", zero)
	return zero
}

// Messages of an attempt that is over are void.
func TestOldAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := at(t, 80, 24, address(45))
		old := m.attempt.number
		m.attempt.over = true
		m, _ = m.again()
		for _, msg := range []tea.Msg{eventMsg{number: old, event: doneEvent()}, eventMsg{number: old, closed: true},
			startedMsg{number: old}, impatientMsg{old}} {
			if next, cmd := m.progress(msg); next.phase != discovering || cmd != nil {
				t.Errorf("%T of an old attempt leads to phase %d", msg, next.phase)
			}
		}
	})
}

// When the context ends, its cause counts, though the attempt fails of it first.
func TestCauseCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := at(t, 80, 24, address(45))
		m, _ = m.event(flow.Event{Kind: flow.EventError, Err: context.Canceled})
		m, _ = m.ended()
		why := &flow.Error{Problem: "signal"}
		if m, _ = m.Update(stopMsg{why}); m.err != why || m.phase != left {
			t.Errorf("phase %d, error %v", m.phase, m.err)
		}
	})
}

// Whatever a server says, it cannot steer the terminal.
func TestHostileText(t *testing.T) {
	const evil = "\x1b]0;owned\a\x1b[2J\u202e\u009b31m\r\nLogged in as root\x00"
	synctest.Test(t, func(t *testing.T) {
		m := at(t, 80, 24, address(45))
		m.server = evil
		e := codeEvent(address(45))
		e.DeviceName = evil
		s := serverEvent()
		s.Server.Name, s.Server.Homeserver, s.Server.Issuer = evil, "https://"+evil, evil
		d := doneEvent()
		d.Name, d.UserID, d.Store = evil, evil, evil
		m = m.record(s).record(e).record(flow.Event{Kind: flow.EventWarning, Text: evil})
		m.err = &flow.Error{Problem: evil, Said: evil}
		for p := asking; p <= left; p++ {
			m.note = clean(evil)
			checkFrame(t, m.enter(p))
		}
		checkText(t, "result", m.w, m.h, m.palette.paint(m.record(d).enter(left).result()))

		for _, c := range []flow.Code{
			{UserCode: evil, VerificationURI: "https://a.example"},
			{UserCode: "7KQ4ZP", VerificationURI: "https://a.example/" + evil},
			{UserCode: "7KQ4ZP", VerificationURI: "https://a.example", VerificationURIComplete: "https://a.example/ü"},
			{UserCode: "", VerificationURI: "https://a.example"},
		} {
			m := at(t, 80, 24, address(45))
			m, _ = m.event(flow.Event{Kind: flow.EventCode, Code: c})
			if m.phase != failed || flow.KindOf(m.err) != flow.KindInvalid {
				t.Errorf("%+v leads to phase %d", c, m.phase)
			}
			checkFrame(t, m)
		}
	})
}

// The screens as they were looked at.
func TestGolden(t *testing.T) {
	pages := map[string]func(loginModel) loginModel{
		"ask": func(m loginModel) loginModel { m.field = newField("matrix.org"); return m.enter(asking) },
		"discover": func(m loginModel) loginModel {
			m.step = flow.EventDiscover
			m.found = flow.Event{}
			return m.enter(discovering)
		},
		"register": func(m loginModel) loginModel { m.step = flow.EventRegister; return m.enter(discovering) },
		"code":     func(m loginModel) loginModel { return m },
		"offline": func(m loginModel) loginModel {
			return m.record(flow.Event{Kind: flow.EventOffline, Retry: m.now.Add(8 * time.Second)})
		},
		"hint":    func(m loginModel) loginModel { m.since = m.since.Add(-2 * time.Minute); return m },
		"help":    func(m loginModel) loginModel { m.help = true; return m },
		"storing": func(m loginModel) loginModel { return m.enter(storing) },
		"failed": func(m loginModel) loginModel {
			m.err = &flow.Error{Op: "log in", Problem: "the login was declined or refused at account.matrix.org", Code: "access_denied"}
			return m.enter(failed)
		},
		"expired": func(m loginModel) loginModel { return m.enter(expired) },
	}
	for name, page := range pages {
		for _, size := range [][2]int{{80, 24}, {40, 24}, {20, 5}} {
			synctest.Test(t, func(t *testing.T) {
				m := at(t, size[0], size[1], address(31))
				m.options.OpenURL = func(context.Context, string) error { return nil }
				m.shown.Time = m.now
				golden(t, name, size, checkFrame(t, page(m)))
			})
		}
	}
}
