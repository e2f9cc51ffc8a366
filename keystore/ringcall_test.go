package keystore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestQueue has more goroutines ask at once than the keyring answers within the
// time of one call. That is no frozen keyring.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := plainStore(t)
		began := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := k.ring.bounded(t.Context(), 3*time.Second, func(context.Context) error {
					time.Sleep(time.Second)
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != 100*time.Second {
			t.Errorf("calls overlapped: 100 of a second took %s", took)
		}
	})
}

// TestGivenUp has one call that takes far too long. It and those that wait for it
// are given up in time; when it ends, the next call works, and what waited for
// its end goes on.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := plainStore(t)
		const limit = 3 * time.Second
		var ended, unlocked atomic.Bool
		slow := func(context.Context) error { time.Sleep(time.Minute); ended.Store(true); return nil }
		quick := func(context.Context) error { return nil }
		began := time.Now()
		isFault(t, k.ring.bounded(t.Context(), limit, slow), Frozen)
		k.ring.turn.afterwards(func() { unlocked.Store(true) })
		isFault(t, k.ring.bounded(t.Context(), limit, quick), Frozen)
		if took := time.Since(began); took != 2*limit || unlocked.Load() {
			t.Errorf("it took %s, unlocked %v", took, unlocked.Load())
		}
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stop) })
		if err := k.ring.bounded(ctx, limit, quick); !errors.Is(err, stop) {
			t.Errorf("cancelled: %v", err)
		}
		ctx, over := context.WithTimeout(t.Context(), time.Second)
		defer over()
		isFault(t, k.ring.bounded(ctx, limit, quick), Frozen)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !ended.Load() || !unlocked.Load() {
			t.Errorf("ended %v, unlocked %v", ended.Load(), unlocked.Load())
		}
		if err := k.ring.bounded(t.Context(), limit, quick); err != nil {
			t.Errorf("after its end: %v", err)
		}
	})
}

// TestPanic turns a panic of the library into an error.
func TestPanic(t *testing.T) {
	k := plainStore(t)
	for range 2 {
		isFault(t, k.ring.bounded(t.Context(), time.Second, func(context.Context) error { panic("canary") }), Broken)
	}
}
