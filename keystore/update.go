package keystore

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// A RefreshFunc asks the server for new tokens, as [flow.Agent.Refresh] does.
type RefreshFunc func(context.Context, flow.Session) (flow.Session, error)

// Get returns a session as it is stored: one read, no lock. Its access token may
// be old.
//
// Errors: EndedError, NotFoundError, and *Error for the store.
func (k *Keystore) Get(ctx context.Context, e Entry) (flow.Session, error) {
	if e.Ended != nil {
		return flow.Session{}, &EndedError{Name: e.Name, Server: e.Server, Ended: *e.Ended}
	}
	v, err := k.vault(e.Kind)
	if err != nil {
		return flow.Session{}, err
	}
	s, err := k.read(ctx, v, e)
	if errors.Is(err, errAbsent) { // logged out in this moment?
		current, changed := k.readEntry(e.ID)
		switch {
		case errors.Is(changed, ErrNotFound):
			err = &NotFoundError{Name: e.Name}
		case changed == nil && current.Ended != nil:
			err = &EndedError{Name: e.Name, Server: e.Server, Ended: *current.Ended}
		case changed == nil && current.Kind != e.Kind: // moved in this moment
			return k.Get(ctx, current)
		}
	}
	if err == nil {
		err = k.settle(e, s)
	}
	return s, k.absent(e, err)
}

// settle makes sure that what was read is durable. Whoever stores tokens renames
// a file, syncs the folder, and then writes the entry: tokens that the entry does
// not know yet may not outlive a loss of power, if their writer is between the
// two or was killed there. A use of them would end what the loss brings back.
func (k *Keystore) settle(e Entry, s flow.Session) error {
	if e.Expiry.Equal(s.Expiry) && !s.Expiry.IsZero() {
		return nil
	}
	current, err := k.readEntry(e.ID) // e may have been read long ago
	if err == nil && current.Expiry.Equal(s.Expiry) && !s.Expiry.IsZero() {
		return nil
	}
	if e.Kind == KindKeyring {
		if err := k.ring.sync(); err != nil {
			return err
		}
	}
	return fileError(k.sessionsDir(), syncDir(k.sessionsDir()))
}

// read reads and decodes the record of a session. What the record does not hold
// is added from the entry.
func (k *Keystore) read(ctx context.Context, v vault, e Entry) (flow.Session, error) {
	b, err := v.read(ctx, e)
	if err != nil {
		return flow.Session{}, err
	}
	return e.decode(b)
}

func (e Entry) decode(b []byte) (flow.Session, error) {
	s, err := decode(b)
	if err != nil {
		return flow.Session{}, err
	}
	s.UserID = e.UserID
	return s, nil
}

// absent words the lack of a record that should be there.
func (k *Keystore) absent(e Entry, err error) error {
	if !errors.Is(err, errAbsent) {
		return err
	}
	return &Error{Kind: Missing, Store: e.Kind, Problem: "there are no tokens for this session in " + e.Kind.Words()}
}

// Fresh returns a session whose access token is good enough, refreshed if it
// must be. If another process refreshed it meanwhile, that is taken, even where
// it is not enough: the server would give no better one.
//
// A failed refresh returns the session as it is stored beside the error: its
// access token may still have some life. Errors are those of Get, Update and
// refresh.
func (k *Keystore) Fresh(ctx context.Context, e Entry, refresh RefreshFunc, enough func(flow.Session) bool) (flow.Session, error) {
	seen, err := k.Get(ctx, e)
	if err != nil || enough(seen) {
		return seen, err
	}
	return k.update(ctx, e, refresh, func(stored flow.Session) bool {
		return enough(stored) || !stored.AccessToken.Equal(seen.AccessToken) && stored.Lasts(time.Now(), 0)
	})
}

