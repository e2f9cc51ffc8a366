package tui

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// A lineLog notes what was written.
type lineLog struct{ strings.Builder }

func (l *lineLog) has(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(l.String(), w) {
			t.Errorf("missing %q in:\n%s", w, l.String())
		}
	}
}

func TestLines(t *testing.T) {
	t.Setenv("TZ", "UTC")
	synctest.Test(t, func(t *testing.T) {
		events := make(chan flow.Event)
		code := codeEvent("https://account.matrix.org/link")
		code.Code.VerificationURIComplete = "https://account.matrix.org/link?code=7KQ4ZP"
		until := code.Code.Expiry.Local().Format("15:04")
		go func() {
			defer close(events)
			for _, e := range []flow.Event{{Kind: flow.EventDiscover, Name: "matrix.org"}, serverEvent(), {Kind: flow.EventRegister}, code} {
				events <- e
			}
			time.Sleep(5*time.Minute + time.Second)
			for range 3 {
				events <- flow.Event{Kind: flow.EventOffline, Retry: time.Now()}
			}
			events <- flow.Event{Kind: flow.EventOnline}
			time.Sleep(5 * time.Minute)
			for _, e := range []flow.Event{{Kind: flow.EventApproved}, {Kind: flow.EventWarning, Text: "the clock is late"}, doneEvent()} {
				events <- e
			}
		}()
		var out lineLog
		last, err := Lines(t.Context(), &out, events, LinesOptions{Environ: []string{"LANG=C.UTF-8"}})
		if err != nil || last.Kind != flow.EventDone {
			t.Errorf("%v, %v", last.Kind, err)
		}
		want := `Looking up matrix.org.
Asking account.matrix.org for a code.
Open https://account.matrix.org/link and enter 7KQ4ZP
7, K, Q, 4, Z, P
Or open https://account.matrix.org/link?code=7KQ4ZP
Only approve a login that you started: to matrix.org, from build-box.
The page names build-box and repeats the code as "security code": compare both.
The code is good until ` + until + `. Waiting.
` + refusedHint(code.Code.Scope) + `
Still waiting, 15 minutes left.
No connection; trying again. The code is still good.
Connected again. Waiting.
Still waiting, 10 minutes left.
Approved. Storing the tokens.
Warning: The clock is late.
Logged in as @alice:matrix.org; token in the keyring.
`
		if out.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
		}
	})
}

// TestLinesHint waits for as long as nobody would with a page that works, and for
// less.
func TestLinesHint(t *testing.T) {
	for waited, hinted := range map[time.Duration]int{59 * time.Second: 0, 61 * time.Second: 1, 4 * time.Minute: 1} {
		synctest.Test(t, func(t *testing.T) {
			events := make(chan flow.Event)
			code := codeEvent("https://account.matrix.org/link")
			code.Code.Scope = "urn:matrix:client:api:*\x1b[31m"
			go func() {
				defer close(events)
				events <- code
				time.Sleep(waited)
				events <- doneEvent()
			}()
			var out lineLog
			if _, err := Lines(t.Context(), &out, events, LinesOptions{Environ: []string{"LANG=C.UTF-8"}}); err != nil {
				t.Error(err)
			}
			if n := strings.Count(out.String(), "page shows an error"); n != hinted || strings.Contains(out.String(), "\x1b") {
				t.Errorf("after %s the hint was given %d times:\n%s", waited, n, out.String())
			}
			if hinted > 0 {
				out.has(t, "Asked for was: urn:matrix:client:api:*")
			}
		})
	}
}

func TestLinesFail(t *testing.T) {
	refused := errorEvent(flow.KindDeclined, "declined")
	tests := []struct {
		name   string
		events []flow.Event
		want   func(error) bool
	}{
		{"declined", []flow.Event{refused}, func(err error) bool { return err == refused.Err }},
		{"silent end", nil, func(err error) bool { return errors.Is(err, errNoReason) }},
		{"hostile link", []flow.Event{codeEvent("https://a.example/\x1b]0;x\a")}, func(err error) bool { return flow.KindOf(err) == flow.KindInvalid }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events := make(chan flow.Event, 4)
			for _, e := range tt.events {
				events <- e
			}
			close(events)
			var out lineLog
			_, err := Lines(t.Context(), &out, events, LinesOptions{})
			if !tt.want(err) {
				t.Errorf("error %v", err)
			}
			if strings.ContainsAny(out.String(), "\x1b\a") {
				t.Errorf("escapes in %q", out.String())
			}
		})
	}
}

// A cancelled login is waited for, because its last answer may be tokens; but not
// for ever, and whoever still writes events is not held up.
func TestLinesCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("signal")
		cancel(why)
		events := make(chan flow.Event)
		begin := time.Now()
		if _, err := Lines(ctx, &lineLog{}, events, LinesOptions{}); err != why || time.Since(begin) != patience {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		events <- flow.Event{Kind: flow.EventOnline}
		close(events)

		done := make(chan flow.Event, 1)
		done <- doneEvent()
		close(done)
		if last, err := Lines(ctx, &lineLog{}, done, LinesOptions{}); err != nil || last.Kind != flow.EventDone {
			t.Errorf("a login that was stored all the same: %v, %v", last.Kind, err)
		}
	})
}

func TestLinesQR(t *testing.T) {
	tests := []struct {
		name, link, locale, want string
	}{
		{"drawn", address(45), "C.UTF-8", "█"},
		{"too long", address(3000), "C.UTF-8", "No QR code: the link is too long"},
		{"no characters for it", address(45), "POSIX", "No QR code: this terminal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events := make(chan flow.Event, 1)
			events <- codeEvent(tt.link)
			close(events)
			var out lineLog
			_, _ = Lines(t.Context(), &out, events, LinesOptions{QR: true, Environ: []string{"LC_ALL=" + tt.locale, "TERM=xterm"}})
			out.has(t, tt.want, "Open "+tt.link+" and enter")
			if strings.Contains(out.String(), "\x1b") {
				t.Errorf("escapes where there is no terminal: %q", out.String())
			}
		})
	}
}

func TestSpelled(t *testing.T) {
	for code, want := range map[string]string{"7KQ4ZP": "7, K, Q, 4, Z, P", "wd-JB": "w, d, dash, J, B", "": ""} {
		if got := spelled(code); got != want {
			t.Errorf("%q is spelled %q", code, got)
		}
	}
}
