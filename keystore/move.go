package keystore

import (
	"bytes"
	"context"
	"errors"
)

// Move puts the tokens of a session into a store of another kind: it copies them
// there, reads them back, switches the entry in one write, and only then empties
// the old place. Whoever reads or updates the session meanwhile finds it. The
// store must be prepared.
//
// Killed in between, the session is whole in one of the two places, and the entry
// says in which; the copy that may lie in the other is noted in it (Entry.Also),
// and goes with the next Move or Remove. With an error and an Entry whose Kind is
// the new one, the tokens have moved and the old place could not be emptied.
//
// Errors: EndedError, NotFoundError, BusyError and *Error.
func (k *Keystore) Move(ctx context.Context, e Entry, to Kind) (Entry, error) {
	from, err := k.vault(e.Kind)
	if err != nil {
		return e, err
	}
	dest, err := k.vault(to)
	if err != nil {
		return e, err
	}
	for _, v := range []vault{from, dest} { // may take a person's time, so not under the lock
		if err := v.prepare(ctx, false); err != nil {
			return e, err
		}
	}
	unlock, now, err := k.locked(ctx, e.ID)
	if err != nil {
		return e, err
	}
	if now.Kind != e.Kind && now.Kind != to { // moved since it was looked at
		unlock()
		return k.Move(ctx, now, to)
	}
	defer unlock()
	if now.Ended != nil {
		return now, &EndedError{Name: now.Name, Server: now.Server, Ended: *now.Ended}
	}
	ctx = context.WithoutCancel(ctx)
	if now.Also != "" && now.Also != to || now.Kind == to {
		if now, err = k.tidy(ctx, now); err != nil {
			return now, err
		}
	}
	if now.Kind == to {
		return now, nil
	}
	return k.move(ctx, from, dest, now, to)
}

// move is Move under the lock.
func (k *Keystore) move(ctx context.Context, from, dest vault, e Entry, to Kind) (Entry, error) {
	data, err := from.read(ctx, e)
	if err != nil {
		return e, k.absent(e, err)
	}
	if _, err := e.decode(data); err != nil {
		return e, err
	}
	noted := e
	noted.Also = to // before anything is there: what a killed process leaves must be known
	if err := k.writeEntry(noted); err != nil {
		return e, err
	}
	if err := k.copyTo(ctx, dest, noted, data); err != nil {
		_, left := k.tidy(ctx, noted)
		k.warn("A copy of the session may have been left behind", left)
		return e, err
	}
	moved := e
	moved.Kind, moved.Also = to, e.Kind
	if err := k.writeEntry(moved); err != nil {
		return e, err // both places are good, and noted
	}
	return k.tidy(ctx, moved)
}

// copyTo stores a record and reads it back.
func (k *Keystore) copyTo(ctx context.Context, dest vault, e Entry, data []byte) error {
	pen, err := dest.open(ctx, e, nil)
	if err != nil {
		return err
	}
	defer func() { k.warn("A temporary file was left behind", pen.drop()) }()
	if err := k.store(ctx, pen, data); err != nil {
		return err
	}
	back, err := dest.read(ctx, e)
	if err == nil && !bytes.Equal(back, data) {
		err = errors.New("another record")
	}
	if err != nil {
		return &Error{Kind: Broken, Store: e.Also, Problem: "what was stored cannot be read back", Err: err}
	}
	return nil
}

// tidy empties the place where a copy may lie, and notes that. The session's lock
// must be held.
func (k *Keystore) tidy(ctx context.Context, e Entry) (Entry, error) {
	if e.Also == "" {
		return e, nil
	}
	v, err := k.vault(e.Also)
	if err != nil {
		return e, err
	}
	if err := v.erase(ctx, e); err != nil {
		return e, err
	}
	e.Also = ""
	return e, k.writeEntry(e)
}
