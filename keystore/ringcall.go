package keystore

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
)

// service is under which name items stand in the keyring.
const service = "mxauth"

// This file is all that asks go-keyring, which waits for ever where a keyring
// does not answer, starts a bus where there is none, and reports success that is
// none. So every call follows a probe that found an open keyring, runs in a
// goroutine with a deadline, and what it wrote is read back.

func (r *ring) probe(ctx context.Context) error {
	return r.bounded(ctx, r.k.limits.probe, probeRing)
}

// prepare makes sure that the keyring is open. It is unlocked, if somebody is
// there to do it.
func (r *ring) prepare(ctx context.Context, _ bool) error {
	err := r.probe(ctx)
	var e *Error
	if !errors.As(err, &e) || e.Kind != Locked || !r.k.opts.Interactive || !canPrompt() {
		return err
	}
	r.k.waiting("Waiting for the keyring to be unlocked.")
	err = r.bounded(ctx, r.k.limits.person, func(context.Context) error {
		_, err := keyring.Get(service, "-") // there is none, but it unlocks
		return err
	})
	if errors.Is(err, errAbsent) {
		return nil
	}
	return err
}

// call runs one call of go-keyring. An open keyring may still ask a person about
// the item.
func (r *ring) call(ctx context.Context, f func() error) error {
	if err := r.prepare(ctx, false); err != nil {
		return err
	}
	limit := r.k.limits.ring
	if r.k.opts.Interactive && canPrompt() {
		limit = r.k.limits.person
	}
	defer r.k.slow("Waiting for the keyring.")()
	return r.bounded(ctx, limit, func(context.Context) error { return f() })
}

// bounded gives a call a deadline. A call that is given up may still take
// effect, so it keeps its turn until it ends, and the next one waits for that.
func (r *ring) bounded(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	if err := r.queue(ctx, limit); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	result := make(chan error, 1)
	go func() {
		defer r.turn.give()
		defer r.finished.Add(1)
		result <- survive(func() error { return f(limited) })
	}()
	defer cancel()
	select {
	case err := <-result:
		return ringError(err)
	case <-limited.Done():
		return gaveUp(ctx, limit)
	}
}

// survive turns a panic into an error: go-keyring panics when the bus ends while
// a person is asked, and at answers that are not what it expects.
func survive(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = &Error{Kind: Broken, Store: KindKeyring, Problem: "the keyring ended, or gave an answer that makes no sense"}
		}
	}()
	return f()
}

// queue waits for the turn for as long as calls come back. It gives up when the
// one that is under way takes longer than limit.
func (r *ring) queue(ctx context.Context, limit time.Duration) error {
	for {
		before := r.finished.Load()
		limited, cancel := context.WithTimeout(ctx, limit)
		err := r.turn.take(limited)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil || r.finished.Load() == before:
			return gaveUp(ctx, limit)
		}
	}
}

// gaveUp says why a call was not waited for any longer.
func gaveUp(ctx context.Context, limit time.Duration) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	return &Error{Kind: Frozen, Store: KindKeyring, Problem: "the keyring did not answer within " + limit.String()}
}

// ringError tells what go-keyring's errors mean.
func ringError(err error) error {
	var known *Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, errUnusual):
		return err
	case errors.Is(err, keyring.ErrNotFound):
		return errAbsent
	case errors.Is(err, keyring.ErrUnsupportedPlatform):
		return &Error{Kind: Missing, Store: KindKeyring, Problem: "there is no OS keyring on this platform"}
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return &Error{Kind: Broken, Store: KindKeyring, Problem: "the keyring takes no item of this size"}
	case strings.Contains(err.Error(), "failed to unlock"), strings.Contains(err.Error(), "exit status 36"):
		return &Error{Kind: Locked, Store: KindKeyring, Problem: "the keyring is locked"}
	}
	return &Error{Kind: Broken, Store: KindKeyring, Problem: "the keyring failed", Err: err}
}

// errUnusual is what quickItem says where go-keyring has to be asked.
var errUnusual = errors.New("not the usual item in an open keyring")

// get reads one item. An empty one is none: gnome-keyring leaves such behind
// when it dies in its first write.
func (r *ring) get(ctx context.Context, e Entry) ([]byte, error) {
	var value string
	defer r.k.slow("Waiting for the keyring.")()
	err := r.bounded(ctx, r.k.limits.ring, func(ctx context.Context) error {
		var err error
		value, err = quickItem(ctx, e.Account)
		return err
	})
	if errors.Is(err, errUnusual) {
		err = r.call(ctx, func() error {
			var err error
			value, err = keyring.Get(service, e.Account)
			return err
		})
	}
	if err != nil { // value may be written yet, by a call that was given up
		return nil, err
	}
	if value == "" {
		return nil, errAbsent
	}
	return []byte(value), nil
}

func (r *ring) delete(ctx context.Context, e Entry) error {
	if err := r.call(ctx, func() error { return keyring.Delete(service, e.Account) }); err != nil {
		return err
	}
	return r.sync()
}

// set writes one item durably and reads it back. Nothing is deleted where that shows
// something else: it may be the old record, and all that there is.
func (r *ring) set(ctx context.Context, e Entry, value []byte) error {
	if err := r.call(ctx, func() error { return keyring.Set(service, e.Account, string(value)) }); err != nil {
		return err
	}
	if err := r.sync(); err != nil {
		return err
	}
	back, err := r.get(ctx, e)
	if err != nil && !errors.Is(err, errAbsent) {
		return err
	}
	if !bytes.Equal(back, value) {
		return &Error{Kind: Broken, Store: KindKeyring, Problem: "the keyring did not keep what was written"}
	}
	return nil
}
