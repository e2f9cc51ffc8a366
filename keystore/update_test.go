package keystore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// A spy is a vault that writes down what is done with it, and fails as it is
// told.
type spy struct {
	vault
	steps     []string
	read1     func() ([]byte, error) // in the place of the second read and later ones
	openFails error
	commits   []error // what the next commits say; then they work
}

func (s *spy) did(step string) { s.steps = append(s.steps, step) }

func (s *spy) read(ctx context.Context, e Entry) ([]byte, error) {
	s.did("read")
	if s.read1 != nil && slices.Contains(s.steps, "open") {
		return s.read1()
	}
	return s.vault.read(ctx, e)
}

func (s *spy) open(ctx context.Context, e Entry, now []byte) (pen, error) {
	s.did("open")
	if s.openFails != nil {
		return nil, s.openFails
	}
	p, err := s.vault.open(ctx, e, now)
	return &spyPen{p, s}, err
}

type spyPen struct {
	pen
	s *spy
}

func (p *spyPen) commit(ctx context.Context, data []byte) error {
	p.s.did("commit")
	if len(p.s.commits) > 0 {
		err := p.s.commits[0]
		p.s.commits = p.s.commits[1:]
		return err
	}
	return p.pen.commit(ctx, data)
}

func (p *spyPen) drop() error {
	p.s.did("drop")
	return p.pen.drop()
}

// rotate runs an update on a spy, with the session's lock held.
func (s *spy) rotate(t *testing.T, ctx context.Context, k *Keystore, e Entry, refresh RefreshFunc, will func(flow.Session) bool) (flow.Session, error) {
	t.Helper()
	unlock, e, err := k.locked(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	return k.rotate(ctx, s, e, func(ctx context.Context, now flow.Session) (flow.Session, error) {
		s.did("refresh")
		return refresh(ctx, now)
	}, will)
}

func wontDo(flow.Session) bool { return false }

// TestRefreshOrder is the promise of this package, step by step.
func TestRefreshOrder(t *testing.T) {
	full := &Error{Kind: Full, Problem: "there is no room to write"}
	const whole = "read open refresh commit drop"
	for _, c := range []struct {
		name    string
		spy     spy
		refresh RefreshFunc
		will    func(flow.Session) bool
		steps   string
		stored  int   // whose tokens are stored afterwards
		got     int   // whose tokens are returned
		fault   Fault // of the error; empty: none
		kind    flow.Kind
	}{
		{name: "all goes well", steps: whole, stored: 2, got: 2},
		{name: "fresh enough after all", will: func(flow.Session) bool { return true }, steps: "read", stored: 1, got: 1},
		{name: "the store cannot be written", spy: spy{openFails: full}, steps: "read open", stored: 1, got: 1, fault: Full},
		{name: "storing works at the third try", spy: spy{commits: []error{full, full}}, steps: "read open refresh commit commit commit drop", stored: 2, got: 2},
		{name: "the server is out of reach", refresh: fails(flow.KindTemporary, ""), steps: "read open refresh drop", stored: 1, got: 1, kind: flow.KindTemporary},
		{name: "the server answers nonsense", refresh: fails(flow.KindInvalid, ""), steps: "read open refresh drop", stored: 1, got: 1, kind: flow.KindInvalid},
		{name: "the server gives the same", refresh: func(_ context.Context, s flow.Session) (flow.Session, error) { return s, nil },
			steps: "read open refresh drop", stored: 1, got: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := plainStore(t)
			e := login(t, k, KindPlaintext, "bot", expired(1))
			c.spy.vault = plain{k}
			if c.refresh == nil {
				c.refresh = next(2)
			}
			if c.will == nil {
				c.will = wontDo
			}
			s, err := c.spy.rotate(t, t.Context(), k, e, c.refresh, c.will)
			switch {
			case c.fault != "":
				isFault(t, err, c.fault)
			case flow.KindOf(err) != c.kind:
				t.Errorf("error: %v", err)
			}
			carries(t, s, c.got)
			holds(t, k, e, c.stored)
			if steps := strings.Join(c.spy.steps, " "); steps != c.steps {
				t.Errorf("steps: %s\nwant:  %s", steps, c.steps)
			}
			if now, err := k.Find("bot"); err != nil || now.Ended != nil {
				t.Errorf("the session was marked: %+v, %v", now, err)
			}
		})
	}
}

