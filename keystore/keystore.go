// Package keystore keeps sessions: in the keyring of the operating system, in a
// sealed file, or, if somebody asks for exactly that, in a plain one.
//
// # What lies where
//
// The state directory (mode 0700) holds what is not secret, one small JSON file
// a session, so that listing sessions never unlocks anything:
//
//	state.json            format version, random ID of this store, default session
//	state.lock            held for moments, while names change
//	rekey.lock            held while the sealed files get a new key
//	identity.age          key of the sealed files, sealed itself with a passphrase (only then)
//	sessions/ID.json      an Entry: name, server, user, device, scope, expiry, kind of store
//	sessions/ID.lock      kernel lock of the session; goes with the session, under that lock
//	sessions/ID.age       the session, sealed (KindFile)
//	sessions/ID.box       the session, sealed with a key in the keyring (large records of KindKeyring)
//	sessions/ID.plain     the session, readable (KindPlaintext)
//
// In the keyring a session is one item: service "mxauth", account "STORE/ID",
// the value versioned JSON. The tokens are in one place only. A session never
// changes its store by itself, and no store is taken because another failed.
//
// # How a session is kept alive
//
// [Keystore.Get] is one read without a lock. [Keystore.Update] is how tokens
// change: lock, read again, make sure that the store can be written, call the
// function that asks the server, store, read back, unlock. Only then is the new
// token returned. From the call on, a cancelled context stops nothing any more:
// what the server has handed out goes to disk. [Keystore.Fresh] does both, and
// [Keystore.TokenSource] is its face for programs that use x/oauth2.
//
// # How a session begins
//
// Tokens must be durable before the first of them is used to ask whose they
// are, so a login first has a slot without a name. [Keystore.Reserve] makes it
// before a code is shown, and with that shows that the store can be written;
// [Keystore.Fill] stores the tokens; [Keystore.Name] gives the slot its name,
// in one write, even where that takes the name from an older session. A slot
// is locked from Reserve to Name or Remove, so what a killed login leaves
// behind can be told from a login under way: [Keystore.Abandoned].
//
// # Limits
//
// Locks are flock on one machine; over NFS they work where the mount passes
// them on, so keep one session to one host. A keyring keeps secrets from other
// users and from a stolen disk, not from a process of the same user. A key file
// beside the sealed file protects backups only if they lack the key. Memory is
// not wiped.
package keystore

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// Options say where sessions are kept and who is there to help.
type Options struct {
	Dir string // the state directory, see DefaultDir; made when something is stored

	// Where the key of sealed files comes from; the first that is there counts.
	KeyFile        string // path of an age identity, made 0600 by Prepare if no key is there
	KeyCommand     string // prints an age identity; run by "sh -c" (Windows: "cmd /C")
	CredentialsDir string // systemd's $CREDENTIALS_DIRECTORY: the file mxauth.key in it
	// Passphrase asks a person, who shall type a new one twice if confirm is
	// true. nil: nobody is there to type.
	Passphrase func(ctx context.Context, confirm bool) (flow.Secret, error)

	Interactive bool         // a person may unlock the keyring: 60 s for it instead of 3 s
	Waiting     func(string) // told, once each, what is waited for longer than a second; may be nil
	Warn        func(string) // told of trouble that costs nothing now; may be nil
}

// A Keystore holds the sessions of one state directory. It is safe for
// concurrent use, and any number of processes may use the same directory.
type Keystore struct {
	opts   Options
	limits limits
	ring   *ring

	mu    sync.Mutex
	slots map[string]slot // reserved here and neither named nor removed yet
	told  map[string]bool // what Waiting has heard

	keyTurn turn     // guards key: a passphrase is asked for once
	key     *sealKey // of the sealed files, once it was needed
}

// limits are the budgets, in one place so that tests can shorten them.
type limits struct {
	lock    time.Duration // waiting for another process
	poll    time.Duration // between two tries for a lock
	quiet   time.Duration // a wait that is not worth a word
	fn      time.Duration // for the function that Update calls
	revoke  time.Duration // for the function that Remove calls
	store   time.Duration // for storing tokens, all tries together
	again   time.Duration // between two tries to store tokens
	probe   time.Duration // asking a keyring whether it is ready
	ring    time.Duration // one call of a keyring that nobody is at
	person  time.Duration // a person unlocking a keyring or typing a passphrase
	command time.Duration // KeyCommand, when nobody is there
	scrypt  int           // work factor of new passphrases, as a power of two
}

