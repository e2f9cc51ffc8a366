package keystore

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// A slot is a place for a login that is under way in this process.
type slot struct {
	lock *fileLock
	pen  pen    // for its tokens
	note *draft // for its entry: a disk that fills up meanwhile must not undo the login
}

func (k *Keystore) slot(id string) (slot, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.slots[id]
	return s, ok
}

// release ends a slot, if there is one: what is left is an ordinary session, or
// nothing.
func (k *Keystore) release(id string) {
	k.mu.Lock()
	s, ok := k.slots[id]
	delete(k.slots, id)
	k.mu.Unlock()
	if ok {
		k.warn("A temporary file was left behind", errors.Join(s.pen.drop(), s.note.drop()))
		k.unlock(s.lock)
	}
}

// Leave ends a slot and keeps its note, for a login of which nobody knows whether
// the server has made a session: it is Abandoned.
func (k *Keystore) Leave(e Entry) { k.release(e.ID) }

// Reserve makes the slot of a login, before its code is shown: an approved login
// must not fail for want of a place. draft says what is known so far, which is
// what Abandoned tells if this process is killed. The store must be prepared.
//
// The slot ends with Name, Remove or Leave.
func (k *Keystore) Reserve(ctx context.Context, kind Kind, draft flow.Session) (Entry, error) {
	v, err := k.vault(kind)
	if err != nil {
		return Entry{}, err
	}
	if err := v.prepare(ctx, false); err != nil {
		return Entry{}, err
	}
	if err := k.makeDir(); err != nil {
		return Entry{}, err
	}
	store, err := k.storeID(ctx)
	if err != nil {
		return Entry{}, err
	}
	k.warn("What an earlier login left could not be cleared", k.sweep())
	id := rand.Text()
	e := Entry{ID: id, Kind: kind, Account: store + "/" + id, Created: now(), Pending: true}.with(draft)
	e.Updated = time.Time{}
	if err := k.reserve(ctx, v, e); err != nil {
		return Entry{}, err
	}
	return e, nil
}