// TestStoreGivesUp has a store that fails for ever: the tries end, the old record
// stands, and the new tokens go nowhere.
func TestStoreGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := plainStore(t)
		k.limits = defaultLimits()
		e := login(t, k, KindPlaintext, "bot", expired(1))
		v := &spy{vault: plain{k}, commits: slices.Repeat([]error{&Error{Kind: Broken, Problem: "no"}}, 1000)}
		began := time.Now()
		s, err := v.rotate(t, t.Context(), k, e, next(2), wontDo)
		isFault(t, err, Broken)
		carries(t, s, 1)
		if took := time.Since(began); took != k.limits.store {
			t.Errorf("it took %s", took)
		}
		if tries := 1000 - len(v.commits); tries < 10 || tries > 25 {
			t.Errorf("%d tries", tries)
		}
		holds(t, k, e, 1)
	})
}

// TestCancel cancels at both sides of the call to the server.
func TestCancel(t *testing.T) {
	stop := errors.New("stopped by the user")
	t.Run("before", func(t *testing.T) {
		k := plainStore(t)
		e := login(t, k, KindPlaintext, "bot", expired(1))
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(stop)
		if _, err := k.Update(ctx, e, never(t)); !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
		holds(t, k, e, 1)
	})
	t.Run("after", func(t *testing.T) {
		k := plainStore(t)
		e := login(t, k, KindPlaintext, "bot", expired(1))
		ctx, cancel := context.WithCancelCause(t.Context())
		s, err := k.Update(ctx, e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
			cancel(stop)
			if ctx.Err() != nil {
				t.Error("the cancellation reached the call")
			}
			return next(2)(ctx, s)
		})
		if err != nil {
			t.Error(err)
		}
		carries(t, s, 2)
		holds(t, k, e, 2)
	})
}

// TestEntryCannotBeWritten returns tokens that are durable, though the list of
// sessions does not tell of them.
func TestEntryCannotBeWritten(t *testing.T) {
	var warned []string
	k := openStore(t, Options{Dir: t.TempDir(), Warn: func(what string) { warned = append(warned, what) }})
	e := login(t, k, KindPlaintext, "bot", expired(1))
	if err := os.Mkdir(k.file(e.ID, ".json.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := k.Update(t.Context(), e, next(2))
	if err != nil {
		t.Error(err)
	}
	carries(t, s, 2)
	holds(t, k, e, 2)
	if len(warned) != 1 || !strings.Contains(warned[0], "list of sessions") {
		t.Errorf("warned %q", warned)
	}
}

// TestRefreshDeadline bounds a server that never answers, whatever the caller's
// context.
func TestRefreshDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := plainStore(t)
		k.limits = defaultLimits()
		e := login(t, k, KindPlaintext, "bot", expired(1))
		began := time.Now()
		_, err := k.Update(t.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
			<-ctx.Done()
			return s, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != k.limits.fn {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		holds(t, k, e, 1)
	})
}

// TestInvalidGrant ends a session only if the record is still the one that the
// server was asked with.
func TestInvalidGrant(t *testing.T) {
	other, err := encode(session(7))
	if err != nil {
		t.Fatal(err)
	}
	locked := &Error{Kind: Locked, Problem: "the keyring is locked"}
	for _, c := range []struct {
		name  string
		read1 func() ([]byte, error)
		got   int // 0: no session
		fault Fault
		ended bool
	}{
		{name: "the same record", ended: true},
		{name: "another record", read1: func() ([]byte, error) { return other, nil }, got: 7},
		{name: "a record that cannot be read", read1: func() ([]byte, error) { return nil, locked }, fault: Locked},
		{name: "no record", read1: func() ([]byte, error) { return nil, errAbsent }, fault: Missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			var warned []string
			k := openStore(t, Options{Dir: t.TempDir(), Warn: func(what string) { warned = append(warned, what) }})
			e := login(t, k, KindPlaintext, "bot", expired(1))
			v := &spy{vault: plain{k}, read1: c.read1}
			s, err := v.rotate(t, t.Context(), k, e, fails(flow.KindEnded, "invalid_grant"), wontDo)
			switch {
			case c.ended:
				if flow.KindOf(err) != flow.KindEnded {
					t.Errorf("error: %v", err)
				}
			case c.fault != "":
				isFault(t, err, c.fault)
				if flow.KindOf(err) == flow.KindEnded || len(warned) != 1 {
					t.Errorf("the session counts as ended: %v, warned %q", err, warned)
				}
			case err != nil:
				t.Error(err)
			}
			if c.got == 0 && !s.AccessToken.Empty() {
				t.Error("a session was returned")
			}
			if c.got != 0 {
				carries(t, s, c.got)
			}
			now, err := k.Find("bot")
			if err != nil || (now.Ended != nil) != c.ended {
				t.Errorf("marked: %+v, %v", now.Ended, err)
			}
			if b, err := (plain{k}).read(t.Context(), e); err != nil || !bytes.Contains(b, []byte("refresh-canary-1")) {
				t.Errorf("the record did not stay: %v", err)
			}
		})
	}
}

