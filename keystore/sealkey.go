package keystore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"filippo.io/age"

	"github.com/mxauth/mxauth/flow"
)

// scryptMax bounds what a planted identity.age may cost to open: 2^20 is a
// gigabyte.
const scryptMax = 20

// sealKey finds the key of the sealed files; the first that is there counts:
// key file, key command, systemd credential, passphrase. With fresh, a key that
// is nowhere yet is made.
func (k *Keystore) sealKey(ctx context.Context, fresh bool) (*sealKey, error) {
	if err := k.keyTurn.take(ctx); err != nil {
		return nil, err
	}
	defer k.keyTurn.give()
	if k.key != nil {
		return k.key, nil
	}
	file := k.keyInfo() // before the key: a change in between shows as one
	key, err := k.findKey(ctx)
	if key == nil && err == nil && fresh {
		key, err = k.makeKey(ctx)
		file = k.keyInfo()
	}
	if key == nil && err == nil {
		err = k.noKey()
	}
	if err != nil {
		return nil, err
	}
	key.file = file
	k.key = key
	return key, nil
}

// findKey returns nil where there is no key yet.
func (k *Keystore) findKey(ctx context.Context) (*sealKey, error) {
	for _, source := range []func(context.Context) (*sealKey, error){k.keyFromFile, k.keyFromCommand, k.keyFromCredential, k.keyFromPassphrase} {
		if key, err := source(ctx); key != nil || err != nil {
			return key, err
		}
	}
	return nil, nil
}

func (k *Keystore) keyFromFile(context.Context) (*sealKey, error) {
	if k.opts.KeyFile == "" {
		return nil, nil
	}
	info, err := os.Stat(k.opts.KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && chmodMatters && info.Mode().Perm()&0o077 != 0 {
		k.warn("the key file is open to others", &Error{Kind: Permission, Problem: "its mode should be 0600", Path: k.opts.KeyFile})
	}
	b, err := os.ReadFile(k.opts.KeyFile)
	if err != nil {
		return nil, fileError(k.opts.KeyFile, err)
	}
	return parseKey(b, "the key file", k.opts.KeyFile)
}

func (k *Keystore) keyFromCredential(context.Context) (*sealKey, error) {
	if k.opts.CredentialsDir == "" {
		return nil, nil
	}
	path := filepath.Join(k.opts.CredentialsDir, "mxauth.key")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileError(path, err)
	}
	return parseKey(b, "the systemd credential", path)
}

// keyFromCommand runs the user's command. What it says on standard error is not
// repeated: it may hold the key.
func (k *Keystore) keyFromCommand(ctx context.Context) (*sealKey, error) {
	if k.opts.KeyCommand == "" {
		return nil, nil
	}
	budget := k.limits.command
	if k.opts.Interactive {
		budget = k.limits.person
	}
	defer k.slow("Waiting for the key command.")()
	limit, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	shell := []string{"/bin/sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{os.Getenv("ComSpec"), "/C"}
	}
	cmd := exec.CommandContext(limit, shell[0], shell[1], k.opts.KeyCommand) // #nosec G204 -- the user's own command
	// For what the command started and left running.
	cmd.WaitDelay = time.Second
	b, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return parseKey(b, "what the key command printed", "")
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case limit.Err() != nil:
		return nil, &Error{Kind: Frozen, Store: KindFile, Problem: "the key command did not end within " + budget.String()}
	case errors.As(err, &exit):
		return nil, &Error{Kind: NoKey, Store: KindFile, Problem: "the key command failed (" + exit.ProcessState.String() + ")"}
	}
	return nil, &Error{Kind: NoKey, Store: KindFile, Problem: "the key command cannot be run", Err: bare(err)}
}

// keyFromPassphrase opens identity.age with the passphrase that it asks for.
func (k *Keystore) keyFromPassphrase(ctx context.Context) (*sealKey, error) {
	path := k.identityPath()
	box, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if k.opts.Passphrase == nil {
		return nil, &Error{Kind: NoKey, Store: KindFile, Problem: "the sealed file needs a passphrase, and nobody is there to type it"}
	}
	word, err := k.passphrase(ctx, false)
	if err != nil {
		return nil, err
	}
	return openIdentity(path, box, word)
}

