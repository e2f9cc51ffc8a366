package main

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

// How "token --follow" waits.
const (
	lookEvery    = time.Second      // how soon a token that another process brought is seen
	backoffLeast = time.Second      // after the first failure; twice that after the next …
	backoffMost  = time.Minute      // … up to this
	retryMost    = 5 * time.Minute  // the longest Retry-After that is waited for
	deadPause    = 10 * time.Second // where the server gives tokens that are dead on arrival
)

// A follower hands over the tokens of one session as they come, until its reader
// is gone, the session has ended, or a signal comes.
//
// The server takes an access token back when it gives the next one, so a follower
// has it done as late as its need allows, and hands the next one over at once.
// Where another process refreshes the session, that is seen within a second.
type follower struct {
	*app
	store   *keystore.Keystore
	need    need
	entry   keystore.Entry // as it was when the token in hand was read
	deliver func(handout) error
	gone    func() bool // nobody reads any more

	hand   flow.Session // what was handed over last
	warned bool         // of another consumer
	trouble
}

// A trouble is what keeps new tokens from coming.
type trouble struct {
	since time.Time     // zero: there is none
	pause time.Duration // between the last try and the next
	next  time.Time     // no try before
	dead  bool          // it was told that the token in hand has run out
}

// follow hands over the token, and each one after it.
func (a *app) follow(ctx context.Context, k *keystore.Keystore, e keystore.Entry, o tokenOptions, deliver func(handout) error) error {
	signal.Ignore(syscall.SIGPIPE) // a reader that is gone is the usual end
	f := &follower{app: a, store: k, need: need{ttl: o.ttl}, entry: e, deliver: deliver, gone: func() bool { return false }}
	if o.write == "" {
		f.gone = func() bool { return readerGone(a.out) }
	}
	for {
		err := f.step(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, syscall.EPIPE), err == nil && f.gone():
			return nil
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(f.nap()):
		}
	}
}

// nap is how long nothing can happen: a second, less for tokens that live
// for seconds.
func (f *follower) nap() time.Duration {
	life := f.hand.Expiry.Sub(f.hand.Issued)
	if f.hand.Expiry.IsZero() || life <= 0 {
		return lookEvery
	}
	return max(min(lookEvery, life/20), 20*time.Millisecond)
}

// step looks once, and does what has become due.
func (f *follower) step(ctx context.Context) error {
	e, err := f.look()
	if err != nil {
		return f.failed(err)
	}
	moved := e.ID != f.entry.ID || e.Kind != f.entry.Kind || !e.Updated.Equal(f.entry.Updated) || e.Ended != nil
	now := time.Now()
	if !moved && (now.Before(f.next) || f.need.met(f.hand)) {
		f.runsOut(now)
		return nil
	}
	s, err := f.store.Fresh(ctx, e, f.refresh, f.need.met)
	if err != nil {
		return f.failed(err)
	}
	f.entry = e
	return f.arrived(s)
}

// look finds the session again: it may have another name by now, or another
// login may have taken its place.
func (f *follower) look() (keystore.Entry, error) {
	entries, err := f.store.Entries()
	for _, e := range entries {
		if e.ID == f.entry.ID && !e.Pending {
			return e, nil
		}
	}
	for _, e := range entries {
		if e.Name == f.entry.Name && !e.Pending {
			return e, nil
		}
	}
	if err == nil {
		err = &keystore.NotFoundError{Name: f.entry.Name}
	}
	return keystore.Entry{}, err
}

// arrived hands over a token that is another one than before.
func (f *follower) arrived(s flow.Session) error {
	if !f.since.IsZero() {
		f.say("mxauth: %s answers again.", f.entry.Server)
	}
	f.trouble = trouble{}
	if !f.need.met(s) {
		f.next = time.Now().Add(deadPause)
	}
	if s.AccessToken.Equal(f.hand.AccessToken) {
		f.hand = s
		return nil
	}
	f.others()
	h, err := handoutOf(s)
	if err != nil {
		return err
	}
	f.hand = s
	return f.deliver(h)
}

// others tells of a second consumer: the token in hand would have done, so it was
// somebody else who had it replaced. It is told once.
func (f *follower) others() {
	if f.warned || f.hand.AccessToken.Empty() || !f.need.met(f.hand) {
		return
	}
	f.warned = true
	f.say("mxauth: another process refreshed %s, and with that the token before is dead. Give each consumer a session of its own: mxauth login %s --name NAME", f.entry.Name, loginTarget(f.entry))
}

// failed waits out what goes away by itself, and tells of it once.
func (f *follower) failed(err error) error {
	if !exit.Retryable(exit.Code(err)) {
		return err
	}
	now := time.Now()
	f.pause = min(max(2*f.pause, backoffLeast), backoffMost)
	var server *flow.Error
	if errors.As(err, &server) {
		f.pause = min(max(f.pause, server.RetryAfter), retryMost)
	}
	f.next = now.Add(f.pause)
	if f.since.IsZero() {
		f.since = now
		f.say("mxauth: %s. The session is kept; trying on.", oneLine(err))
	}
	f.runsOut(now)
	return nil
}

// runsOut tells when the token in hand dies and there is none to follow it.
func (f *follower) runsOut(now time.Time) {
	if f.since.IsZero() || f.dead || f.hand.AccessToken.Empty() || f.hand.Lasts(now, 0) {
		return
	}
	f.dead = true
	f.say("mxauth: the token of %s has run out, and there is no new one yet.", f.entry.Name)
}