// Update changes the tokens of a session: lock, read, make sure that the store
// can be written, refresh, store, read back, unlock. The session that it returns
// is durable. Where refresh or storing fails, it is the one that is stored.
//
// refresh is not called if the store cannot be written. When it says that the
// session has ended (flow.KindEnded), the entry is marked and the record kept,
// unless the record has changed behind the lock. From the call on, ctx stops
// nothing any more.
//
// Errors: EndedError, NotFoundError, BusyError, *Error, and those of refresh.
func (k *Keystore) Update(ctx context.Context, e Entry, refresh RefreshFunc) (flow.Session, error) {
	return k.update(ctx, e, refresh, func(flow.Session) bool { return false })
}

// update is Update, unless what is stored will do.
func (k *Keystore) update(ctx context.Context, e Entry, refresh RefreshFunc, will func(flow.Session) bool) (flow.Session, error) {
	v, err := k.vault(e.Kind)
	if err != nil {
		return flow.Session{}, err
	}
	if err := v.prepare(ctx, false); err != nil { // may take a person's time, so not under the lock
		return flow.Session{}, err
	}
	unlock, current, err := k.locked(ctx, e.ID)
	if err != nil {
		return flow.Session{}, err
	}
	if current.Kind != e.Kind { // moved since it was looked at: the other store may take a person's time too
		unlock()
		return k.update(ctx, current, refresh, will)
	}
	defer unlock()
	if current.Ended != nil {
		return flow.Session{}, &EndedError{Name: current.Name, Server: current.Server, Ended: *current.Ended}
	}
	return k.rotate(ctx, v, current, refresh, will)
}

// rotate is update under the lock.
func (k *Keystore) rotate(ctx context.Context, v vault, e Entry, refresh RefreshFunc, will func(flow.Session) bool) (flow.Session, error) {
	before, err := v.read(ctx, e)
	if err != nil {
		return flow.Session{}, k.absent(e, err)
	}
	s, err := e.decode(before)
	if err != nil {
		return s, err
	}
	if will(s) {
		return s, k.settle(e, s)
	}
	pen, err := v.open(ctx, e, before)
	if err != nil {
		return s, err
	}
	defer func() { k.warn("A temporary file was left behind", pen.drop()) }()
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx)
	next, err := k.ask(ctx, refresh, s)
	switch {
	case err != nil && flow.KindOf(err) == flow.KindEnded:
		return k.ended(ctx, v, e, before, err)
	case err != nil:
		return s, err
	}
	if err := k.write(ctx, pen, e, before, next); err != nil {
		return s, err
	}
	return next, nil
}

// write stores a session in the place of before.
func (k *Keystore) write(ctx context.Context, p pen, e Entry, before []byte, next flow.Session) error {
	after, err := encode(next)
	if err != nil || bytes.Equal(after, before) {
		return err
	}
	if err := k.store(ctx, p, after); err != nil {
		return err
	}
	k.warn("The list of sessions could not be brought up to date", k.writeEntry(e.with(next)))
	return nil
}

func (k *Keystore) ask(ctx context.Context, refresh RefreshFunc, s flow.Session) (flow.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, k.limits.fn)
	defer cancel()
	return refresh(ctx, s)
}

// ended believes that a session is over only if the record is still the one that
// was asked with: a lock that does not reach another host would let it change. A
// record that cannot be read again proves nothing, so that is the error then.
func (k *Keystore) ended(ctx context.Context, v vault, e Entry, before []byte, cause error) (flow.Session, error) {
	stored, err := v.read(ctx, e)
	if err != nil {
		k.warn("The server refused the refresh", cause)
		return flow.Session{}, k.absent(e, err)
	}
	if !bytes.Equal(stored, before) {
		return e.decode(stored)
	}
	reason := "the server ended it"
	var oauth *flow.Error
	if errors.As(cause, &oauth) && oauth.Code != "" {
		reason = oauth.Code
	}
	k.warn("The end of the session could not be noted", k.end(e, reason))
	return flow.Session{}, cause
}

// store commits tokens that the server has handed out. It tries for a while: a
// server that is strict about rotation gives them only once.
func (k *Keystore) store(ctx context.Context, p pen, data []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.limits.store)
	defer cancel()
	var why error
	for {
		err := p.commit(ctx, data)
		if why == nil || ctx.Err() == nil { // the end of the time explains nothing
			why = err
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return why
		case <-time.After(k.limits.again):
		}
	}
}
