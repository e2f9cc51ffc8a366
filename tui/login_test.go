package tui

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// A loginTerminal is a terminal with a login in it.
type loginTerminal struct {
	*terminal
	starts []*script
	result LoginResult
}

// A script is one attempt, as the test plays it.
type script struct {
	server string
	ctx    context.Context
	events chan flow.Event
}

func (s *script) send(events ...flow.Event) {
	for _, e := range events {
		e.Time = time.Now()
		s.events <- e
	}
	synctest.Wait()
	time.Sleep(50 * time.Millisecond) // a frame
}

// open starts a login on a fresh terminal. It must be called in a bubble.
func open(t *testing.T, w, h int, o LoginOptions, delay ...time.Duration) *loginTerminal {
	t.Helper()
	term := &loginTerminal{}
	if o.Start == nil {
		o.Start = func(ctx context.Context, server string) <-chan flow.Event {
			s := &script{server: server, ctx: ctx, events: make(chan flow.Event)}
			term.starts = append(term.starts, s)
			return s.events
		}
	}
	term.terminal = startTerminal(t, w, h, append(delay, 0)[0], func(ctx context.Context, w wiring) (err error) {
		o.Input, o.Output, o.width, o.height = w.in, w.out, w.width, w.height
		if o.Environ == nil {
			o.Environ = w.env
		}
		term.result, err = Login(ctx, o)
		return err
	})
	return term
}

// attempt returns the one that was begun last.
func (term *loginTerminal) attempt() *script {
	term.t.Helper()
	synctest.Wait()
	if len(term.starts) == 0 {
		term.t.Fatal("no attempt was begun")
	}
	return term.starts[len(term.starts)-1]
}

func TestLoginFromNameToResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := open(t, 80, 24, LoginOptions{})
		term.shows("Log in to Matrix")
		term.press("matrix.org\r")
		a := term.attempt()
		if a.server != "matrix.org" {
			t.Errorf("asked for %q", a.server)
		}
		a.send(flow.Event{Kind: flow.EventDiscover, Name: "matrix.org"})
		term.shows("[..] Looking up matrix.org")
		a.send(serverEvent(), flow.Event{Kind: flow.EventRegister})
		term.shows("[ok] Login service account.matrix.org [..] Asking for a code")
		a.send(codeEvent("https://account.matrix.org/link"))
		term.shows("Waiting. 20:00 left")
		time.Sleep(17500 * time.Millisecond)
		term.shows("19:43 left")
		a.send(flow.Event{Kind: flow.EventApproved})
		term.shows("[..] Storing the tokens")
		a.send(doneEvent())
		close(a.events)
		term.wait()
		if got, want := term.text(), "[ok] Logged in as @alice:matrix.org; token in the keyring\n"; got != want {
			t.Errorf("left behind:\n%s", got)
		}
		if term.err != nil || term.result.Done.Name != "@alice:matrix.org" || !term.result.Told {
			t.Errorf("result %+v, error %v", term.result, term.err)
		}
		if a.ctx.Err() == nil {
			t.Error("the attempt was not cancelled at the end")
		}
	})
}

// opened brings a terminal to the code screen.
func opened(t *testing.T, w, h int, link string, o LoginOptions) (*loginTerminal, *script) {
	t.Helper()
	o.Server = "matrix.org"
	term := open(t, w, h, o)
	a := term.attempt()
	a.send(serverEvent(), codeEvent(link))
	return term, a
}

// play ends an attempt when it is cancelled, as a real one does.
func (s *script) play() {
	go func() {
		<-s.ctx.Done()
		s.events <- flow.Event{Kind: flow.EventError, Err: s.ctx.Err()}
		close(s.events)
	}()
}

func TestQuit(t *testing.T) {
	for _, key := range []string{"q", "Q", "\x1b", "\x03"} {
		synctest.Test(t, func(t *testing.T) {
			term, a := opened(t, 80, 24, address(31), LoginOptions{})
			a.play()
			term.press(key)
			term.wait()
			if term.err != ErrQuit || a.ctx.Err() == nil {
				t.Errorf("%q: error %v, attempt %v", key, term.err, a.ctx.Err())
			}
			if got := term.text(); got != "[!] Stopped before the login was complete.\n" {
				t.Errorf("%q left behind:\n%s", key, got)
			}
		})
	}
}

