package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mxauth/mxauth/flow"
)

// listed makes a model as it is when the list has come, without a program.
func listed(t *testing.T, w, h int, b *book, o SessionsOptions) sessionsModel {
	t.Helper()
	o.Actions = b
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	m := newSessions(ctx, cancel, []string{"TERM=xterm", "LANG=C.UTF-8"}, o)
	m.w, m.h = w, h
	m, cmd := m.list()
	m, _ = m.handle(cmd())
	return m
}

func checkSessions(t *testing.T, m sessionsModel) string {
	t.Helper()
	return checkText(t, fmt.Sprint("phase ", m.phase), m.w, m.h, m.View().Content)
}

// everyPhase calls f with the model in each phase and in states that say more.
func everyPhase(m sessionsModel, f func(sessionsModel)) {
	for p := loading; p <= gone; p++ {
		m := m.enter(p)
		f(m)
		m.help = true
		f(m)
		m.help, m.back = false, reading
		f(m)
		m.link, m.linkErr, m.listErr = "", errors.New("no page"), errors.New("one file is damaged")
		m.outcomes = []outcome{{row: m.row(), verb: toRefresh, err: errNoAnswer}}
		f(m)
		m.jobs = []job{{verb: toLogOut, row: m.row(), since: m.now.Add(-time.Hour)}}
		f(m)
	}
}

// In windows of every size nothing is wider or higher than the window.
func TestSessionsResizeStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		b.rows = append(b.rows, threeSessions().rows...)
		m := listed(t, 80, 24, b, SessionsOptions{Note: "Logged in"})
		m.link = b.link
		m.linkQR, _ = newQR(m.link)
		everyPhase(m, func(m sessionsModel) {
			everySize(func(w, h int) {
				m.w, m.h = w, h
				checkSessions(t, m)
			})
		})
	})
}

// Whatever is stored in a row, it cannot steer the terminal.
func TestSessionsHostileText(t *testing.T) {
	const evil = "\x1b]0;owned\a\x1b[2J\u202e\u009b31m\r\nroot\x00"
	synctest.Test(t, func(t *testing.T) {
		b := &book{listErr: errors.New(evil), rows: []SessionRow{{ID: evil, Name: evil, UserID: evil, Server: evil, DeviceID: evil, Scope: evil, Store: evil, Ended: evil, Default: true}}}
		m := listed(t, 80, 24, b, SessionsOptions{Note: evil})
		everyPhase(m, func(m sessionsModel) {
			m.linkErr = &flow.Error{Problem: evil, Said: evil}
			for i := range m.outcomes {
				m.outcomes[i].err = m.linkErr
			}
			checkSessions(t, m)
			checkText(t, "parting", m.w, m.h, m.palette.paint(m.parting()))
		})
	})
}

// State is told in words: without colours the same text stands there.
func TestSessionsNoColour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := listed(t, 80, 24, threeSessions(), SessionsOptions{})
		m.selected = "c"
		colours := m.View().Content
		text := checkSessions(t, m)
		m.palette = newPalette(environ{"TERM=xterm", "NO_COLOR=yes"})
		if c := m.View().Content; !strings.Contains(colours, "[1;31m") || strings.Contains(c, "31m") || checkSessions(t, m) != text {
			t.Errorf("%q", c)
		}
	})
}

// Long names leave room for the other columns, and narrow windows drop some.
func TestSessionsColumns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		b.rows[1].Name = "@a-bot-with-a-very-long-name-indeed:matrix.department.example.org"
		b.rows[1].Server = "matrix.department.example.org"
		for _, tt := range []struct {
			w     int
			shown []string
			not   string
		}{
			{130, []string{b.rows[1].Name, "Server", "Device", "MXAUTH7KPPQW", "LOGGED OUT"}, ".."},
			{80, []string{"@a-bot-with", "..", "matrix.depar", "MXAUTH7KPPQW", "LOGGED OUT"}, b.rows[1].Name},
			{60, []string{"@alice:matrix... *", "@a-bot", "..", "MXAUTH7KPPQW", "LOGGED OUT"}, b.rows[1].Name},
			{59, []string{"@a-bot-with", "LOGGED OUT", "due"}, "Server"},
			{30, []string{"@alice:matri.. *", "@a-bot", "LOGGED OUT", "due"}, "Device"},
		} {
			text := checkSessions(t, listed(t, tt.w, 24, b, SessionsOptions{}))
			for _, s := range tt.shown {
				if !strings.Contains(text, s) {
					t.Errorf("%d columns: no %q:\n%s", tt.w, s, text)
				}
			}
			if strings.Contains(text, tt.not) {
				t.Errorf("%d columns: %q:\n%s", tt.w, tt.not, text)
			}
		}
	})
}

