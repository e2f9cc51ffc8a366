package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A book keeps sessions for a test. What changes something is held until the
// test answers, unless it is told to be quick.
type book struct {
	mu       sync.Mutex
	rows     []SessionRow
	listErr  error
	link     string
	quick    bool
	stubborn bool // calls do not obey their context
	calls    []*call
}

// A call is one that the screen made.
type call struct {
	what, id string
	ctx      context.Context
	answer   chan error
}

func (b *book) List(context.Context) ([]SessionRow, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]SessionRow{}, b.rows...), b.listErr
}

func (b *book) do(ctx context.Context, what, id string) error {
	c := &call{what, id, ctx, make(chan error)}
	b.mu.Lock()
	b.calls = append(b.calls, c)
	quick, stubborn := b.quick, b.stubborn
	b.mu.Unlock()
	if quick {
		return nil
	}
	done := ctx.Done()
	if stubborn {
		done = nil
	}
	select {
	case err := <-c.answer:
		return err
	case <-done:
		return ctx.Err()
	}
}

// change alters the row of a session.
func (b *book) change(id string, alter func(*SessionRow)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.rows {
		if b.rows[i].ID == id {
			alter(&b.rows[i])
		}
	}
}

func (b *book) remove(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []SessionRow
	for _, r := range b.rows {
		if r.ID != id {
			rest = append(rest, r)
		}
	}
	b.rows = rest
}

func (b *book) Use(ctx context.Context, id string) error {
	err := b.do(ctx, "use", id)
	if err == nil {
		for _, r := range b.rows {
			b.change(r.ID, func(r *SessionRow) { r.Default = r.ID == id })
		}
	}
	return err
}

func (b *book) Refresh(ctx context.Context, id string) error {
	err := b.do(ctx, "refresh", id)
	if err == nil {
		b.change(id, func(r *SessionRow) { r.Updated, r.Expiry = time.Now(), time.Now().Add(5*time.Minute) })
	}
	return err
}

func (b *book) Logout(ctx context.Context, id string) error {
	err := b.do(ctx, "logout", id)
	if err == nil {
		b.remove(id)
	}
	return err
}

func (b *book) AccountLink(ctx context.Context, id string) (string, error) {
	err := b.do(ctx, "account", id)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.link, err
}

// last returns the call that was made last, which must be what is wanted.
func (b *book) last(t *testing.T, what, id string) *call {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.calls) == 0 {
		t.Fatalf("no call; want %s %s", what, id)
	}
	c := b.calls[len(b.calls)-1]
	if c.what != what || c.id != id {
		t.Fatalf("%s %s was called; want %s %s", c.what, c.id, what, id)
	}
	return c
}

func (b *book) count() int {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.calls)
}

// reply answers a call, and lets a frame be drawn.
func (c *call) reply(err error) {
	c.answer <- err
	synctest.Wait()
	time.Sleep(50 * time.Millisecond)
}

// threeSessions are one that lives, one whose token is due, and one that ended.
func threeSessions() *book {
	now := time.Now()
	return &book{link: "https://account.matrix.org/account/?device_id=MXAUTHQZ7K2P", rows: []SessionRow{
		{ID: "a", Name: "@alice:matrix.org", UserID: "@alice:matrix.org", Server: "matrix.org", DeviceID: "MXAUTHQZ7K2P",
			Scope: "urn:matrix:client:api:* urn:matrix:client:device:MXAUTHQZ7K2P", Store: "the OS keyring", Default: true,
			Created: now.Add(-50 * time.Hour), Updated: now.Add(-28 * time.Second), Expiry: now.Add(272 * time.Second)},
		{ID: "b", Name: "deploybot", UserID: "@bot:example.org", Server: "example.org", DeviceID: "MXAUTH7KPPQW",
			Store: "a sealed file", Created: now.Add(-500 * time.Hour), Expiry: now.Add(-time.Minute)},
		{ID: "c", Name: "@old:example.net", UserID: "@old:example.net", Server: "example.net", Store: "the OS keyring",
			Created: now.Add(-900 * time.Hour), Expiry: now.Add(-99 * time.Hour),
			Ended: "the server does not know it any more (invalid_grant)", EndedAt: now.Add(-30 * time.Hour)},
	}}
}

// A sessionsTerminal is a terminal with the sessions screen in it.
type sessionsTerminal struct {
	*terminal
	result SessionsResult
}