// openIdentity opens what sealIdentity made.
func openIdentity(path string, box []byte, word flow.Secret) (*sealKey, error) {
	id, err := age.NewScryptIdentity(word.Reveal())
	if err != nil {
		return nil, &Error{Kind: WrongKey, Store: KindFile, Problem: "the passphrase is empty"}
	}
	id.SetMaxWorkFactor(scryptMax)
	b, err := (&sealKey{identities: []age.Identity{id}}).open(box)
	var e *Error
	if errors.As(err, &e) && e.Kind == WrongKey {
		e.Problem = "the passphrase is wrong"
	}
	if err != nil {
		return nil, at(path, err)
	}
	return parseKey(b, "the sealed key", path)
}

func (k *Keystore) identityPath() string { return filepath.Join(k.opts.Dir, "identity.age") }

func (k *Keystore) passphrase(ctx context.Context, confirm bool) (flow.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, k.limits.person)
	defer cancel()
	return k.opts.Passphrase(ctx, confirm)
}

// makeKey makes a key where the options say: in the key file, or under a new
// passphrase. nil: they say nothing.
func (k *Keystore) makeKey(ctx context.Context) (*sealKey, error) {
	if k.opts.KeyFile == "" && k.opts.Passphrase == nil {
		return nil, nil
	}
	if err := k.makeDir(); err != nil {
		return nil, err
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, &Error{Kind: Broken, Store: KindFile, Problem: "no key can be made", Err: err}
	}
	text := []byte("# key of mxauth's sealed files; whoever has it can read them\n" + id.String() + "\n")
	if k.opts.KeyFile != "" {
		return k.makeKeyFile(ctx, text)
	}
	return k.makeIdentity(ctx, text)
}

// makeKeyFile reads back what lies in the key file then: another process may
// have been first, and a session must not be sealed with a key that nobody has.
func (k *Keystore) makeKeyFile(ctx context.Context, text []byte) (*sealKey, error) {
	lock, err := k.lockState(ctx)
	if err != nil {
		return nil, err
	}
	defer lock.unlock()
	if err := os.MkdirAll(filepath.Dir(k.opts.KeyFile), 0o700); err != nil {
		return nil, fileError(k.opts.KeyFile, err)
	}
	if err := writeNew(k.opts.KeyFile, text); err != nil {
		return nil, err
	}
	return k.keyFromFile(ctx)
}

// makeIdentity is makeKeyFile for identity.age.
func (k *Keystore) makeIdentity(ctx context.Context, text []byte) (*sealKey, error) {
	word, err := k.passphrase(ctx, true)
	if err != nil {
		return nil, err
	}
	box, err := k.sealIdentity(word, text)
	if err != nil {
		return nil, err
	}
	lock, err := k.lockState(ctx)
	if err != nil {
		return nil, err
	}
	defer lock.unlock()
	path := k.identityPath()
	if err := writeNew(path, box); err != nil {
		return nil, err
	}
	if box, err = readFile(path); err != nil {
		return nil, err
	}
	return openIdentity(path, box, word)
}

func (k *Keystore) sealIdentity(word flow.Secret, text []byte) ([]byte, error) {
	lock, err := age.NewScryptRecipient(word.Reveal())
	if err != nil {
		return nil, &Error{Kind: NoKey, Store: KindFile, Problem: "an empty passphrase protects nothing"}
	}
	lock.SetWorkFactor(k.limits.scrypt)
	return (&sealKey{recipient: lock}).seal(text)
}

// writeNew writes a file that must not replace another: a link to the finished
// file appears whole or not at all. A file that is there already stays.
func writeNew(path string, data []byte) error {
	d := &draft{path: path}
	if err := d.create(); err != nil {
		return err
	}
	err := d.fill(data)
	if err == nil {
		err = os.Link(d.temporary(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return errors.Join(fileError(path, err), d.drop())
}

// parseKey reads age identities; what names them in an error. The library's
// words are dropped: they may quote the key.
func parseKey(b []byte, what, path string) (*sealKey, error) {
	ids, err := age.ParseIdentities(bytes.NewReader(b))
	if err == nil {
		var key *sealKey
		if key, err = newSealKey(ids); err == nil {
			return key, nil
		}
	}
	return nil, &Error{Kind: NoKey, Store: KindFile, Problem: what + " is no age identity (AGE-SECRET-KEY-…)", Path: path}
}

func (k *Keystore) noKey() error {
	e := &Error{Kind: NoKey, Store: KindFile, Problem: "there is no key for the sealed file"}
	if k.opts.KeyFile != "" {
		e.Problem, e.Path = "the key of the sealed file is not there", k.opts.KeyFile
	}
	return e
}
