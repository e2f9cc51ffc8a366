package keystore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// typed is a person who types one passphrase.
func typed(word string) func(context.Context, bool) (flow.Secret, error) {
	return func(context.Context, bool) (flow.Secret, error) { return flow.NewSecret(word), nil }
}

// TestKeyOrder takes the first key that is there, and says what is wrong with
// it rather than to take the next.
func TestKeyOrder(t *testing.T) {
	a, b, c := writeKey(t, "a"), writeKey(t, "b"), writeKey(t, "mxauth.key")
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("AGE-SECRET-KEY-canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]struct {
		o     Options
		key   string // the file whose key it is
		fault Fault
	}{
		"file first":              {Options{KeyFile: a, KeyCommand: "cat " + b, CredentialsDir: filepath.Dir(c)}, a, ""},
		"then the command":        {Options{KeyFile: missing, KeyCommand: "cat " + b, CredentialsDir: filepath.Dir(c)}, b, ""},
		"then the credential":     {Options{KeyFile: missing, CredentialsDir: filepath.Dir(c)}, c, ""},
		"no such credential":      {Options{CredentialsDir: filepath.Dir(a)}, "", NoKey},
		"nothing":                 {Options{}, "", NoKey},
		"file of garbage":         {Options{KeyFile: garbage, KeyCommand: "cat " + b}, "", NoKey},
		"file is a directory":     {Options{KeyFile: sealedWith(t, "word")}, "", Broken},
		"command that fails":      {Options{KeyCommand: "echo canary; echo canary >&2; exit 3", CredentialsDir: filepath.Dir(c)}, "", NoKey},
		"command prints garbage":  {Options{KeyCommand: "echo canary"}, "", NoKey},
		"command prints nothing":  {Options{KeyCommand: "true"}, "", NoKey},
		"command is not there":    {Options{KeyCommand: "no-such-command-anywhere"}, "", NoKey},
		"command never ends":      {Options{KeyCommand: "exec sleep 1000"}, "", Frozen},
		"nobody types passphrase": {Options{Dir: sealedWith(t, "word")}, "", NoKey},
		"wrong passphrase":        {Options{Dir: sealedWith(t, "word"), Passphrase: typed("canary")}, "", WrongKey},
		"empty passphrase":        {Options{Dir: sealedWith(t, "word"), Passphrase: typed("")}, "", WrongKey},
	} {
		t.Run(name, func(t *testing.T) {
			if c.o.Dir == "" {
				c.o.Dir = t.TempDir()
			}
			k := openStore(t, c.o)
			k.limits.command = 300 * time.Millisecond
			key, err := k.sealKey(t.Context(), false)
			if c.fault != "" {
				isFault(t, err, c.fault)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(c.key)
			if err != nil {
				t.Fatal(err)
			}
			want, err := parseKey(text, "the key", c.key)
			if err != nil {
				t.Fatal(err)
			}
			box, err := key.seal([]byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := want.open(box); err != nil {
				t.Errorf("it is another key: %v", err)
			}
		})
	}
}

// sealedWith makes a state directory whose key has a passphrase.
func sealedWith(t *testing.T, word string) string {
	t.Helper()
	dir := t.TempDir()
	if err := openStore(t, Options{Dir: dir, Passphrase: typed(word)}).Prepare(t.Context(), KindFile); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestKeyCommandCancelled says what cancelled it, not that it was too slow.
func TestKeyCommandCancelled(t *testing.T) {
	k := openStore(t, Options{Dir: t.TempDir(), KeyCommand: "exec sleep 1000"})
	stop := errors.New("stopped by the user")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
	if _, err := k.sealKey(ctx, false); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

// TestOpenKeyFile warns of a key that others can read, and takes it: a mounted
// secret often is, and cannot be closed.
func TestOpenKeyFile(t *testing.T) {
	key := writeKey(t, "key")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	var warned []string
	k := openStore(t, Options{Dir: t.TempDir(), KeyFile: key, Warn: func(what string) { warned = append(warned, what) }})
	e := login(t, k, KindFile, "bot", session(1))
	holds(t, k, e, 1)
	if len(warned) != 1 || !strings.Contains(warned[0], key) {
		t.Errorf("warned %q", warned)
	}
}

// TestKeyIsMadeAtLoginOnly does not hide a lost key behind a new one.
func TestKeyIsMadeAtLoginOnly(t *testing.T) {
	dir, key := t.TempDir(), filepath.Join(t.TempDir(), "key")
	e := login(t, openStore(t, Options{Dir: dir, KeyFile: key}), KindFile, "bot", session(1))
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	k := openStore(t, Options{Dir: dir, KeyFile: key})
	_, err := k.Update(t.Context(), e, never(t))
	isFault(t, err, NoKey)
	_, err = k.Get(t.Context(), e)
	isFault(t, err, NoKey)
	isFault(t, k.Remove(t.Context(), e, func(context.Context, flow.Session) error { t.Error("the server was told"); return nil }), NoKey)
	if _, err := os.Stat(key); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key was made: %v", err)
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	holds(t, k, e, 1)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := openStore(t, Options{Dir: dir, KeyFile: key}).Remove(t.Context(), e, nil); err != nil { // --local-only needs none
		t.Error(err)
	}
}

// TestOneKey has many processes make the first key at once: all of them must
// seal with the one that stays.
func TestOneKey(t *testing.T) {
	for name, o := range map[string]Options{
		"key file":   {KeyFile: filepath.Join(t.TempDir(), "key")},
		"passphrase": {Passphrase: typed("word")},
	} {
		t.Run(name, func(t *testing.T) {
			o.Dir = t.TempDir()
			boxes := make(chan []byte, 20)
			var all sync.WaitGroup
			for range cap(boxes) {
				all.Go(func() {
					key, err := openStore(t, o).sealKey(t.Context(), true)
					if err != nil {
						t.Error(err)
						return
					}
					box, err := key.seal([]byte("x"))
					if err != nil {
						t.Error(err)
					}
					boxes <- box
				})
			}
			all.Wait()
			close(boxes)
			key, err := openStore(t, o).sealKey(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			for box := range boxes {
				if _, err := key.open(box); err != nil {
					t.Errorf("something was sealed with a key that nobody has: %v", err)
				}
			}
			for _, dir := range []string{o.Dir, filepath.Dir(o.KeyFile)} {
				left, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
				if err != nil || len(left) != 0 {
					t.Errorf("left behind: %v, %v", left, err)
				}
			}
		})
	}
}

// TestPassphraseOnce asks once, however many goroutines need the key.
func TestPassphraseOnce(t *testing.T) {
	dir := sealedWith(t, "word")
	asked := 0
	k := openStore(t, Options{Dir: dir, Passphrase: func(_ context.Context, confirm bool) (flow.Secret, error) {
		if asked++; confirm {
			t.Error("an old passphrase is asked for twice")
		}
		return flow.NewSecret("word"), nil
	}})
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if _, err := k.sealKey(t.Context(), false); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// TestSealedDamage opens files that are not as they were written. They stay.
func TestSealedDamage(t *testing.T) {
	dir, key := t.TempDir(), writeKey(t, "key")
	k := openStore(t, Options{Dir: dir, KeyFile: key})
	e := login(t, k, KindFile, "bot", session(1))
	path := k.file(e.ID, ".age")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		box   []byte
		key   string
		fault Fault
	}{
		"a flipped bit":     {flipped, key, Broken},
		"cut in the header": {whole[:20], key, Broken},
		"cut in the body":   {whole[:len(whole)-20], key, Broken},
		"not age":           {[]byte("hello"), key, Broken},
		"too large":         {make([]byte, recordMax+1), key, Broken},
		"another key":       {whole, writeKey(t, "other"), WrongKey},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, c.box, 0o600); err != nil {
				t.Fatal(err)
			}
			k := openStore(t, Options{Dir: dir, KeyFile: c.key})
			_, err := k.Get(t.Context(), e)
			isFault(t, err, c.fault)
			_, err = k.Update(t.Context(), e, never(t))
			isFault(t, err, c.fault)
			if b, err := os.ReadFile(path); !bytes.Equal(b, c.box) {
				t.Errorf("the file was touched: %v", err)
			}
		})
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, k, e, 1)
}

// TestHugeWorkFactor refuses an identity that would take gigabytes and hours to
// open, at once.
func TestHugeWorkFactor(t *testing.T) {
	dir := sealedWith(t, "word")
	path := filepath.Join(dir, "identity.age")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := bytes.Cut(b, []byte(" 10\n"))
	if err := os.WriteFile(path, slices.Concat(head, []byte(" 30\n"), rest), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = openStore(t, Options{Dir: dir, Passphrase: typed("word")}).sealKey(t.Context(), true)
	isFault(t, err, Broken)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestNoNewKeyOverAnOldOne does not make a key because the old one does not open.
func TestNoNewKeyOverAnOldOne(t *testing.T) {
	dir := sealedWith(t, "word")
	k := openStore(t, Options{Dir: dir, Passphrase: typed("another")})
	isFault(t, k.Prepare(t.Context(), KindFile), WrongKey)
	if _, err := openStore(t, Options{Dir: dir, Passphrase: typed("word")}).sealKey(t.Context(), false); err != nil {
		t.Error(err)
	}
}