func openSessions(t *testing.T, w, h int, o SessionsOptions) *sessionsTerminal {
	t.Helper()
	term := &sessionsTerminal{}
	term.terminal = startTerminal(t, w, h, 0, func(ctx context.Context, w wiring) (err error) {
		o.Input, o.Output, o.Environ, o.width, o.height = w.in, w.out, w.env, w.width, w.height
		term.result, err = Sessions(ctx, o)
		return err
	})
	return term
}

// leave quits and looks at what is left.
func (term *sessionsTerminal) leave() {
	term.t.Helper()
	term.press("q")
	term.wait()
	if term.err != nil {
		term.t.Errorf("error %v", term.err)
	}
}

const (
	keyDown = "\x1b[B"
	keyUp   = "\x1b[A"
	keyEnd  = "\x1b[F"
	keyHome = "\x1b[H"
)

func TestSessionsCountDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := openSessions(t, 80, 24, SessionsOptions{Actions: threeSessions()})
		term.shows("3 sessions Session Server Token Device > @alice:matrix.org * matrix.org 4:32 MXAUTHQZ7K2P deploybot example.org due MXAUTH7KPPQW @old:example.net example.net LOGGED OUT -")
		time.Sleep(10 * time.Second)
		term.shows("matrix.org 4:22 ")
		time.Sleep(5 * time.Minute)
		term.shows("matrix.org due ")
		term.leave()
		if got := term.text(); got != "\n" {
			t.Errorf("left behind:\n%s", got)
		}
	})
}

func TestSessionsRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		term := openSessions(t, 80, 24, SessionsOptions{Actions: b})
		term.press(keyDown + "r")
		c := b.last(t, "refresh", "b")
		term.shows("> deploybot example.org refreshing MXAUTH7KPPQW")
		term.shows("[..] Refreshing: waits for the store and for example.org, at most 2 minutes.")
		time.Sleep(3 * time.Second)
		term.shows("refreshing (3 s)")
		term.press("r") // one at a time
		term.shows("Still refreshing: deploybot.")
		term.press("k" + "r") // another session at the same time
		b.last(t, "refresh", "a").reply(nil)
		term.shows("> @alice:matrix.org * matrix.org refreshed")
		if b.count() != 2 {
			t.Errorf("%d calls", b.count())
		}
		c.reply(nil)
		term.shows("deploybot example.org refreshed")
		time.Sleep(noteTime + time.Second)
		term.shows("deploybot example.org 4:5")
		term.leave()
	})
}

// A store that is locked is told in words, and the screen stays usable.
func TestSessionsLockedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		term := openSessions(t, 80, 24, SessionsOptions{Actions: b})
		term.press("r")
		b.last(t, "refresh", "a").reply(errors.New("the OS keyring is locked: unlock it first"))
		term.shows("matrix.org refresh failed MXAUTHQZ7K2P")
		term.shows("[!] The refresh failed: the OS keyring is locked: unlock it first.")
		term.press(keyDown)
		term.hides("locked")
		term.press(keyUp)
		term.shows("unlock it first.")
		term.press("u") // the next job clears it away
		term.shows("It is the default already.")
		term.press("r")
		term.hides("locked")
		b.last(t, "refresh", "a").reply(errors.New("still locked"))
		b.change("a", func(r *SessionRow) { r.Updated, r.Expiry = time.Now(), time.Now().Add(5*time.Minute) })
		time.Sleep(listEvery + time.Second)
		term.hides("locked") // somebody else has refreshed it
		term.leave()
	})
}

func TestSessionsListFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{listErr: errors.New("the state directory cannot be read")}
		term := openSessions(t, 80, 24, SessionsOptions{Actions: b})
		term.shows("[!] The sessions cannot be listed: the state directory cannot be read.")
		three := threeSessions()
		b.mu.Lock()
		b.rows, b.listErr = three.rows, errors.New("one file is damaged")
		b.mu.Unlock()
		time.Sleep(listEvery + time.Second)
		term.shows("[!] Not all sessions can be listed: one file is damaged.")
		term.shows("> @alice:matrix.org")
		term.leave()
	})
}

func TestSessionsUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		b.quick = true
		term := openSessions(t, 80, 24, SessionsOptions{Actions: b})
		term.press("ju")
		b.last(t, "use", "b")
		term.shows("> deploybot * example.org")
		term.leave()
		if term.result.Selected != "b" || term.result.Login {
			t.Errorf("result %+v", term.result)
		}
	})
}

func TestSessionsLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		term := openSessions(t, 80, 24, SessionsOptions{Actions: b})
		term.press("jd")
		term.shows("The server removes its device MXAUTH7KPPQW, and what only that device can decrypt is lost. Log out deploybot? y/N")
		for _, no := range []string{"\r", "n", "\x1b", "x"} {
			term.press(no)
			term.hides("y/N")
			term.press("d")
		}
		if b.count() != 0 {
			t.Fatal("logged out without a yes")
		}
		term.press("y")
		c := b.last(t, "logout", "b")
		term.shows("deploybot example.org logging out")
		c.reply(errors.New("example.org does not answer; the session is kept"))
		term.shows("[!] The logout failed: example.org does not answer; the session is kept.")
		term.press("dy")
		b.last(t, "logout", "b").reply(nil)
		term.shows("Logged out: deploybot.")
		term.shows("2 sessions")
		term.shows("> @old:example.net") // its place in the list
		term.press("d")
		term.shows("The session is over already. Take @old:example.net off the list? y/N")
		term.press("y")
		b.last(t, "logout", "c").reply(nil)
		term.shows("1 session ")
		term.press("dy")
		b.last(t, "logout", "a").reply(nil)
		term.shows("There are none yet.")
		term.leave()
	})
}

func TestSessionsLogInAgain(t *testing.T) {
	tests := []struct {
		keys, again, selected string
	}{{keyEnd + "l", "c", "c"}, {keyEnd + "\rl", "c", "c"}, {"n", "", "a"}}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			term := openSessions(t, 80, 24, SessionsOptions{Actions: threeSessions()})
			term.press(tt.keys)
			term.wait()
			if r := term.result; term.err != nil || !r.Login || r.Again.ID != tt.again || r.Selected != tt.selected {
				t.Errorf("%q: %+v, %v", tt.keys, r, term.err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		term := openSessions(t, 80, 24, SessionsOptions{Actions: &book{}})
		term.shows("There are none yet.")
		term.press("urdal") // only the last does something
		term.wait()
		if r := term.result; term.err != nil || !r.Login || r.Again.ID != "" {
			t.Errorf("%+v, %v", r, term.err)
		}
	})
}

// What a reopened screen begins with.
func TestSessionsReopened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := openSessions(t, 80, 24, SessionsOptions{Actions: threeSessions(), Selected: "b", Note: "Logged in as @bot:example.org"})
		term.shows("> deploybot")
		time.Sleep(time.Minute)
		term.shows("Logged in as @bot:example.org")
		term.press(keyUp)
		term.hides("Logged in")
		term.leave()
	})
}

func TestSessionsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		term := openSessions(t, 80, 24, SessionsOptions{Actions: b})
		term.press(keyEnd)
		when := moment(b.rows[2].EndedAt)
		term.shows("[!] This session ended on " + when + ": the server does not know it any more (invalid_grant). l logs in again, d takes it off the list.")
		term.press("r")
		term.shows("The session is over: l logs in again.")
		if b.count() != 0 {
			t.Error("a session that is over was refreshed")
		}
		term.leave()
	})
}

func TestSessionsDetails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		term := openSessions(t, 80, 24, SessionsOptions{Actions: b})
		term.press("\r")
		term.shows("Scope urn:matrix:client:api:* urn:matrix:client:device:MXAUTHQZ7K2P Token good for 4:32, until " + moment(b.rows[0].Expiry))
		time.Sleep(2 * time.Second)
		term.shows("good for 4:30")
		b.remove("a") // by somebody else
		time.Sleep(listEvery)
		term.shows("The session is gone.")
		term.shows("> deploybot")
		term.leave()
	})
}

// The account page's QR code is read back from a picture in every theme.
func TestSessionsAccountPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, opened := threeSessions(), ""
		term := openSessions(t, 80, 24, SessionsOptions{Actions: b, OpenURL: func(_ context.Context, url string) error { opened = url; return nil }})
		term.press("a")
		c := b.last(t, "account", "a")
		time.Sleep(3 * time.Second)
		term.shows("Account page of @alice:matrix.org")
		term.shows("[..] Looking up the link (3 s)")
		c.reply(nil)
		for _, th := range themes() {
			if got, err := scan(term.picture(th)); err != nil || got != b.link {
				t.Errorf("%s: read %q, %v\n%s", th.name, got, err, term.text())
			}
		}
		if !strings.Contains(term.text(), b.link) {
			t.Errorf("the link does not stand in one row:\n%s", term.text())
		}
		term.press("o")
		term.shows("Link sent to the browser.")
		if opened != b.link {
			t.Errorf("opened %q", opened)
		}
		term.press("\x1b")
		term.shows("3 sessions")
		term.press("a")
		c = b.last(t, "account", "a")
		term.press("\x1b")
		if c.ctx.Err() == nil {
			t.Error("going back does not give the look-up up")
		}
		term.press("a")
		b.last(t, "account", "a").reply(errors.New("the server has no account page"))
		term.shows("[!] The server has no account page.")
		b.link = "https://a.example/\x1b]0;x\a"
		term.press("\x1b")
		term.press("a")
		b.last(t, "account", "a").reply(nil)
		term.shows("[!] The address of the account page holds characters that do not belong there.")
		term.leave()
	})
}

