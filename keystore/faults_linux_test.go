package keystore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mxauth/mxauth/flow"
)

// mount mounts something over a directory of the test. Who may not is skipped.
func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, fstype, flags, data); errors.Is(err, fs.ErrPermission) {
		t.Skip("mounting takes an administrator")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(target, 0); err != nil {
			t.Error(err)
		}
	})
}

// smallDisk mounts a file system of 128 KiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=128k")
	return dir
}

// fill leaves no room on a disk; the returned function makes room again.
func fill(t *testing.T, dir string) func() {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// TestFullDisk finds that there is no room before a server is asked, and before
// a code is shown.
func TestFullDisk(t *testing.T) {
	for name, open := range fileStores(t) {
		t.Run(name, func(t *testing.T) {
			dir := smallDisk(t)
			k := open(t, filepath.Join(dir, "state"))
			e := login(t, k, Kind(name), "bot", expired(1))
			room := fill(t, dir)
			holds(t, k, e, 1)
			s, err := k.Update(t.Context(), e, never(t))
			isFault(t, err, Full)
			carries(t, s, 1)
			isFault(t, k.Probe(t.Context(), Kind(name)), Full)
			_, err = k.Reserve(t.Context(), Kind(name), session(2))
			isFault(t, err, Full)
			room()
			if left := leftovers(t, k); len(left) != 3 {
				t.Errorf("left behind: %v", left)
			}
			if _, err := k.Update(t.Context(), e, next(2)); err != nil {
				t.Error(err)
			}
			holds(t, k, e, 2)
		})
	}
}

// TestDiskFillsUp loses no token that the server handed out while the disk went
// full: their space was taken before. A logout needs none.
func TestDiskFillsUp(t *testing.T) {
	for name, open := range fileStores(t) {
		t.Run(name, func(t *testing.T) {
			dir := smallDisk(t)
			k := open(t, filepath.Join(dir, "state"))
			e := login(t, k, Kind(name), "bot", expired(1))
			s, err := k.Update(t.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
				fill(t, dir)
				return next(2)(ctx, s)
			})
			if err != nil {
				t.Fatal(err)
			}
			carries(t, s, 2)
			holds(t, k, e, 2)
			if err := k.Remove(t.Context(), e, func(context.Context, flow.Session) error { return nil }); err != nil {
				t.Error(err)
			}
			if left := leftovers(t, k); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestReadOnly gives out what is there, and changes nothing.
func TestReadOnly(t *testing.T) {
	for name, open := range fileStores(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			k := open(t, dir)
			e := login(t, k, Kind(name), "bot", session(1))
			mount(t, dir, dir, "", syscall.MS_BIND, "")
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			if found, err := k.Find("bot"); err != nil || found.ID != e.ID {
				t.Errorf("Find: %v", err)
			}
			holds(t, k, e, 1)
			_, err := k.Update(t.Context(), e, never(t))
			isFault(t, err, ReadOnly)
			isFault(t, k.Probe(t.Context(), Kind(name)), ReadOnly)
			isFault(t, k.Remove(t.Context(), e, func(context.Context, flow.Session) error { t.Error("the server was told"); return nil }), ReadOnly)
			isFault(t, k.Rename(t.Context(), "bot", "other"), ReadOnly)
			_, err = k.Reserve(t.Context(), Kind(name), session(2))
			isFault(t, err, ReadOnly)
		})
	}
}

// TestDirectories refuses directories that are not ours alone, or makes them so.
func TestDirectories(t *testing.T) {
	begin := func(t *testing.T) (*Keystore, Entry) {
		k := plainStore(t)
		return k, login(t, k, KindPlaintext, "bot", expired(1))
	}
	refused := func(t *testing.T, k *Keystore, e Entry, kind Fault) {
		t.Helper()
		_, err := k.Update(t.Context(), e, never(t))
		isFault(t, err, kind)
		_, err = k.Reserve(t.Context(), KindPlaintext, session(2))
		isFault(t, err, kind)
	}
	t.Run("of another user", func(t *testing.T) {
		k, e := begin(t)
		if os.Geteuid() != 0 {
			t.Skip("giving a directory away takes an administrator")
		}
		for _, dir := range []string{k.Dir(), k.sessionsDir()} {
			if err := os.Chown(dir, 65534, 65534); err != nil {
				t.Fatal(err)
			}
			refused(t, k, e, Permission)
			if err := os.Chown(dir, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("open to others", func(t *testing.T) {
		k, e := begin(t)
		for _, dir := range []string{k.Dir(), k.sessionsDir()} {
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := k.Update(t.Context(), e, next(2)); err != nil {
			t.Error(err)
		}
		modes(t, k.Dir())
	})
	t.Run("like /tmp", func(t *testing.T) {
		k, e := begin(t)
		if err := os.Chmod(k.Dir(), 0o777|fs.ModeSticky); err != nil {
			t.Fatal(err)
		}
		refused(t, k, e, Permission)
		isFault(t, k.Probe(t.Context(), KindPlaintext), Permission)
		if info, err := os.Stat(k.Dir()); err != nil || info.Mode().Perm() != 0o777 {
			t.Errorf("a place for everybody was closed: %v, %v", info.Mode(), err)
		}
	})
	t.Run("a file in its place", func(t *testing.T) {
		k, e := begin(t)
		if err := errors.Join(os.RemoveAll(k.Dir()), os.WriteFile(k.Dir(), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		refused(t, k, e, Broken)
		isFault(t, k.Probe(t.Context(), KindPlaintext), Broken)
	})
}

// modes checks that every file and folder is its owner's alone, exactly.
func modes(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", d.Name(), got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUmask makes the same modes whatever the umask.
func TestUmask(t *testing.T) {
	for _, umask := range []int{0, 0o077} {
		for name, o := range map[string]Options{"plaintext": {}, "key file": {KeyFile: "key"}, "passphrase": {Passphrase: typed("word")}} {
			t.Run(name, func(t *testing.T) {
				old := syscall.Umask(umask)
				defer syscall.Umask(old)
				dir := filepath.Join(t.TempDir(), "deep", "down")
				if o.Dir = filepath.Join(dir, "state"); o.KeyFile != "" {
					o.KeyFile = filepath.Join(dir, "keys", o.KeyFile)
				}
				kind := KindFile
				if name == "plaintext" {
					kind = KindPlaintext
				}
				k := openStore(t, o)
				e := login(t, k, kind, "bot", expired(1))
				if _, err := k.Update(t.Context(), e, next(2)); err != nil {
					t.Error(err)
				}
				if err := k.Use(t.Context(), "bot"); err != nil {
					t.Error(err)
				}
				modes(t, filepath.Dir(dir))
			})
		}
	}
}

// TestOpenLeftover closes what a killed process, or somebody else, left open
// where a secret is going to be written.
func TestOpenLeftover(t *testing.T) {
	k := plainStore(t)
	e := login(t, k, KindPlaintext, "bot", expired(1))
	for _, litter := range []string{k.file(e.ID, ".plain.tmp"), k.file(e.ID, ".json.tmp")} {
		if err := os.WriteFile(litter, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(litter, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.Update(t.Context(), e, next(2)); err != nil {
		t.Fatal(err)
	}
	modes(t, k.Dir())
}

// TestReserveOnFullDisk leaves nothing of logins that found no place.
func TestReserveOnFullDisk(t *testing.T) {
	dir := smallDisk(t)
	k := openStore(t, Options{Dir: filepath.Join(dir, "state")})
	if err := k.makeDir(); err != nil {
		t.Fatal(err)
	}
	fill(t, dir)
	for range 3 {
		_, err := k.Reserve(t.Context(), KindPlaintext, session(1))
		isFault(t, err, Full)
	}
	if left := leftovers(t, k); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A folder on a file system that does not sync folders is no fault; /proc is such
// a one.
func TestFolderThatCannotSync(t *testing.T) {
	f, err := os.Open("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); !errors.Is(err, syscall.EINVAL) {
		t.Skipf("/proc says %v", err)
	}
	if err := syncDir("/proc"); err != nil {
		t.Error(err)
	}
	if err := syncDir(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