// An attempt that does not end keeps nobody: a second key does not wait, and
// without one the patience ends.
func TestQuitDoesNotHang(t *testing.T) {
	for _, twice := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			term, a := opened(t, 80, 24, address(31), LoginOptions{})
			begin := time.Now()
			term.press("q")
			term.shows("[..] Stopping")
			if a.ctx.Err() == nil {
				t.Error("the attempt is not cancelled while the screen waits for it")
			}
			if twice {
				term.press("\x03")
			}
			term.wait()
			took := time.Since(begin) - time.Minute
			if term.err != ErrQuit || twice && took > time.Second || took > patience+time.Second {
				t.Errorf("twice %v: error %v after %v", twice, term.err, took)
			}
			close(a.events)
		})
	}
}

// Tokens that were stored while somebody was leaving are a login.
func TestDoneWinsOverQuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, a := opened(t, 80, 24, address(31), LoginOptions{})
		term.press("q")
		a.send(doneEvent())
		close(a.events)
		term.wait()
		if term.err != nil || term.result.Done.Kind != flow.EventDone {
			t.Errorf("result %+v, error %v", term.result, term.err)
		}
		term.shows("[ok] Logged in as @alice:matrix.org")
	})
}

func TestNewCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, first := opened(t, 80, 24, address(31), LoginOptions{})
		term.press("n")
		if first.ctx.Err() == nil {
			t.Error("the first attempt goes on")
		}
		if len(term.starts) != 1 {
			t.Error("a second attempt began before the first had ended")
		}
		term.shows("[..] Giving up the old code")
		first.send(flow.Event{Kind: flow.EventError, Err: first.ctx.Err()})
		close(first.events)
		second := term.attempt()
		if len(term.starts) != 2 || second.ctx.Err() != nil {
			t.Fatalf("%d attempts, %v", len(term.starts), second.ctx.Err())
		}
		e := codeEvent(address(31))
		e.Code.UserCode = "NEWNEW"
		second.send(serverEvent(), e)
		term.shows("NEWNEW")
		term.hides("7KQ4ZP")
		second.play()
		term.press("q")
		term.wait()
	})
}

func TestExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, a := opened(t, 80, 24, address(31), LoginOptions{})
		time.Sleep(20 * time.Minute)
		a.send(errorEvent(flow.KindExpired, "the code expired"))
		close(a.events)
		term.shows("[!] The code ran out after 20:00.")
		term.hides("7KQ4ZP")
		time.Sleep(2 * time.Minute)
		if len(term.starts) != 1 {
			t.Fatal("a code was asked for unasked")
		}
		term.press("\r")
		again := term.attempt()
		if len(term.starts) != 2 {
			t.Fatal("enter asked for no new code")
		}
		again.send(errorEvent(flow.KindTemporary, "matrix.org answered 503"))
		close(again.events)
		term.shows("matrix.org answered 503")
		term.press("q")
		term.wait()
		if flow.KindOf(term.err) != flow.KindTemporary {
			t.Errorf("error %v", term.err)
		}
		if got := term.text(); got != "[!] Cannot log in: matrix.org answered 503.\n" {
			t.Errorf("left behind:\n%s", got)
		}
	})
}

func TestOtherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := open(t, 80, 24, LoginOptions{})
		term.press("not a name\r") // blanks are not taken
		a := term.attempt()
		if a.server != "notaname" {
			t.Errorf("asked for %q", a.server)
		}
		a.send(errorEvent(flow.KindUsage, "that is no name of a server"))
		close(a.events)
		term.shows("Server notaname")
		term.shows("[!] cannot log in: that is no name of a server")
		term.press("\x15example.org\r")
		a = term.attempt()
		if a.server != "example.org" {
			t.Errorf("asked for %q", a.server)
		}
		a.send(errorEvent(flow.KindUnsupported, "example.org has no OAuth"))
		close(a.events)
		term.press("s")
		term.shows("Server example.org")
		term.press("\x1b")
		term.wait()
		if term.err != ErrQuit {
			t.Errorf("error %v", term.err)
		}
	})
}

func TestOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, a := opened(t, 80, 24, address(31), LoginOptions{})
		a.send(flow.Event{Kind: flow.EventOffline, Retry: time.Now().Add(8 * time.Second)})
		term.shows("No connection; next try in 8 s. The code is still good, 20:00 left.")
		time.Sleep(4 * time.Second)
		term.shows("next try in 5 s.")
		time.Sleep(10 * time.Second)
		term.shows("No connection; trying again.")
		a.send(flow.Event{Kind: flow.EventOnline})
		term.hides("No connection")
		a.play()
		term.press("q")
		term.wait()
	})
}

func TestHintAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, a := opened(t, 80, 24, address(31), LoginOptions{})
		const hint = "the server refuses what was asked for"
		time.Sleep(58 * time.Second)
		term.hides(hint)
		time.Sleep(3 * time.Second)
		term.shows(hint)
		a.play()
		term.press("q")
		term.wait()
	})
}

// Plain lines take over the same attempt and lose no event.
func TestPlainTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, a := opened(t, 80, 24, address(31), LoginOptions{})
		term.press("p")
		term.wait()
		if term.err != nil || term.result.Plain == nil || a.ctx.Err() != nil {
			t.Fatalf("result %+v, error %v, attempt %v", term.result, term.err, a.ctx.Err())
		}
		if got := term.text(); got != "\n" {
			t.Errorf("the screen left behind:\n%s", got)
		}
		go func() {
			a.events <- flow.Event{Kind: flow.EventApproved}
			a.events <- doneEvent()
			close(a.events)
		}()
		var out lineLog
		last, err := Lines(t.Context(), &out, term.result.Plain.Events, LinesOptions{Seen: term.result.Plain.Seen})
		term.result.Plain.Cancel()
		if err != nil || last.Kind != flow.EventDone || a.ctx.Err() == nil {
			t.Errorf("last %v, error %v, attempt %v", last.Kind, err, a.ctx.Err())
		}
		out.has(t, "Open "+address(31)+" and enter 7KQ4ZP\n", "Logged in as @alice:matrix.org; token in the keyring.\n")
	})
}

func TestCancelledContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, a := opened(t, 80, 24, address(31), LoginOptions{})
		a.play()
		why := &flow.Error{Problem: "signal"}
		term.cancel(why)
		term.wait()
		if term.err != why {
			t.Errorf("error %v", term.err)
		}
		term.hides("7KQ4ZP")
	})
}

// A login that ends before the terminal has answered waits for the answers, on a
// slow line too, and for a terminal that never answers it does not wait long.
func TestLateReplies(t *testing.T) {
	for _, delay := range []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			term := open(t, 80, 24, LoginOptions{Server: "matrix.org", Start: func(context.Context, string) <-chan flow.Event {
				events := make(chan flow.Event, 1)
				events <- doneEvent()
				close(events)
				return events
			}}, delay)
			term.wait()
			term.shows("[ok] Logged in as @alice:matrix.org")
		})
	}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		out := &lineLog{}
		_, err := Login(t.Context(), LoginOptions{Server: "matrix.org", Input: silent{t.Context()}, Output: out, width: 80, height: 24,
			Environ: []string{"TERM=xterm"}, Start: func(context.Context, string) <-chan flow.Event {
				events := make(chan flow.Event, 1)
				events <- doneEvent()
				close(events)
				return events
			}})
		if took := time.Since(begin); err != nil || took > 2*time.Second {
			t.Errorf("%v, after %v", err, took)
		}
	})
}

// A silent terminal answers nothing.
type silent struct{ ctx context.Context }

func (s silent) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, io.EOF
}

func TestResize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := address(45)
		term, a := opened(t, 80, 24, link, LoginOptions{})
		for _, size := range [][2]int{{40, 24}, {20, 5}, {80, 24}, {1, 1}, {120, 40}, {80, 24}} {
			term.resize(size[0], size[1])
			switch got, err := scan(term.picture(themes()[1])); {
			case size[0] >= 40 && (err != nil || got != link):
				t.Errorf("%v: read %q, %v\n%s", size, got, err, term.text())
			case size[0] == 20 && !strings.Contains(term.text(), "7KQ4ZP"):
				t.Errorf("%v: no code:\n%s", size, term.text())
			}
		}
		a.play()
		term.press("q")
		term.wait()
	})
}

func codeEvent(link string) flow.Event {
	return flow.Event{Kind: flow.EventCode, DeviceName: "build-box", Code: flow.Code{UserCode: "7KQ4ZP",
		VerificationURI: link, Expiry: time.Now().Add(20 * time.Minute), Interval: 5 * time.Second}}
}

func serverEvent() flow.Event {
	return flow.Event{Kind: flow.EventServer, Server: flow.Server{Name: "matrix.org",
		Homeserver: "https://matrix-client.matrix.org", Issuer: "https://account.matrix.org/"}}
}

func doneEvent() flow.Event {
	return flow.Event{Kind: flow.EventDone, Name: "@alice:matrix.org", UserID: "@alice:matrix.org", Store: "the keyring"}
}

func errorEvent(kind flow.Kind, problem string) flow.Event {
	return flow.Event{Kind: flow.EventError, Err: &flow.Error{Kind: kind, Op: "log in", Problem: problem}}
}