// Whatever a call does, the screen goes on: keys work, and the row says that
// nobody answered.
func TestSessionsNothingBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := threeSessions()
		b.stubborn = true
		term := openSessions(t, 80, 24, SessionsOptions{Actions: b})
		term.press("r")
		c := b.last(t, "refresh", "a")
		time.Sleep(jobTime - time.Second)
		if c.ctx.Err() != nil {
			t.Error("the deadline is too early")
		}
		time.Sleep(2 * time.Second)
		if !errors.Is(c.ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("the context has no deadline: %v", c.ctx.Err())
		}
		term.press(keyDown)
		term.shows("> deploybot")
		time.Sleep(grace)
		term.press(keyUp)
		term.shows("[!] The refresh failed: no answer in time; it may still be under way.")
		term.leave()
		c.answer <- nil
	})
}

// Leaving waits for what changes something: it is cancelled, and ends in good
// order.
func TestSessionsLeavingWaits(t *testing.T) {
	tests := []struct {
		name   string
		second bool
		answer error
		left   string
	}{
		{"it ends well", false, nil, "\n"},
		{"it fails", false, errors.New("matrix.org does not answer; nothing is lost"),
			"[!] The refresh of @alice:matrix.org failed: matrix.org does not answer; nothing\n    is lost.\n"},
		{"it does not end", false, errNoAnswer, "[!] Left while still under way: refresh of @alice:matrix.org.\n"},
		{"nobody waits", true, errNoAnswer, "[!] Left while still under way: refresh of @alice:matrix.org.\n"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			b := threeSessions()
			b.stubborn = true
			term := openSessions(t, 80, 24, SessionsOptions{Actions: b})
			term.press("r")
			c := b.last(t, "refresh", "a")
			begin := time.Now()
			term.press("q")
			term.shows("[..] Stopping; waits for: refresh of @alice:matrix.org")
			if c.ctx.Err() == nil {
				t.Errorf("%s: not cancelled", tt.name)
			}
			open := tt.answer == errNoAnswer
			if !open {
				c.reply(tt.answer)
			}
			if tt.second {
				term.press("q")
			}
			term.wait()
			if took := term.endedAt.Sub(begin); tt.second && took > time.Second || took > patience+time.Second {
				t.Errorf("%s: took %v", tt.name, took)
			}
			if got := term.text(); term.err != nil || got != tt.left {
				t.Errorf("%s: %v, left behind:\n%s", tt.name, term.err, got)
			}
			if open {
				c.answer <- nil
			}
		})
	}
}

func TestSessionsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := openSessions(t, 80, 24, SessionsOptions{Actions: threeSessions()})
		why := errors.New("signal")
		term.cancel(why)
		term.wait()
		if term.err != why {
			t.Errorf("error %v", term.err)
		}
	})
}

// All of forty sessions can be reached, in a low window too.
func TestSessionsForty(t *testing.T) {
	for _, h := range []int{24, 12, 5} {
		synctest.Test(t, func(t *testing.T) {
			b := &book{}
			for i := range 40 {
				b.rows = append(b.rows, SessionRow{ID: fmt.Sprint(i), Name: fmt.Sprintf("bot-%02d", i), Server: "example.org"})
			}
			term := openSessions(t, 80, h, SessionsOptions{Actions: b})
			for i := range 40 {
				term.shows(fmt.Sprintf("> bot-%02d", i))
				term.press(keyDown)
			}
			term.shows("> bot-39") // no way beyond the end
			term.press(keyHome)
			term.shows("> bot-00")
			term.press("\x1b[6~")
			term.shows("> bot-10")
			if h == 24 {
				term.shows("of 40")
				term.resize(40, 12)
				term.shows("> bot-10")
				term.hides("Server")
			}
			term.leave()
		})
	}
}

// A panic ends this screen in good order as well.
func TestSessionsPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := openSessions(t, 80, 24, SessionsOptions{})
		term.wait()
		if term.err == nil || !strings.Contains(term.err.Error(), "a bug broke the screen") {
			t.Errorf("error %v", term.err)
		}
	})
}
