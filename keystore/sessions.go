package keystore

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// entryFile is sessions/ID.json.
type entryFile struct {
	Version int `json:"version"`
	Entry   `json:",inline"`
}

// Entries returns every session that is known here, pending ones too, in the
// order of their names. It asks no store and no server. An entry that cannot be
// read does not hide the others: they are returned beside the error.
func (k *Keystore) Entries() ([]Entry, error) {
	files, err := os.ReadDir(k.sessionsDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileError(k.sessionsDir(), err)
	}
	var entries []Entry
	var bad error
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok {
			continue
		}
		e, err := k.readEntry(id)
		switch {
		case errors.Is(err, ErrNotFound): // removed in this moment
		case err != nil:
			bad = errors.Join(bad, err)
		default:
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	for i := range entries { // of two with one name the newer has it, see Name
		e := &entries[i]
		e.Pending = e.Name == "" || i > 0 && entries[i-1].Name == e.Name
	}
	return entries, bad
}

// Find returns the session that has a name.
func (k *Keystore) Find(name string) (Entry, error) {
	entries, err := k.Entries()
	if e, ok := named(entries, name); ok {
		return e, nil
	}
	if err != nil { // the one that cannot be read may be the one that is meant
		return Entry{}, err
	}
	return Entry{}, &NotFoundError{Name: name}
}

// Abandoned returns what killed logins left behind: slots without a name that
// no process works on. They are removed with Remove. An Entry whose Updated is
// zero has no tokens here; if its login was approved all the same, its device
// stands in the account page.
func (k *Keystore) Abandoned() ([]Entry, error) {
	entries, err := k.Entries()
	var out []Entry
	for _, e := range entries {
		if !e.Pending {
			continue
		}
		lock, lockErr := tryLock(k.file(e.ID, ".lock"))
		if lockErr != nil {
			err = errors.Join(err, lockErr)
		}
		if lock != nil {
			lock.unlock()
			out = append(out, e)
		}
	}
	return out, err
}

// Rename gives a session another name.
func (k *Keystore) Rename(ctx context.Context, from, to string) error {
	e, err := k.Find(from)
	if err != nil {
		return err
	}
	if to == "" {
		return errNoName
	}
	if err := k.disown(ctx, from); err != nil {
		return err
	}
	unlock, e, err := k.locked(ctx, e.ID)
	if err != nil {
		return err
	}
	defer unlock()
	if e.Name != from { // renamed in this moment
		return &NotFoundError{Name: from}
	}
	return k.changeState(ctx, func(s *state) error {
		entries, err := k.Entries()
		if err != nil {
			return err
		}
		if _, taken := named(entries, to); taken && to != from {
			return &ExistsError{Name: to}
		}
		e.Name = to
		if s.Default == from {
			s.Default = to
		}
		return k.writeEntry(e)
	})
}

// readEntry reads sessions/ID.json; a missing one is a NotFoundError.
func (k *Keystore) readEntry(id string) (Entry, error) {
	path := k.file(id, ".json")
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Entry{}, &NotFoundError{}
	}
	if err != nil {
		return Entry{}, err
	}
	if err := checkVersion(b); err != nil {
		return Entry{}, at(path, err)
	}
	var f entryFile
	if err := json.Unmarshal(b, &f); err != nil || f.ID != id {
		return Entry{}, &Error{Kind: Broken, Problem: "the session's file is damaged", Path: path}
	}
	f.Pending = f.Name == ""
	return f.Entry, nil
}

// writeEntry replaces sessions/ID.json. The session's lock must be held.
func (k *Keystore) writeEntry(e Entry) error {
	b, err := encodeEntry(e)
	if err != nil {
		return err
	}
	return writeFile(k.file(e.ID, ".json"), b)
}

func encodeEntry(e Entry) ([]byte, error) {
	b, err := json.Marshal(entryFile{Version: formatVersion, Entry: e})
	if err != nil {
		return nil, &Error{Kind: Broken, Problem: "the session's file cannot be written as JSON", Err: err}
	}
	return b, nil
}

// disown takes the name from sessions that another one took it from: a killed
// process, or a server that did not answer, may have left them, and they must
// not come back under it when the one that has it goes.
func (k *Keystore) disown(ctx context.Context, name string) error {
	entries, _ := k.Entries() // what cannot be read has no name
	for _, old := range entries {
		if !old.Pending || old.Name != name {
			continue
		}
		unlock, e, err := k.locked(ctx, old.ID)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		e.Name = ""
		err = k.writeEntry(e)
		unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// locked takes the lock of a session and reads what is known of it. A slot that
// was reserved here is locked already, and stays so.
func (k *Keystore) locked(ctx context.Context, id string) (unlock func(), e Entry, err error) {
	unlock = func() {}
	if _, ours := k.slot(id); !ours {
		if err := k.private(); errors.Is(err, fs.ErrNotExist) {
			return nil, e, &NotFoundError{}
		} else if err != nil {
			return nil, e, err
		}
		lock, err := k.lockFile(ctx, k.file(id, ".lock"))
		if err != nil {
			return nil, e, err
		}
		unlock = func() { k.unlock(lock) }
	}
	e, err = k.readEntry(id)
	if errors.Is(err, ErrNotFound) {
		_ = remove(k.file(id, ".lock")) // made again by waiting for it
	}
	if err != nil {
		unlock()
		return nil, e, err
	}
	return unlock, e, nil
}

// unlock frees a session's lock. A call of the keyring that was given up may
// still take effect; as long as it may, nobody else shall write.
func (k *Keystore) unlock(l *fileLock) { k.ring.turn.afterwards(l.unlock) }

// end marks a session as ended. Its record stays: it is what a diagnosis needs.
func (k *Keystore) end(e Entry, reason string) error {
	e.Ended = &Ended{At: now(), Reason: reason}
	return k.writeEntry(e)
}
