package keystore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// hold takes the lock of a session as another process would.
func hold(t testing.TB, k *Keystore, e Entry) *fileLock {
	t.Helper()
	lock, err := tryLock(k.file(e.ID, ".lock"))
	if lock == nil || err != nil {
		t.Fatalf("the lock is not free: %v", err)
	}
	return lock
}

// TestBusy waits for a lock for its time and no longer, says so, and changes
// nothing.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		k := openStore(t, Options{Dir: t.TempDir(), Waiting: func(what string) { said = append(said, what) }})
		k.limits = defaultLimits()
		e := login(t, k, KindPlaintext, "bot", expired(1))
		lock := hold(t, k, e)
		for name, try := range map[string]func() error{
			"Update": func() error { _, err := k.Update(t.Context(), e, never(t)); return err },
			"Remove": func() error { return k.Remove(t.Context(), e, nil) },
			"Rename": func() error { return k.Rename(t.Context(), "bot", "other") },
		} {
			began := time.Now()
			err := try()
			var busy *BusyError
			if took := time.Since(began); !errors.As(err, &busy) || busy.PID != os.Getpid() || took < 30*time.Second || took > 31*time.Second {
				t.Errorf("%s after %s: %v", name, took, err)
			}
		}
		if len(said) != 1 {
			t.Errorf("said %q", said)
		}
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stop) })
		if _, err := k.Update(ctx, e, never(t)); !errors.Is(err, stop) {
			t.Errorf("cancelled: %v", err)
		}
		lock.unlock()
		holds(t, k, e, 1)
		if _, err := k.Update(t.Context(), e, next(2)); err != nil {
			t.Error(err)
		}
	})
}

// TestLocksAreApart refreshes one session while another one's refresh hangs.
func TestLocksAreApart(t *testing.T) {
	k := plainStore(t)
	a, b := login(t, k, KindPlaintext, "a", expired(1)), login(t, k, KindPlaintext, "b", expired(1))
	if _, err := k.Update(t.Context(), a, func(ctx context.Context, s flow.Session) (flow.Session, error) {
		if _, err := k.Update(ctx, b, next(3)); err != nil {
			t.Error(err)
		}
		if err := k.Rename(ctx, "b", "c"); err != nil { // state.lock is not held through a refresh
			t.Error(err)
		}
		return next(2)(ctx, s)
	}); err != nil {
		t.Error(err)
	}
	holds(t, k, a, 2)
	holds(t, k, b, 3)
}

// TestStrangeLockFiles meets what may lie where a lock should.
func TestStrangeLockFiles(t *testing.T) {
	for name, c := range map[string]struct {
		make  func(path, elsewhere string) error
		works bool
	}{
		"deleted":         {func(path, _ string) error { return os.Remove(path) }, true},
		"of a dead PID":   {func(path, _ string) error { return os.WriteFile(path, []byte("999999999\n"), 0o600) }, true},
		"nonsense inside": {func(path, _ string) error { return os.WriteFile(path, []byte("\x1b[31m-7"), 0o600) }, true},
		"a symlink":       {func(path, elsewhere string) error { return errors.Join(os.Remove(path), os.Symlink(elsewhere, path)) }, false},
		"a dangling link": {func(path, elsewhere string) error {
			return errors.Join(os.Remove(path), os.Symlink(elsewhere+"x", path))
		}, false},
		"a directory": {func(path, _ string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := plainStore(t)
			e := login(t, k, KindPlaintext, "bot", expired(1))
			elsewhere := filepath.Join(t.TempDir(), "precious")
			if err := os.WriteFile(elsewhere, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := c.make(k.file(e.ID, ".lock"), elsewhere); err != nil {
				t.Fatal(err)
			}
			refresh, want := next(2), 2
			if !c.works {
				refresh, want = never(t), 1
			}
			_, err := k.Update(t.Context(), e, refresh)
			if c.works && err != nil {
				t.Error(err)
			}
			if !c.works {
				isFault(t, err, Broken)
			}
			holds(t, k, e, want)
			if b, err := os.ReadFile(elsewhere); string(b) != "precious" {
				t.Errorf("the link was followed: %q, %v", b, err)
			}
			if _, err := os.Lstat(elsewhere + "x"); err == nil {
				t.Error("the dangling link was followed")
			}
		})
	}
}

// TestReplacedLock does not take a lock on a file that is not under its name any
// more: others lock the new one.
func TestReplacedLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	lock, err := tryLock(path)
	if err != nil || !lock.current(path) {
		t.Fatalf("a fresh lock: %v", err)
	}
	defer lock.unlock()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if lock.current(path) {
		t.Error("a lock whose file is gone counts")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if lock.current(path) {
		t.Error("a lock whose file was replaced counts")
	}
}