func TestCountdown(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "due", 0: "due", time.Millisecond: "0:01", 272 * time.Second: "4:32", time.Hour: "60:00",
		61 * time.Minute: "1 h 01 min", 47*time.Hour + 59*time.Minute: "47 h 59 min", 365 * 24 * time.Hour: "365 days",
	} {
		if got := countdown(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

// Where nothing counts down, nothing is drawn until the list is read again.
func TestSessionsTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		m := listed(t, 80, 24, b, SessionsOptions{})
		if d := m.next(); d > time.Second {
			t.Errorf("a countdown of minutes and seconds ticks after %v", d)
		}
		b.rows[0].Expiry = time.Now().Add(300*24*time.Hour + time.Minute)
		m = listed(t, 80, 24, b, SessionsOptions{})
		if d := m.next(); d != listEvery {
			t.Errorf("nothing counts, and it ticks after %v", d)
		}
		before := m.View().Content
		time.Sleep(listEvery - time.Second)
		m.now = time.Now()
		if m.View().Content != before {
			t.Error("the screen changed without a tick")
		}
		if d := m.enter(gone).next(); d != 0 {
			t.Errorf("it ticks after the end: %v", d)
		}
	})
}

// The list is read again while the screen stands there, once at a time, and a
// reading that hangs does not stop the next.
func TestSessionsListAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := listed(t, 80, 24, threeSessions(), SessionsOptions{})
		time.Sleep(listEvery)
		m, _ = m.Update(tickMsg{})
		if m.asked.IsZero() {
			t.Fatal("not read again")
		}
		number := m.listing
		if _, cmd := m.list(); cmd != nil {
			t.Error("read twice at once")
		}
		time.Sleep(listTime + grace)
		m, _ = m.Update(tickMsg{})
		if !errors.Is(m.listErr, errNoAnswer) || len(m.rows) != 3 {
			t.Errorf("%v, %d rows", m.listErr, len(m.rows))
		}
		time.Sleep(listEvery)
		if m, _ = m.Update(tickMsg{}); m.asked.IsZero() || m.listing == number {
			t.Error("not read again after one that hung")
		}
		if late, _ := m.Update(listMsg{number: number}); len(late.rows) != 3 || late.asked.IsZero() {
			t.Error("a list that was given up is taken for the next")
		}
	})
}

// Copying hands over the link, and there is no key that copies more.
func TestSessionsCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		m := listed(t, 80, 24, b, SessionsOptions{})
		press := func(m sessionsModel, k rune) (sessionsModel, tea.Cmd) {
			return m.press(tea.KeyPressMsg{Code: k, Text: string(k)})
		}
		if _, cmd := press(m, 'c'); cmd != nil {
			t.Error("c copies something in the list")
		}
		m = m.aside(linking)
		if _, cmd := press(m, 'c'); cmd != nil {
			t.Error("c copies a link that is not there")
		}
		m.link = b.link
		m, cmd := press(m, 'c')
		if cmd == nil || fmt.Sprint(cmd()) != b.link || m.note != "Link sent to the clipboard." {
			t.Errorf("note %q", m.note)
		}
		if next, cmd := press(m, 'o'); cmd != nil || next.note != m.note {
			t.Error("o does something where no browser can be opened")
		}
		// On another keyboard layout the keys are where they are on this one.
		if away, _ := m.press(tea.KeyPressMsg{Code: 'й', Text: "й", BaseCode: 'q'}); away.phase != gone {
			t.Error("q on another layout does not quit")
		}
	})
}

func TestSessionsSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := listed(t, 80, 24, threeSessions(), SessionsOptions{})
		m, cmd := m.Update(tea.KeyPressMsg{Code: 'z', Mod: tea.ModCtrl})
		if cmd == nil || m.View().Content != "" {
			t.Errorf("drawn while suspended: %q", m.View().Content)
		}
		if m, _ = m.Update(tea.ResumeMsg{}); !strings.Contains(checkSessions(t, m), "3 sessions") {
			t.Error("not drawn again")
		}
	})
}

// The screens as they were looked at.
func TestSessionsGolden(t *testing.T) {
	pages := map[string]func(sessionsModel) sessionsModel{
		"list": func(m sessionsModel) sessionsModel { return m },
		"busy": func(m sessionsModel) sessionsModel {
			m, _ = m.begin(toRefresh)
			m.now = m.now.Add(3 * time.Second)
			return m
		},
		"ended":   func(m sessionsModel) sessionsModel { return m.move(2) },
		"details": func(m sessionsModel) sessionsModel { return m.enter(reading) },
		"logout":  func(m sessionsModel) sessionsModel { return m.aside(confirming) },
		"page": func(m sessionsModel) sessionsModel {
			m.phase = linking
			return m.pageFound(job{row: m.row()}, jobMsg{link: "https://a.example/account"})
		},
		"keys":  func(m sessionsModel) sessionsModel { m.help = true; return m },
		"empty": func(m sessionsModel) sessionsModel { return m.replace(nil) },
		"locked": func(m sessionsModel) sessionsModel {
			m.outcomes = []outcome{{row: m.row(), verb: toRefresh, err: errors.New("the OS keyring is locked: unlock it, then press r again")}}
			return m
		},
	}
	for name, page := range pages {
		for _, size := range [][2]int{{80, 24}, {40, 24}, {20, 5}} {
			synctest.Test(t, func(t *testing.T) {
				t.Setenv("TZ", "UTC")
				m := listed(t, size[0], size[1], threeSessions(), SessionsOptions{})
				golden(t, "sessions-"+name, size, checkSessions(t, page(m)))
			})
		}
	}
}
