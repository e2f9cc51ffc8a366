package keystore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// anywhere opens a Keystore that can use every kind of store that is here.
func anywhere(t testing.TB, dir, key string) *Keystore {
	t.Helper()
	return openStore(t, Options{Dir: dir, KeyFile: key})
}

// movable are the kinds that can be moved between: the keyring, where there is
// one to test with.
func movable(t testing.TB) []Kind {
	kinds := []Kind{KindPlaintext, KindFile}
	if start, ok := ringPlaces()["fake Secret Service"]; ok {
		start(t)
		kinds = append(kinds, KindKeyring)
	}
	return kinds
}

// TestMove moves small and large sessions from every store to every other, and
// looks at them from another process, with an entry that is out of date.
func TestMove(t *testing.T) {
	kinds := movable(t)
	for _, from := range kinds {
		for _, to := range kinds {
			for size, s := range map[string]flow.Session{"small": session(1), "large": big(session(1))} {
				t.Run(string(from)+" to "+string(to)+", "+size, func(t *testing.T) {
					dir, key := t.TempDir(), filepath.Join(t.TempDir(), "key")
					k := anywhere(t, dir, key)
					old := login(t, k, from, "bot", s)
					if err := k.Prepare(t.Context(), to); err != nil {
						t.Fatal(err)
					}
					now, err := k.Move(t.Context(), old, to)
					if err != nil || now.Kind != to || now.Also != "" {
						t.Fatalf("%+v, %v", now, err)
					}
					other := anywhere(t, dir, key)
					holds(t, other, old, 1)
					if _, err := other.Update(t.Context(), old, next(2)); err != nil {
						t.Errorf("an update by who knows of no move: %v", err)
					}
					holds(t, k, now, 2)
					onlyIn(t, k, map[Kind]string{KindPlaintext: ".plain", KindFile: ".age", KindKeyring: ".box"}[to])
					if from != to {
						v, err := k.vault(from)
						if err != nil {
							t.Fatal(err)
						}
						if _, err := v.read(t.Context(), now); !errors.Is(err, errAbsent) {
							t.Errorf("the old place is not empty: %v", err)
						}
					}
					if err := other.Remove(t.Context(), old, func(_ context.Context, s flow.Session) error { carries(t, s, 2); return nil }); err != nil {
						t.Error(err)
					}
					if left := leftovers(t, k); len(left) != 0 {
						t.Errorf("left behind: %v", left)
					}
				})
			}
		}
	}
}

