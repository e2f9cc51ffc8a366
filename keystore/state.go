package keystore

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
)

// state is what lies in state.json.
type state struct {
	Version int    `json:"version"`
	StoreID string `json:"store_id"`         // random; part of the names of keyring items
	Default string `json:"default,omitzero"` // name of the session that is meant when none is named
}

func (k *Keystore) statePath() string   { return filepath.Join(k.opts.Dir, "state.json") }
func (k *Keystore) sessionsDir() string { return filepath.Join(k.opts.Dir, "sessions") }

// file names a file of a session.
func (k *Keystore) file(id, suffix string) string {
	return filepath.Join(k.sessionsDir(), id+suffix)
}

// readState reads state.json; a missing one is a state without a store ID.
func (k *Keystore) readState() (state, error) {
	b, err := readFile(k.statePath())
	if errors.Is(err, fs.ErrNotExist) {
		return state{Version: formatVersion}, nil
	}
	if err != nil {
		return state{}, err
	}
	if err := checkVersion(b); err != nil {
		return state{}, at(k.statePath(), err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, &Error{Kind: Broken, Problem: "the state file is damaged", Path: k.statePath()}
	}
	return s, nil
}

// lockState takes the lock that serialises names and keys. Who holds a session's
// lock may wait for it, never the other way round.
func (k *Keystore) lockState(ctx context.Context) (*fileLock, error) {
	return k.lockFile(ctx, filepath.Join(k.opts.Dir, "state.lock"))
}

// changeState changes state.json. change may read and write sessions too: it is
// called under the lock that serialises names. If it returns an error, state.json
// stays as it is.
func (k *Keystore) changeState(ctx context.Context, change func(*state) error) error {
	lock, err := k.lockState(ctx)
	if err != nil {
		return err
	}
	defer lock.unlock()
	before, err := k.readState()
	if err != nil {
		return err
	}
	return k.writeState(before, change)
}

func (k *Keystore) writeState(before state, change func(*state) error) error {
	after := before
	if err := change(&after); err != nil || after == before {
		return err
	}
	b, err := json.Marshal(after)
	if err != nil {
		return &Error{Kind: Broken, Problem: "the state cannot be written as JSON", Err: err}
	}
	return writeFile(k.statePath(), b)
}

// storeID returns the random name of this store, which it makes at the first
// login. Damaged files are put aside here: they hold nothing that a login needs.
func (k *Keystore) storeID(ctx context.Context) (string, error) {
	lock, err := k.lockState(ctx)
	if err != nil {
		return "", err
	}
	defer lock.unlock()
	before, err := k.readState()
	if broken(err) {
		before, err = state{Version: formatVersion}, k.putAside(k.statePath())
	}
	if err != nil {
		return "", err
	}
	var id string
	err = k.writeState(before, func(s *state) error {
		if s.StoreID == "" {
			s.StoreID = rand.Text()
		}
		id = s.StoreID
		return nil
	})
	return id, err
}

// putAside renames a damaged file, so that it is in nobody's way and can still
// be looked at.
func (k *Keystore) putAside(path string) error {
	aside := path + ".damaged"
	if err := os.Rename(path, aside); err != nil {
		return fileError(path, err)
	}
	k.warn("A damaged file was put aside", &Error{Kind: Broken, Problem: "it is kept under another name", Path: aside})
	return nil
}

// broken reports whether a file is there and makes no sense.
func broken(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == Broken && e.Err == nil
}

// Use makes a session the one that is meant when none is named.
func (k *Keystore) Use(ctx context.Context, name string) error {
	if _, err := k.Find(name); err != nil {
		return err
	}
	return k.changeState(ctx, func(s *state) error {
		s.Default = name
		return nil
	})
}

// Default returns the session that Use picked, or the only one. Otherwise it is
// a NotFoundError or an AmbiguousError.
func (k *Keystore) Default() (Entry, error) {
	s, err := k.readState()
	if err != nil {
		return Entry{}, err
	}
	entries, err := k.Entries()
	var named []Entry
	many := &AmbiguousError{}
	for _, e := range entries {
		switch {
		case e.Pending:
		case e.Name == s.Default:
			return e, nil
		default:
			named, many.Names = append(named, e), append(many.Names, e.Name)
		}
	}
	switch {
	case err != nil: // the one that cannot be read may be the one that is meant
		return Entry{}, err
	case len(named) > 1:
		return Entry{}, many
	case len(named) == 1:
		return named[0], nil
	}
	return Entry{}, &NotFoundError{}
}

// at adds a path to an Error that has none.
func at(path string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Path == "" {
		e.Path = path
	}
	return err
}

// checkVersion looks at the version alone, before anything else is believed: a
// newer format may have changed the rest.
func checkVersion(b []byte) error {
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil || v.Version < 1 {
		return &Error{Kind: Broken, Problem: "what is stored is damaged"}
	}
	if v.Version > formatVersion {
		return &Error{Kind: Future, Problem: "what is stored was written by a newer mxauth"}
	}
	return nil
}

// named finds the entry that has a name.
func named(entries []Entry, name string) (Entry, bool) {
	for _, e := range entries {
		if !e.Pending && e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}
