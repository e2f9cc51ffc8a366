package keystore

import "context"

// A turn lets one goroutine through at a time. Unlike a mutex it can be waited
// for with a deadline.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits for the turn; the error is the context's cause.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t turn) give() { <-t }

// afterwards calls f when nobody has the turn: at once, or when whoever has it
// gave it back.
func (t turn) afterwards(f func()) {
	select {
	case t <- struct{}{}:
		t.give()
		f()
	default:
		go func() {
			t <- struct{}{}
			t.give()
			f()
		}()
	}
}
