package keystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/mxauth/mxauth/flow"
)

// A NewKey says where the new key of the sealed files goes. The zero NewKey is
// the place of the old one.
type NewKey struct {
	File       string // path of a key file; the old key is not looked for there
	Passphrase bool   // under a passphrase, which Options.Passphrase asks for
}

// Rekey seals every sealed file with a new key, and returns how many there are.
//
// The new key is put in its place beside the old one, then each session is sealed
// anew under its lock, and at last the old key goes. So the place of the new key
// opens everything at every moment: killed in between, or stopped by a session
// that is busy, Rekey is called again with that place as where the key is.
// Processes that have the old key in memory notice (keyChanged).
//
// What the old key has sealed elsewhere, a backup say, it goes on opening.
//
// Errors: BusyError (a login may be under way) and *Error, with NoKey where the
// old key comes from a command or a credential and no new place is given.
func (k *Keystore) Rekey(ctx context.Context, to NewKey) (int, error) {
	old, err := k.sealKey(ctx, false)
	if err != nil {
		return 0, err
	}
	put, err := k.keyPlace(ctx, to)
	if err != nil {
		return 0, err
	}
	lock, err := k.lockFile(ctx, filepath.Join(k.opts.Dir, "rekey.lock"))
	if err != nil {
		return 0, err
	}
	defer lock.unlock()
	known := old.identities
	if to.File != "" {
		if known, err = withKeysOf(to.File, known); err != nil {
			return 0, err
		}
	}
	fresh, err := freshIdentity(old)
	if err != nil {
		return 0, err
	}
	both, err := newSealKey(append([]age.Identity{fresh}, known...))
	if err != nil {
		return 0, &Error{Kind: Broken, Store: KindFile, Problem: "no key can be made", Err: err}
	}
	if err := put(both.identities); err != nil {
		return 0, err
	}
	count, err := k.sealAnew(ctx, both, fresh)
	if err != nil {
		return count, err
	}
	return count, k.dropOld(put, fresh, to)
}

// keyPlace returns what puts a key where NewKey says.
func (k *Keystore) keyPlace(ctx context.Context, to NewKey) (func([]age.Identity) error, error) {
	source := k.KeySource()
	switch {
	case to.File != "":
		return func(ids []age.Identity) error { return writeFile(to.File, keyText(ids)) }, nil
	case !to.Passphrase && source == KeyFromFile:
		path, err := filepath.EvalSymlinks(k.opts.KeyFile) // a link stays one
		return func(ids []age.Identity) error { return writeFile(path, keyText(ids)) }, fileError(k.opts.KeyFile, err)
	case to.Passphrase && source != KeyFromPassphrase:
		if _, err := os.Lstat(k.identityPath()); !errors.Is(err, fs.ErrNotExist) {
			return nil, &Error{Kind: NoKey, Store: KindFile, Problem: "there is a key under a passphrase already; it is taken when no other key is given", Path: k.identityPath()}
		}
	case !to.Passphrase && source != KeyFromPassphrase:
		return nil, &Error{Kind: NoKey, Store: KindFile, Problem: "the key comes from a " + string(source) + ", which cannot be changed from here"}
	}
	if k.opts.Passphrase == nil {
		return nil, &Error{Kind: NoKey, Store: KindFile, Problem: "nobody is there to type a new passphrase"}
	}
	word, err := k.passphrase(ctx, true)
	if err != nil {
		return nil, err
	}
	return func(ids []age.Identity) error { return k.putIdentity(word, ids) }, nil
}

func (k *Keystore) putIdentity(word flow.Secret, ids []age.Identity) error {
	box, err := k.sealIdentity(word, keyText(ids))
	if err != nil {
		return err
	}
	return writeFile(k.identityPath(), box)
}

// withKeysOf adds what a key file holds already: an interrupted Rekey may have
// sealed with it.
func withKeysOf(path string, known []age.Identity) ([]age.Identity, error) {
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	there, err := parseKey(b, "the new key file", path)
	if err != nil {
		return nil, err
	}
	return append(there.identities, known...), nil
}