// TestMoveUnderWay reads and updates a session that moves to and fro. Nobody may
// find it missing, and no token may be lost.
func TestMoveUnderWay(t *testing.T) {
	dir, key := t.TempDir(), filepath.Join(t.TempDir(), "key")
	k := anywhere(t, dir, key)
	e := login(t, k, KindPlaintext, "bot", session(0))
	if err := k.Prepare(t.Context(), KindFile); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex
	updates := 0
	for range 3 {
		other := anywhere(t, dir, key)
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := other.Get(t.Context(), e); err != nil {
					t.Errorf("a reader: %v", err)
				}
				_, err := other.Update(t.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
					mu.Lock()
					defer mu.Unlock()
					carries(t, s, updates)
					updates++
					return next(updates)(ctx, s)
				})
				if err != nil {
					t.Errorf("an update: %v", err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	done := func() bool { mu.Lock(); defer mu.Unlock(); return updates >= 20 }
	for n, end := 0, time.Now().Add(20*time.Second); (n < 40 || !done()) && time.Now().Before(end); n++ {
		if _, err := k.Move(t.Context(), e, []Kind{KindFile, KindPlaintext}[n%2]); err != nil {
			t.Errorf("move %d: %v", n, err)
		}
		time.Sleep(2 * time.Millisecond) // the others want the lock too
	}
	close(stop)
	all.Wait()
	if updates < 20 {
		t.Errorf("only %d updates", updates)
	}
	holds(t, k, e, updates)
}

// TestMoveRefused moves to where nothing can be stored, and what is over. The
// session must be as it was.
func TestMoveRefused(t *testing.T) {
	k := plainStore(t)
	e := login(t, k, KindPlaintext, "bot", session(1))
	_, err := k.Move(t.Context(), e, KindFile)
	isFault(t, err, NoKey)
	_, err = k.Move(t.Context(), e, "cloud")
	isFault(t, err, Future)
	if now, err := k.Find("bot"); err != nil || now != e {
		t.Errorf("%+v, %v", now, err)
	}
	holds(t, k, e, 1)
	if _, err := k.Update(t.Context(), e, fails(flow.KindEnded, "invalid_grant")); err == nil {
		t.Fatal("the session did not end")
	}
	if _, err := k.Move(t.Context(), e, KindFile); !errors.Is(err, ErrEnded) && !strings.Contains(err.Error(), "key") {
		t.Error(err)
	}
}

// TestRekey gives the sealed files a new key in the place of the old one, and in
// every other place. What has the old key in memory must go on.
func TestRekey(t *testing.T) {
	words := map[string]string{"old": "correct horse", "new": "battery staple"}
	say := func(word string) func(context.Context, bool) (flow.Secret, error) {
		return func(_ context.Context, confirm bool) (flow.Secret, error) {
			if confirm {
				return flow.NewSecret(words["new"]), nil
			}
			return flow.NewSecret(word), nil
		}
	}
	file, other, command := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "other"), writeKey(t, "key")
	for name, c := range map[string]struct {
		before, after Options
		to            NewKey
		memory        bool // who has the old key in memory may go on
	}{
		"key file, in place":       {Options{KeyFile: file}, Options{KeyFile: file}, NewKey{}, true},
		"passphrase, in place":     {Options{Passphrase: say(words["old"])}, Options{Passphrase: say(words["new"])}, NewKey{}, false},
		"key file to another":      {Options{KeyFile: file}, Options{KeyFile: other}, NewKey{File: other}, false},
		"command to key file":      {Options{KeyCommand: "cat '" + command + "'"}, Options{KeyFile: other}, NewKey{File: other}, false},
		"passphrase to key file":   {Options{Passphrase: say(words["old"])}, Options{KeyFile: other}, NewKey{File: other}, false},
		"key file to a passphrase": {Options{KeyFile: file, Passphrase: say("")}, Options{Passphrase: say(words["new"])}, NewKey{Passphrase: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _ = os.Remove(file), os.Remove(other) // of the case before
			dir := t.TempDir()
			c.before.Dir, c.after.Dir = dir, dir
			first := c.before
			if c.before.KeyCommand == "" && c.before.KeyFile == "" {
				first.Passphrase = func(context.Context, bool) (flow.Secret, error) { return flow.NewSecret(words["old"]), nil }
			}
			k := openStore(t, first)
			a, b := login(t, k, KindFile, "a", session(1)), login(t, k, KindFile, "b", session(2))
			plain := login(t, k, KindPlaintext, "plain", session(3))
			boxes := map[string]string{}
			for _, e := range []Entry{a, b} {
				boxes[e.ID] = string(mustRead(t, k.file(e.ID, ".age")))
			}
			memory, newcomer := openStore(t, first), openStore(t, first) // have the old key, and keep it
			holds(t, memory, a, 1)
			holds(t, newcomer, a, 1)

			rekeyer := openStore(t, c.before)
			if n, err := rekeyer.Rekey(t.Context(), c.to); err != nil || n != 2 {
				t.Fatalf("%d files, %v", n, err)
			}
			holds(t, rekeyer, a, 1)
			late := openStore(t, c.after)
			for n, e := range []Entry{a, b, plain} {
				holds(t, late, e, n+1)
			}
			for id, box := range boxes {
				if string(mustRead(t, k.file(id, ".age"))) == box {
					t.Error("a file was not sealed anew")
				}
			}
			for _, box := range boxes { // the old key is of no use, the new one not for the old files
				key, err := late.sealKey(t.Context(), false)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := key.open([]byte(box)); err == nil {
					t.Error("the new place holds the old key still")
				}
			}
			if c.memory {
				holds(t, memory, a, 1)
				if _, err := memory.Update(t.Context(), b, next(5)); err != nil {
					t.Errorf("who had the old key in memory: %v", err)
				}
				holds(t, openStore(t, c.after), b, 5)
				login(t, newcomer, KindFile, "c", session(6))
				holds(t, openStore(t, c.after), mustFind(t, late, "c"), 6)
			}
			if left := leftovers(t, k); strings.Contains(strings.Join(left, " "), ".tmp") {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustFind(t testing.TB, k *Keystore, name string) Entry {
	t.Helper()
	e, err := k.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestRekeyRefused asks for what cannot be, and meets a login that is under way.
// Nothing may change, or everything must open with the new place.
func TestRekeyRefused(t *testing.T) {
	command := openStore(t, Options{Dir: t.TempDir(), KeyCommand: "cat '" + writeKey(t, "key") + "'"})
	e := login(t, command, KindFile, "bot", session(1))
	_, err := command.Rekey(t.Context(), NewKey{})
	isFault(t, err, NoKey)
	_, err = command.Rekey(t.Context(), NewKey{Passphrase: true})
	isFault(t, err, NoKey)
	holds(t, command, e, 1)
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = command.Rekey(t.Context(), NewKey{File: garbage})
	isFault(t, err, NoKey)
	if string(mustRead(t, garbage)) != "canary" {
		t.Error("a file that is no key was replaced")
	}

	dir, key := t.TempDir(), filepath.Join(t.TempDir(), "key")
	k := anywhere(t, dir, key)
	e = login(t, k, KindFile, "bot", session(1))
	slot, err := k.Reserve(t.Context(), KindFile, session(2))
	if err != nil {
		t.Fatal(err)
	}
	rekeyer := anywhere(t, dir, key)
	rekeyer.limits.lock = 200 * time.Millisecond
	var busy *BusyError
	if _, err := rekeyer.Rekey(t.Context(), NewKey{}); !errors.As(err, &busy) {
		t.Errorf("with a login under way: %v", err)
	}
	holds(t, anywhere(t, dir, key), e, 1)
	if slot, err = k.Fill(t.Context(), slot, session(2)); err == nil {
		slot, err = k.Name(t.Context(), slot, "second", "@alice:example.org", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n, err := rekeyer.Rekey(t.Context(), NewKey{}); err != nil || n != 2 {
		t.Errorf("after the login: %d, %v", n, err)
	}
	holds(t, anywhere(t, dir, key), e, 1)
	holds(t, anywhere(t, dir, key), slot, 2)
}
