package keystore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow"
)

// fileStores are the stores that live in the state directory.
func fileStores(t *testing.T) map[string]func(testing.TB, string) *Keystore {
	key := writeKey(t, "key")
	return map[string]func(testing.TB, string) *Keystore{
		"plaintext": func(t testing.TB, dir string) *Keystore { return openStore(t, Options{Dir: dir}) },
		"file":      func(t testing.TB, dir string) *Keystore { return openStore(t, Options{Dir: dir, KeyFile: key}) },
	}
}

// TestDefaultDir goes through the places, and refuses what would hide sessions.
func TestDefaultDir(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string // empty: an error
	}{
		"own variable":   {map[string]string{"MXAUTH_STATE_DIR": "/a", "STATE_DIRECTORY": "/b", "HOME": "/h"}, "/a"},
		"systemd":        {map[string]string{"STATE_DIRECTORY": "/b:/c", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/b"},
		"XDG":            {map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/mxauth"},
		"home":           {map[string]string{"HOME": "/h"}, "/h/.local/state/mxauth"},
		"no home":        {nil, ""},
		"relative":       {map[string]string{"MXAUTH_STATE_DIR": "here"}, ""},
		"relative XDG":   {map[string]string{"XDG_STATE_HOME": "here", "HOME": "/h"}, ""},
		"relative home":  {map[string]string{"HOME": "."}, ""},
		"nothing useful": {map[string]string{"STATE_DIRECTORY": ":", "HOME": ""}, ""},
	} {
		if filepath.Separator != '/' {
			t.Skip("the paths are those of Unix")
		}
		got, err := DefaultDir(func(name string) string { return c.env[name] })
		if darwin := strings.Replace(c.want, ".local/state", "Library/Application Support", 1); got != c.want && got != darwin || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestNothingIsThere reads a state directory that was never made, and makes none.
func TestNothingIsThere(t *testing.T) {
	k := openStore(t, Options{Dir: filepath.Join(t.TempDir(), "state")})
	if _, err := k.Find("bot"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Find: %v", err)
	}
	if _, err := k.Default(); !errors.Is(err, ErrNotFound) {
		t.Errorf("Default: %v", err)
	}
	if _, err := k.Update(t.Context(), Entry{ID: "X", Kind: KindPlaintext}, never(t)); !errors.Is(err, ErrNotFound) {
		t.Errorf("Update: %v", err)
	}
	if err := k.Probe(t.Context(), KindPlaintext); err != nil {
		t.Errorf("Probe: %v", err)
	}
	if _, err := k.Abandoned(); err != nil {
		t.Errorf("Abandoned: %v", err)
	}
	if _, err := os.Stat(k.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
	isFault(t, k.Prepare(t.Context(), "cloud"), Future)
	isFault(t, k.Probe(t.Context(), "cloud"), Future)
	if _, err := Open(Options{}); err == nil {
		t.Error("no directory is a directory")
	}
}

// TestLeftovers finds what a killed process leaves in the middle of a write, and
// uses it again or clears it away.
func TestLeftovers(t *testing.T) {
	for name, open := range fileStores(t) {
		t.Run(name, func(t *testing.T) {
			k := open(t, t.TempDir())
			e := login(t, k, Kind(name), "bot", expired(1))
			suffix := map[string]string{"plaintext": ".plain", "file": ".age"}[name]
			for _, litter := range []string{k.file(e.ID, suffix+".tmp"), k.file(e.ID, ".json.tmp"), filepath.Join(k.Dir(), "state.json.tmp"),
				filepath.Join(k.Dir(), "probe.tmp"), k.file("GONE", ".lock"), k.file("GONE", ".json.tmp")} {
				if err := os.WriteFile(litter, []byte(strings.Repeat("garbage", 10000)), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			holds(t, k, e, 1)
			if _, err := k.Update(t.Context(), e, next(2)); err != nil {
				t.Fatal(err)
			}
			holds(t, k, e, 2)
			if err := k.Probe(t.Context(), Kind(name)); err != nil {
				t.Error(err)
			}
			if err := k.Use(t.Context(), "bot"); err != nil {
				t.Error(err)
			}
			other := login(t, k, Kind(name), "other", session(3))
			want := []string{e.ID + suffix, e.ID + ".json", e.ID + ".lock", other.ID + suffix, other.ID + ".json", other.ID + ".lock"}
			slices.Sort(want)
			if left := leftovers(t, k); !slices.Equal(left, want) {
				t.Errorf("sessions holds %v\nwant         %v", left, want)
			}
			if top, err := filepath.Glob(filepath.Join(k.Dir(), "*.tmp")); err != nil || len(top) != 0 {
				t.Errorf("left behind: %v, %v", top, err)
			}
		})
	}
}

// TestFormerName does not let a session come back under the name that another
// one took from it, whoever was killed before that could be noted.
func TestFormerName(t *testing.T) {
	for name, forget := range map[string]func(*Keystore, Entry) error{
		"removed": func(k *Keystore, e Entry) error { return k.Remove(t.Context(), e, nil) },
		"renamed": func(k *Keystore, e Entry) error { return k.Rename(t.Context(), "bot", "other") },
	} {
		t.Run(name, func(t *testing.T) {
			k := plainStore(t)
			former := login(t, k, KindPlaintext, "former", session(1))
			e := login(t, k, KindPlaintext, "bot", session(2))
			former.Name = "bot" // as it is between the write of the newer and that of the older
			if err := k.writeEntry(former); err != nil {
				t.Fatal(err)
			}
			if found, err := k.Find("bot"); err != nil || found.ID != e.ID {
				t.Fatalf("the newer has the name: %+v, %v", found, err)
			}
			if err := forget(k, e); err != nil {
				t.Fatal(err)
			}
			if found, err := k.Find("bot"); !errors.Is(err, ErrNotFound) {
				t.Errorf("%+v came back: %v", found, err)
			}
			if left, err := k.Abandoned(); err != nil || len(left) != 1 || left[0].ID != former.ID {
				t.Errorf("abandoned: %+v, %v", left, err)
			}
			holds(t, k, former, 1)
		})
	}
}

// TestFinishedMeanwhile does not remove as unfinished what was finished since it
// was looked at.
func TestFinishedMeanwhile(t *testing.T) {
	k := plainStore(t)
	e, err := k.Reserve(t.Context(), KindPlaintext, session(1))
	if err == nil {
		e, err = k.Fill(t.Context(), e, session(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	other := openStore(t, Options{Dir: k.Dir()})
	seen, err := other.Entries()
	if err != nil || len(seen) != 1 || !seen[0].Pending {
		t.Fatalf("entries: %+v, %v", seen, err)
	}
	if e, err = k.Name(t.Context(), e, "bot", "", nil); err != nil {
		t.Fatal(err)
	}
	err = other.Remove(t.Context(), seen[0], func(context.Context, flow.Session) error { t.Error("the server was told"); return nil })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("Remove: %v", err)
	}
	holds(t, k, e, 1)
}

// TestSweepKeepsTokens does not touch a record without an entry: it may be all
// that is left of a live session.
func TestSweepKeepsTokens(t *testing.T) {
	k := plainStore(t)
	e := login(t, k, KindPlaintext, "bot", session(1))
	if err := os.Remove(k.file(e.ID, ".json")); err != nil {
		t.Fatal(err)
	}
	login(t, k, KindPlaintext, "other", session(2))
	holds(t, k, e, 1)
}

// TestDamagedFiles meets state that makes no sense. It is said, others are not
// hidden by it, and the next login puts it aside.
func TestDamagedFiles(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "garbage": "\x00\x01", "cut": `{"version":1,"na`, "another shape": `[]`, "no version": `{}`} {
		t.Run(name, func(t *testing.T) {
			var warned []string
			k := openStore(t, Options{Dir: t.TempDir(), Warn: func(what string) { warned = append(warned, what) }})
			a, b := login(t, k, KindPlaintext, "a", session(1)), login(t, k, KindPlaintext, "b", session(2))
			for _, path := range []string{k.statePath(), k.file(a.ID, ".json")} {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			entries, err := k.Entries()
			isFault(t, err, Broken)
			if len(entries) != 1 || entries[0].ID != b.ID {
				t.Errorf("entries: %+v", entries)
			}
			_, err = k.Default()
			isFault(t, err, Broken)
			_, err = k.Find("a")
			isFault(t, err, Broken)
			_, err = k.Update(t.Context(), a, never(t))
			isFault(t, err, Broken)
			isFault(t, k.Use(t.Context(), "b"), Broken)
			found, err := k.Find("b") // needs neither
			if err != nil {
				t.Fatal(err)
			}
			holds(t, k, found, 2)
			if _, err := k.Update(t.Context(), found, next(3)); err != nil {
				t.Errorf("Update of the other: %v", err)
			}

			login(t, k, KindPlaintext, "a", session(4))
			if _, err := k.Entries(); err != nil {
				t.Errorf("after a login: %v", err)
			}
			if len(warned) != 2 {
				t.Errorf("warned %q", warned)
			}
			for _, path := range []string{k.statePath(), k.file(a.ID, ".json")} {
				if b, err := os.ReadFile(path + ".damaged"); string(b) != content {
					t.Errorf("%s was not put aside: %v", filepath.Base(path), err)
				}
			}
			if b, err := os.ReadFile(k.file(a.ID, ".plain")); err != nil || !strings.Contains(string(b), "canary-1") {
				t.Errorf("the tokens behind the damaged file are gone: %v", err)
			}
		})
	}
}

// TestFutureFiles leaves alone what a newer version wrote.
func TestFutureFiles(t *testing.T) {
	k := plainStore(t)
	a := login(t, k, KindPlaintext, "a", session(1))
	future := []byte(`{"version":2,"store_id":["something","else"]}`)
	for _, path := range []string{k.statePath(), k.file(a.ID, ".json")} {
		if err := os.WriteFile(path, future, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := k.Find("a")
	isFault(t, err, Future)
	_, err = k.Update(t.Context(), a, never(t))
	isFault(t, err, Future)
	isFault(t, k.Remove(t.Context(), a, nil), Future)
	_, err = k.Reserve(t.Context(), KindPlaintext, session(2))
	isFault(t, err, Future)
	for _, path := range []string{k.statePath(), k.file(a.ID, ".json")} {
		if b, err := os.ReadFile(path); string(b) != string(future) {
			t.Errorf("%s was touched: %v", filepath.Base(path), err)
		}
	}
}

// TestReadersSeeWholeRecords reads all the time while tokens rotate.
func TestReadersSeeWholeRecords(t *testing.T) {
	for name, open := range fileStores(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			k := open(t, dir)
			e := login(t, k, Kind(name), "bot", session(0))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan int)
			go func() {
				reader, reads := open(t, dir), 0
				for ; ctx.Err() == nil; reads++ {
					s, err := reader.Get(context.WithoutCancel(ctx), e)
					if err != nil {
						t.Error(err)
						break
					}
					access, refresh := strings.TrimPrefix(s.AccessToken.Reveal(), "access-"), strings.TrimPrefix(s.RefreshToken.Reveal(), "refresh-")
					if access != refresh {
						t.Errorf("a mixed record: %s and %s", access, refresh)
						break
					}
					if _, err := reader.Find("bot"); err != nil {
						t.Error(err)
						break
					}
				}
				done <- reads
			}()
			for n := range 100 {
				if _, err := k.Update(t.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
					s.DeviceName = strings.Repeat("x", 1+n*100) // records of every size
					return next(n)(ctx, s)
				}); err != nil {
					t.Fatal(err)
				}
			}
			cancel()
			if reads := <-done; reads < 100 {
				t.Errorf("only %d reads", reads)
			}
		})
	}
}

// TestErrorText reads every kind of error as a person will: one line, with the
// file where there is one.
func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&Error{Kind: Full, Problem: "there is no room to write", Path: "/s/x.age", Err: errors.New("no\nspace")}, "there is no room to write (/s/x.age): no space"},
		{&Error{Kind: Locked, Problem: "the keyring is locked"}, "the keyring is locked"},
		{&NotFoundError{}, "there is no session"},
		{&NotFoundError{Name: "b\x1b[31mot"}, `there is no session "b [31mot"`},
		{&EndedError{Name: "bot", Server: "example.org", Ended: Ended{Reason: "invalid_grant"}}, "the session bot at example.org has ended (invalid_grant)"},
		{&EndedError{Server: "example.org", Ended: Ended{Reason: "logged out"}}, "the session of an unfinished login at example.org has ended (logged out)"},
		{&ExistsError{Name: "bot"}, `there is a session "bot" already`},
		{&AmbiguousError{Names: []string{"a", "b"}}, "several sessions could be meant: a, b"},
		{&BusyError{PID: 123, Waited: 30e9}, "another mxauth (pid 123) has been busy with this session for 30 s"},
		{&BusyError{Waited: 30e9}, "another process has been busy with this session for 30 s"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	for _, k := range []Kind{KindKeyring, KindFile, KindPlaintext} {
		if parsed, err := ParseKind(string(k)); err != nil || parsed != k || strings.Contains(k.Words(), "unknown") {
			t.Errorf("%s: %v, %v", k, parsed, err)
		}
	}
	if _, err := ParseKind("cloud\x1b"); err == nil || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("an unknown kind: %v", err)
	}
}