// reserve locks a slot, notes it and makes sure that its tokens will have a
// place. The note comes first: by it the next login finds what a killed one left
// in the store.
func (k *Keystore) reserve(ctx context.Context, v vault, e Entry) error {
	lock, err := k.lockFile(ctx, k.file(e.ID, ".lock"))
	if err != nil {
		return err
	}
	s := slot{lock: lock}
	if err = k.writeEntry(e); err == nil {
		s.pen, err = v.open(ctx, e, nil)
	}
	if err == nil {
		if s.note, err = newDraft(k.file(e.ID, ".json"), roomFor(nil)); err != nil {
			err = errors.Join(err, s.pen.drop())
		}
	}
	if err != nil {
		// Where the store fails too, the note stays, and the next login tries again.
		if gone := v.erase(context.WithoutCancel(ctx), e); gone == nil {
			k.warn("A file was left behind", k.forget(e.ID))
		}
		k.unlock(lock)
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.slots[e.ID] = s
	return nil
}

// Fill stores the tokens of a reserved slot, durably, and reads them back; what
// the entry repeats of them is written by Name. It may be called again after a
// failure.
func (k *Keystore) Fill(ctx context.Context, e Entry, s flow.Session) (Entry, error) {
	slot, ours := k.slot(e.ID)
	if !ours {
		return e, &NotFoundError{}
	}
	data, err := encode(s)
	if err != nil {
		return e, err
	}
	if err := k.store(ctx, slot.pen, data); err != nil {
		return e, err
	}
	return e.with(s), nil
}

// Name gives a slot its name and its user. If another session has the name, it
// is an ExistsError, unless that session is over: then the slot takes the name,
// in one write, and the other becomes Pending.
func (k *Keystore) Name(ctx context.Context, e Entry, name, userID string, over *Entry) (Entry, error) {
	slot, ours := k.slot(e.ID)
	if !ours {
		return e, &NotFoundError{}
	}
	if name == "" {
		return e, errNoName
	}
	err := k.changeState(ctx, func(*state) error {
		entries, _ := k.Entries() // what cannot be read has no name
		if old, taken := named(entries, name); taken {
			if over == nil || old.ID != over.ID {
				return &ExistsError{Name: name}
			}
			if !e.Created.After(old.Created) { // the clock was set back
				e.Created = old.Created.Add(time.Nanosecond)
			}
		}
		named := e
		named.Name, named.UserID, named.Pending = name, userID, false
		if err := k.writeNote(ctx, slot, named); err != nil {
			k.warn("The name could not be given back", k.writeEntry(e)) // it may stand there all the same
			return err
		}
		e = named
		return nil
	})
	if err != nil {
		return e, err
	}
	k.release(e.ID)
	if over != nil {
		k.warn("The session before it still has its name", k.disown(ctx, name))
	}
	return e, nil
}

// writeNote puts an entry into the room that was reserved for it. It tries for a
// while, like the tokens before it: a person has approved them.
func (k *Keystore) writeNote(ctx context.Context, s slot, e Entry) error {
	b, err := encodeEntry(e)
	if err != nil {
		return err
	}
	return k.store(ctx, plainPen{s.note}, b)
}

// Remove forgets a session. If revoke is not nil, it is called first with the
// stored session, under the lock; when it fails, everything is kept, and if the
// failure is a [flow.RotatedError], its newer tokens are. An ended session, and
// a slot that never had tokens, are forgotten without it.
//
// Errors: NotFoundError (also for a Pending session that has a name by now),
// BusyError, *Error, and those of revoke. A slot ends here even with an error;
// what is left of it is Abandoned.
func (k *Keystore) Remove(ctx context.Context, e Entry, revoke func(context.Context, flow.Session) error) error {
	defer k.release(e.ID)
	v, err := k.vault(e.Kind)
	if err != nil {
		return err
	}
	if revoke != nil && e.Ended == nil {
		if err := v.prepare(ctx, false); err != nil { // may take a person's time, so not under the lock
			return err
		}
	}
	if e.Name != "" {
		if err := k.disown(ctx, e.Name); err != nil {
			return err
		}
	}
	nameless := e.Pending
	unlock, e, err := k.locked(ctx, e.ID)
	if err != nil {
		return err
	}
	defer unlock()
	if nameless {
		if err := k.stillPending(ctx, e.ID); err != nil {
			return err
		}
	}
	return k.remove(context.WithoutCancel(ctx), e, revoke)
}

// remove is Remove under the lock.
func (k *Keystore) remove(ctx context.Context, e Entry, revoke func(context.Context, flow.Session) error) error {
	v, err := k.vault(e.Kind) // it may have moved
	if err != nil {
		return err
	}
	if revoke != nil && e.Ended == nil {
		if err := k.revoke(ctx, v, e, revoke); err != nil {
			return err
		}
		// A failure from here on must not leave one that looks alive. Where the
		// note finds no room, the tokens make some as they go.
		if k.end(e, "logged out") != nil {
			if err := v.erase(ctx, e); err != nil {
				return err
			}
			k.warn("The end of the session could not be noted", k.end(e, "logged out"))
		}
	}
	if err := v.erase(ctx, e); err != nil {
		return err
	}
	if _, err := k.tidy(ctx, e); err != nil {
		return err
	}
	return k.forget(e.ID)
}

// stillPending makes sure that a session is without a name still: the login that
// it was a slot of may have been finished since it was looked at, and so may the
// undoing of one that had taken its name. The session's lock must be held.
func (k *Keystore) stillPending(ctx context.Context, id string) error {
	if _, ours := k.slot(id); ours {
		return nil
	}
	return k.changeState(ctx, func(*state) error {
		entries, _ := k.Entries() // what cannot be read has no name
		for _, e := range entries {
			if e.ID == id && !e.Pending {
				return &NotFoundError{}
			}
		}
		return nil
	})
}

// revoke ends a session at the server. Tokens that rotate in its course are
// stored.
func (k *Keystore) revoke(ctx context.Context, v vault, e Entry, revoke func(context.Context, flow.Session) error) error {
	before, err := v.read(ctx, e)
	if errors.Is(err, errAbsent) && e.Updated.IsZero() {
		return nil
	}
	if err != nil {
		return k.absent(e, err)
	}
	s, err := e.decode(before)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, k.limits.revoke)
	defer cancel()
	err = revoke(limit, s)
	var rotated *flow.RotatedError
	if !errors.As(err, &rotated) {
		return err
	}
	pen, lost := v.open(ctx, e, before)
	if lost == nil {
		lost = k.write(ctx, pen, e, before, rotated.Session)
		k.warn("A temporary file was left behind", pen.drop())
	}
	return errors.Join(err, lost)
}

// forget removes what is left of a session without tokens, whose lock is held.
// The lock file goes last. Whoever waits for it sees that it is not the one
// under its name any more, and finds no session.
func (k *Keystore) forget(id string) error {
	if err := eraseFile(k.file(id, ".json")); err != nil {
		return err
	}
	_ = remove(k.file(id, ".lock")) // Windows keeps a file that is open; see sweep
	return nil
}

// sweep clears what processes left that were killed between two files: locks and
// drafts of sessions that are not there. Damaged entries are put aside. It
// touches nothing that may hold tokens.
func (k *Keystore) sweep() error {
	files, err := os.ReadDir(k.sessionsDir())
	if err != nil {
		return fileError(k.sessionsDir(), err)
	}
	for _, f := range files {
		id, suffix, _ := strings.Cut(f.Name(), ".")
		switch suffix {
		case "json":
			if _, bad := k.readEntry(id); broken(bad) {
				err = errors.Join(err, k.putAside(k.file(id, ".json")))
			}
		case "lock", "json.tmp":
			err = errors.Join(err, k.sweepLock(id))
		}
	}
	return err
}

func (k *Keystore) sweepLock(id string) error {
	if _, err := os.Lstat(k.file(id, ".json")); err == nil {
		return nil
	}
	lock, err := tryLock(k.file(id, ".lock"))
	if lock == nil || err != nil {
		return err
	}
	defer k.unlock(lock)
	if _, err := os.Lstat(k.file(id, ".json")); errors.Is(err, fs.ErrNotExist) { // it may have come meanwhile
		return k.forget(id)
	}
	return nil
}