func defaultLimits() limits {
	return limits{lock: 30 * time.Second, poll: 25 * time.Millisecond, quiet: time.Second,
		fn: 13 * time.Second, revoke: 30 * time.Second,
		store: 5 * time.Second, again: 250 * time.Millisecond, probe: 2 * time.Second, ring: 3 * time.Second,
		person: time.Minute, command: 10 * time.Second, scrypt: 18}
}

// Open returns the Keystore of a directory. It reads and makes nothing yet, and
// asks no keyring.
func Open(o Options) (*Keystore, error) {
	if o.Dir == "" {
		return nil, errors.New("no state directory was given")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fileError("", err)
	}
	o.Dir = dir
	k := &Keystore{opts: o, limits: defaultLimits(), slots: map[string]slot{}, told: map[string]bool{}, keyTurn: newTurn()}
	k.ring = &ring{k: k, turn: newTurn()}
	return k, nil
}

// Dir returns the state directory as an absolute path. It may not exist yet.
func (k *Keystore) Dir() string { return k.opts.Dir }

// waiting tells what is waited for, once.
func (k *Keystore) waiting(what string) {
	k.mu.Lock()
	said := k.told[what]
	k.told[what] = true
	k.mu.Unlock()
	if !said && k.opts.Waiting != nil {
		k.opts.Waiting(what)
	}
}

// slow tells what is waited for, unless the returned function is called soon.
func (k *Keystore) slow(what string) (done func() bool) {
	return time.AfterFunc(k.limits.quiet, func() { k.waiting(what) }).Stop
}

// warn tells of an error that nobody has to act on at once.
func (k *Keystore) warn(what string, err error) {
	if err != nil && k.opts.Warn != nil {
		k.opts.Warn(what + ": " + err.Error())
	}
}

// A vault is one place for secrets. open and erase expect the session's lock to
// be held.
type vault interface {
	// probe reports whether the store is there, without a change and without
	// asking anybody.
	probe(ctx context.Context) error
	// prepare gets what may take a person's time: an unlocked keyring, a key.
	// With fresh, a key that is nowhere yet is made.
	prepare(ctx context.Context, fresh bool) error
	// read returns a record, or errAbsent.
	read(ctx context.Context, e Entry) ([]byte, error)
	// open makes sure that the record can be replaced. now is what it holds.
	open(ctx context.Context, e Entry, now []byte) (pen, error)
	// erase removes a record; it is no error if there is none.
	erase(ctx context.Context, e Entry) error
}

// A pen writes one record.
type pen interface {
	// commit stores data durably and has read it back when it returns nil. It
	// may be called again after a failure.
	commit(ctx context.Context, data []byte) error
	// drop gives up what open reserved; it does nothing after a commit.
	drop() error
}

// vault returns the place for a kind.
func (k *Keystore) vault(kind Kind) (vault, error) {
	switch kind {
	case KindKeyring:
		return k.ring, nil
	case KindFile:
		return sealed{k}, nil
	case KindPlaintext:
		return plain{k}, nil
	}
	return nil, &Error{Kind: Future, Problem: "unknown kind of store: " + flow.Clean(string(kind), 40)}
}

// Prepare gets what a store needs and a person may have to give: it unlocks the
// keyring, or finds the key of the sealed files, which it makes where there is
// none (KeyFile, or a new passphrase). It is called before a screen takes the
// terminal.
func (k *Keystore) Prepare(ctx context.Context, kind Kind) error {
	v, err := k.vault(kind)
	if err != nil {
		return err
	}
	return v.prepare(ctx, true)
}

// Probe reports whether a store can be used. It changes nothing and asks nobody.
func (k *Keystore) Probe(ctx context.Context, kind Kind) error {
	v, err := k.vault(kind)
	if err != nil {
		return err
	}
	return v.probe(ctx)
}