// freshIdentity makes a key of the old one's kind.
func freshIdentity(old *sealKey) (age.Identity, error) {
	var id age.Identity
	var err error
	if _, hybrid := old.recipient.(*age.HybridRecipient); hybrid {
		id, err = age.GenerateHybridIdentity()
	} else {
		id, err = age.GenerateX25519Identity()
	}
	if err != nil {
		return nil, &Error{Kind: Broken, Store: KindFile, Problem: "no key can be made", Err: err}
	}
	return id, nil
}

// keyText is what a key file holds.
func keyText(ids []age.Identity) []byte {
	var b strings.Builder
	b.WriteString("# key of mxauth's sealed files; whoever has it can read them\n")
	for _, id := range ids {
		if s, ok := id.(fmt.Stringer); ok {
			b.WriteString(s.String() + "\n")
		}
	}
	return []byte(b.String())
}

// sealAnew seals every session with the first key of both, until there is none
// that fresh alone does not open.
func (k *Keystore) sealAnew(ctx context.Context, both *sealKey, fresh age.Identity) (int, error) {
	k.useKey(both)
	alone := &sealKey{identities: []age.Identity{fresh}}
	for {
		entries, err := k.Entries()
		if err != nil {
			return 0, err
		}
		count, left := 0, 0
		for _, e := range entries {
			if e.Kind != KindFile && e.Also != KindFile {
				continue
			}
			sealedHere, changed, err := k.sealOne(ctx, e, alone)
			if err != nil {
				return count, err
			}
			if sealedHere {
				count++
			}
			if changed {
				left++
			}
		}
		if left == 0 {
			return count, nil
		}
	}
}

// sealOne seals one session anew, under its lock. changed: it was not sealed with
// the new key alone before.
func (k *Keystore) sealOne(ctx context.Context, e Entry, alone *sealKey) (here, changed bool, err error) {
	unlock, e, err := k.locked(ctx, e.ID)
	if errors.Is(err, ErrNotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	defer unlock()
	v := sealed{k}
	box, err := readFile(v.path(e))
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return true, false, err
	}
	if _, err := alone.open(box); err == nil {
		return true, false, nil
	}
	data, err := v.read(ctx, e)
	if err != nil {
		return true, true, err
	}
	pen, err := v.open(ctx, e, data)
	if err != nil {
		return true, true, err
	}
	defer func() { k.warn("A temporary file was left behind", pen.drop()) }()
	return true, true, pen.commit(ctx, data)
}

// dropOld leaves the new key alone in its place. A key under a passphrase that is
// not needed any more goes.
func (k *Keystore) dropOld(put func([]age.Identity) error, fresh age.Identity, to NewKey) error {
	if err := put([]age.Identity{fresh}); err != nil {
		return err
	}
	source := k.KeySource()
	key, err := newSealKey([]age.Identity{fresh})
	if err != nil {
		return err
	}
	k.useKey(key)
	if to.File != "" && source == KeyFromPassphrase {
		return remove(k.identityPath())
	}
	return nil
}

// useKey replaces the key in memory.
func (k *Keystore) useKey(key *sealKey) {
	k.keyTurn <- struct{}{}
	defer k.keyTurn.give()
	key.file = k.keyInfo()
	k.key = key
}

// keyInfo looks at the file that the key is in; nil if it is in none.
func (k *Keystore) keyInfo() fs.FileInfo {
	var path string
	switch k.KeySource() {
	case KeyFromFile:
		path = k.opts.KeyFile
	case KeyFromPassphrase:
		path = k.identityPath()
	default:
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}

// keyChanged forgets the key in memory if the file that it came from is another
// one by now: some process has made a new key.
func (k *Keystore) keyChanged() bool {
	k.keyTurn <- struct{}{}
	defer k.keyTurn.give()
	if k.key == nil || k.key.file == nil {
		return false
	}
	info := k.keyInfo()
	if info != nil && os.SameFile(info, k.key.file) && info.ModTime().Equal(k.key.file.ModTime()) {
		return false
	}
	k.key = nil
	return true
}