// TestAdopted takes over what another process did between the first look and the
// lock.
func TestAdopted(t *testing.T) {
	for name, c := range map[string]struct {
		other func(*Keystore, Entry) error
		want  int
		is    error
	}{
		"refreshed": {func(k *Keystore, e Entry) error { _, err := k.Update(t.Context(), e, next(5)); return err }, 5, nil},
		"refreshed, and run out again": {func(k *Keystore, e Entry) error {
			_, err := k.Update(t.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
				s, err := next(5)(ctx, s)
				s.Expiry = time.Now().Add(-time.Second)
				return s, err
			})
			return err
		}, 6, nil},
		"ended": {func(k *Keystore, e Entry) error {
			_, err := k.Update(t.Context(), e, fails(flow.KindEnded, ""))
			return unless(err, flow.KindEnded)
		}, 0, ErrEnded},
		"removed": {func(k *Keystore, e Entry) error { return k.Remove(t.Context(), e, nil) }, 0, ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			k, other := openStore(t, Options{Dir: dir}), openStore(t, Options{Dir: dir})
			e := login(t, k, KindPlaintext, "bot", expired(1))
			looked := false
			s, err := k.Fresh(t.Context(), e, next(6), func(s flow.Session) bool {
				if !looked {
					looked = true
					if err := c.other(other, e); err != nil {
						t.Error(err)
					}
				}
				return false
			})
			if !errors.Is(err, c.is) {
				t.Fatalf("error: %v", err)
			}
			if c.want != 0 {
				carries(t, s, c.want)
				holds(t, k, e, c.want)
			} else if !s.AccessToken.Empty() {
				t.Error("a session that is over was returned")
			}
		})
	}
}

func unless(err error, kind flow.Kind) error {
	if flow.KindOf(err) == kind {
		return nil
	}
	return err
}

// TestTokenSourceWhileDown gives out a token that still lives while the server
// is out of reach, and none that is dead.
func TestTokenSourceWhileDown(t *testing.T) {
	old := session(1)
	old.Issued, old.Expiry = old.Issued.Add(-4*time.Minute), old.Issued.Add(20*time.Second)
	for name, c := range map[string]struct {
		session flow.Session
		refresh RefreshFunc
		works   bool
	}{
		"down, still good":    {old, fails(flow.KindTemporary, ""), true},
		"down, run out":       {expired(1), fails(flow.KindTemporary, ""), false},
		"refused, still good": {old, fails(flow.KindRefused, "invalid_request"), false},
		"ended, still good":   {old, fails(flow.KindEnded, "invalid_grant"), false},
	} {
		t.Run(name, func(t *testing.T) {
			warned := 0
			k := openStore(t, Options{Dir: t.TempDir(), Warn: func(string) { warned++ }})
			e := login(t, k, KindPlaintext, "bot", c.session)
			token, err := k.TokenSource(t.Context(), e, c.refresh).Token()
			if (err == nil) != c.works || (token != nil) != c.works || (warned == 1) != c.works {
				t.Errorf("token %v, warned %d times, error %v", token, warned, err)
			}
			if token != nil && (token.AccessToken != "access-canary-1" || !token.Valid()) {
				t.Errorf("token: %+v", token)
			}
		})
	}
}
