package keystore

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zalando/go-keyring"
	ss "github.com/zalando/go-keyring/secret_service"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore/keystoretest"
)

// ringStore opens a keystore in a directory of its own.
func ringStore(t testing.TB, o Options) *Keystore {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	return openStore(t, o)
}

// impatient shortens the limits for a keyring that will not answer; the returned
// function gives it the usual time again. A busy machine needs that.
func impatient(k *Keystore) (restore func()) {
	before := k.limits
	k.limits.probe, k.limits.ring = 400*time.Millisecond, 400*time.Millisecond
	return func() { k.limits = before }
}

// noRing checks that every way to a keyring says the same, in time, and changes
// nothing.
func noRing(t *testing.T, k *Keystore, e Entry, kind Fault) {
	t.Helper()
	if kind == Frozen {
		defer impatient(k)()
	}
	for name, try := range map[string]func() error{
		"Probe":   func() error { return k.Probe(t.Context(), KindKeyring) },
		"Prepare": func() error { return k.Prepare(t.Context(), KindKeyring) },
		"Get":     func() error { _, err := k.Get(t.Context(), e); return err },
		"Update":  func() error { _, err := k.Update(t.Context(), e, never(t)); return err },
		"Reserve": func() error { _, err := k.Reserve(t.Context(), KindKeyring, session(2)); return err },
		"Remove": func() error {
			return k.Remove(t.Context(), e, func(context.Context, flow.Session) error { t.Error("the server was told"); return nil })
		},
		"Remove without the server": func() error { return k.Remove(t.Context(), e, nil) },
	} {
		before, began := withoutLocks(leftovers(t, k)), time.Now()
		noted, err := k.readEntry(e.ID)
		if err != nil {
			t.Fatal(err)
		}
		isFault(t, try(), kind)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s took %s", name, took)
		}
		if after := withoutLocks(leftovers(t, k)); !slices.Equal(before, after) {
			t.Errorf("%s left %v, before it was %v", name, after, before)
		}
		if after, err := k.readEntry(e.ID); err != nil || !reflect.DeepEqual(after, noted) {
			t.Errorf("%s changed the entry to %+v, %v", name, after, err)
		}
	}
}

func withoutLocks(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, ".lock") })
}

// TestNoBus meets machines without a session bus. No bus is started, though a
// program that would do it is on the PATH.
func TestNoBus(t *testing.T) {
	if _, err := os.Stat("/run/user"); err == nil {
		if _, err := sessionBusOf(t, ""); err == nil {
			t.Skip("this machine has a bus where it is looked for")
		}
	}
	bin := t.TempDir()
	started := filepath.Join(bin, "started")
	if err := os.WriteFile(filepath.Join(bin, "dbus-launch"), []byte("#!/bin/sh\n: >"+started+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(bin, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{
		"no address": "", "autolaunch": "autolaunch:", "no socket": "unix:path=" + bin + "/none", "dead socket": "unix:path=" + dead,
		"nonsense": "nonsense", "unknown transport": "pigeon:speed=7",
	} {
		t.Run(name, func(t *testing.T) {
			useAddress(t, address)
			t.Setenv("PATH", bin)
			e := Entry{ID: "X", Kind: KindKeyring, Account: "A/X"}
			k := ringStore(t, Options{})
			if err := errors.Join(k.makeDir(), k.writeEntry(e)); err != nil {
				t.Fatal(err)
			}
			noRing(t, k, e, Missing)
		})
	}
	if _, err := os.Stat(started); err == nil {
		t.Error("a bus was started")
	}
}

// sessionBusOf is sessionBus under an address.
func sessionBusOf(t *testing.T, address string) (any, error) {
	t.Helper()
	useAddress(t, address)
	return sessionBus()
}

// TestSilentBus meets sockets that take a connection and say nothing.
func TestSilentBus(t *testing.T) {
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := net.Listen("unix", filepath.Join(dir, "silent"))
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 10)
	go func() {
		defer close(conns)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns <- conn
		}
	}()
	t.Setenv(busAddress, "unix:path="+filepath.Join(dir, "silent"))
	k := ringStore(t, Options{})
	impatient(k)
	for range 3 {
		isFault(t, k.Probe(t.Context(), KindKeyring), Frozen)
	}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(stop) })
	if err := k.Probe(ctx, KindKeyring); !errors.Is(err, stop) {
		t.Errorf("cancelled: %v", err)
	}
	// Hang up, so that the next test gets a connection of its own.
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	n := 0
	for conn := range conns {
		_ = conn.Close()
		n++
	}
	if err := k.ring.turn.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n != 1 {
		t.Errorf("%d connections: each probe left one behind", n)
	}
}

// TestNoService meets buses on which nobody offers a keyring, or only seems to.
func TestNoService(t *testing.T) {
	e := Entry{ID: "X", Kind: KindKeyring, Account: "A/X"}
	begin := func(t *testing.T) (*keystoretest.Bus, *Keystore) {
		bus := keystoretest.StartBus(t)
		useBus(t, bus)
		k := ringStore(t, Options{})
		if err := errors.Join(k.makeDir(), k.writeEntry(e)); err != nil {
			t.Fatal(err)
		}
		return bus, k
	}
	t.Run("nobody", func(t *testing.T) {
		_, k := begin(t)
		noRing(t, k, e, Missing)
	})
	t.Run("one that fails to start", func(t *testing.T) {
		bus, k := begin(t)
		bus.Offer(t, "/bin/false")
		noRing(t, k, e, Missing)
	})
	t.Run("one that takes too long to start", func(t *testing.T) {
		bus, k := begin(t)
		bus.Offer(t, "/bin/sleep 5")
		noRing(t, k, e, Frozen)
	})
	t.Run("one that the bus starts", func(t *testing.T) {
		keystoretest.StartService(t).Kill() // skips where it is not installed
		bus, k := begin(t)
		bus.Offer(t, "/usr/bin/gnome-keyring-daemon --foreground --components=secrets")
		k.limits.probe = 10 * time.Second
		err := k.Probe(t.Context(), KindKeyring)
		isFault(t, err, Missing)
		if !strings.Contains(err.Error(), "no default collection") {
			t.Errorf("it was not asked: %v", err)
		}
	})
	t.Run("the bus dies", func(t *testing.T) {
		bus, k := begin(t)
		if err := k.Probe(t.Context(), KindKeyring); err == nil {
			t.Error("there is a keyring on an empty bus")
		}
		conn, err := sessionBus()
		if err != nil {
			t.Fatal(err)
		}
		bus.Kill()
		<-conn.Context().Done() // until it is noticed, the keyring counts as broken
		noRing(t, k, e, Missing)
	})
	t.Run("the bus is frozen", func(t *testing.T) {
		bus, k := begin(t)
		bus.Freeze()
		defer bus.Kill() // which frees what waits for it
		noRing(t, k, e, Frozen)
	})
}

// TestRealKeyring breaks a gnome-keyring in every way that can be told apart,
// and shows each time that the session is there when the keyring is.
func TestRealKeyring(t *testing.T) {
	s := keystoretest.StartService(t)
	useBus(t, s.Bus)
	k := ringStore(t, Options{})
	e := login(t, k, KindKeyring, "bot", expired(1))

	t.Run("locked", func(t *testing.T) {
		s.Lock()
		noRing(t, k, e, Locked)
		s.Unlock()
		holds(t, k, e, 1)
	})
	t.Run("frozen", func(t *testing.T) {
		s.Stop()
		noRing(t, k, e, Frozen)
		s.Cont()
		holds(t, k, e, 1)
	})
	t.Run("dead", func(t *testing.T) {
		s.Kill()
		noRing(t, k, e, Missing)
		s.Start()
		holds(t, k, e, 1)
	})

	// during runs an update whose server does something to the keyring.
	during := func(t *testing.T, what func()) (flow.Session, error) {
		t.Helper()
		return k.Update(t.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
			what()
			return next(2)(ctx, s)
		})
	}
	patient := func() {}
	for name, c := range map[string]struct {
		what, mend func()
		kind       Fault
	}{
		"dies between read and write":    {s.Kill, s.Start, Missing},
		"locks between read and write":   {s.Lock, s.Unlock, Locked},
		"freezes between read and write": {func() { s.Stop(); patient = impatient(k) }, func() { s.Cont(); patient() }, Frozen},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := during(t, c.what)
			isFault(t, err, c.kind)
			carries(t, got, 1)
			c.mend()
			holds(t, k, e, 1)
		})
	}
	t.Run("comes back in time", func(t *testing.T) {
		got, err := during(t, func() { s.Kill(); s.Start() })
		if err != nil {
			t.Fatal(err)
		}
		carries(t, got, 2)
		holds(t, k, e, 2)
	})
	t.Run("stops over a second item", func(t *testing.T) {
		for n := 10; n < 16; n++ {
			s.AddItem(service, e.Account, "another program's")
			if _, err := k.Get(t.Context(), e); err != nil { // the other one is found
				if err := keyring.Delete(service, e.Account); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if _, err := k.Update(t.Context(), e, next(n)); err != nil {
				t.Fatal(err)
			}
			if n := items(t, e); n != 1 {
				t.Errorf("%d items for one session", n)
			}
			s.Unlock() // the order of two may change with a start
			holds(t, k, e, n)
		}
		if err := k.Remove(t.Context(), e, nil); err != nil {
			t.Error(err)
		}
		gone(t, k, e)
	})
	t.Run("has no collection", func(t *testing.T) {
		e := login(t, k, KindKeyring, "other", session(1))
		s.Kill()
		s.StartFresh()
		noRing(t, k, e, Missing)
	})
}

// items counts what the keyring has for a session.
func items(t *testing.T, e Entry) int {
	t.Helper()
	secrets, err := ss.NewSecretService()
	if err != nil {
		t.Fatal(err)
	}
	found, err := secrets.SearchItems(secrets.GetLoginCollection(), map[string]string{"service": service, "username": e.Account})
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// TestOneItem keeps the item that is found, and no other: which of two is found
// may change with the next start of a keyring.
func TestOneItem(t *testing.T) {
	f := startFake(t)
	k := ringStore(t, Options{})
	e := login(t, k, KindKeyring, "bot", expired(1))
	another := map[string]string{"service": service, "username": e.Account, "other": "true"}
	f.set(func(f *fakeRing) { f.add(another, []byte("another program's")) })
	if _, err := k.Update(t.Context(), e, next(2)); err != nil {
		t.Fatal(err)
	}
	if n := items(t, e); n != 1 {
		t.Errorf("%d items for one session", n)
	}
	holds(t, k, e, 2)
	f.set(func(f *fakeRing) { f.add(another, []byte("another program's")); f.prompt = dismissed })
	_, err := k.Update(t.Context(), e, never(t))
	isFault(t, err, Broken)
	holds(t, k, e, 2)
}

// TestRecordShrinks reads a record that moves from its file into its item between
// the two reads.
func TestRecordShrinks(t *testing.T) {
	f := startFake(t)
	k := ringStore(t, Options{})
	e := login(t, k, KindKeyring, "bot", big(expired(1)))
	small, err := encode(session(2))
	if err != nil {
		t.Fatal(err)
	}
	f.set(func(f *fakeRing) {
		f.onGet = func(item *fakeItem) { // the reader has the key
			item.value = small
			if err := os.Remove(k.ring.boxPath(e)); err != nil {
				t.Error(err)
			}
		}
	})
	holds(t, k, e, 2)
}

// TestPrompt unlocks a keyring if somebody is there to do it, and never else.
func TestPrompt(t *testing.T) {
	for name, c := range map[string]struct {
		interactive bool
		display     string
		prompt      prompting
		fault       Fault // empty: it works
		prompts     bool
	}{
		"unlocked by the person": {true, ":0", noPrompt, "", true},
		"the person says no":     {true, ":0", dismissed, Locked, true},
		"the person is away":     {true, ":0", stuck, Frozen, true},
		"nobody is there":        {false, ":0", noPrompt, Locked, false},
		"there is no display":    {true, "", noPrompt, Locked, false},
		"nobody, and no display": {false, "", noPrompt, Locked, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t)
			t.Setenv("DISPLAY", c.display)
			var said []string
			k := ringStore(t, Options{Interactive: c.interactive, Waiting: func(what string) { said = append(said, what) }})
			e := login(t, k, KindKeyring, "bot", session(1))
			if c.prompt == stuck {
				k.limits.person = 400 * time.Millisecond
			}
			f.set(func(f *fakeRing) { f.locked, f.prompt = true, c.prompt })
			began := time.Now()
			s, err := k.Get(t.Context(), e)
			if c.fault != "" {
				isFault(t, err, c.fault)
			} else if err != nil {
				t.Error(err)
			} else {
				carries(t, s, 1)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
			if asked := f.count("Prompt") > 0; asked != c.prompts || (len(said) == 1) != c.prompts {
				t.Errorf("asked %v, said %q", asked, said)
			}
		})
	}
}

// TestFalseSuccess has a keyring say that it did what it did not: go-keyring
// takes a prompt that was closed for success.
func TestFalseSuccess(t *testing.T) {
	begin := func(t *testing.T) (*fakeRing, *Keystore, Entry) {
		f := startFake(t)
		k := ringStore(t, Options{})
		return f, k, login(t, k, KindKeyring, "bot", expired(1))
	}
	deaf := map[string]func(*fakeRing){
		"a closed prompt": func(f *fakeRing) { f.prompt = dismissed },
		"nothing at all":  func(f *fakeRing) { f.forget = true },
	}
	for name, change := range deaf {
		t.Run("login, "+name, func(t *testing.T) {
			f, k, _ := begin(t)
			f.set(change)
			_, err := k.Reserve(t.Context(), KindKeyring, session(2))
			isFault(t, err, Broken)
			if left := leftovers(t, k); len(left) != 2 {
				t.Errorf("left behind: %v", left)
			}
		})
		t.Run("before the refresh, "+name, func(t *testing.T) {
			f, k, e := begin(t)
			f.set(change)
			s, err := k.Update(t.Context(), e, never(t))
			isFault(t, err, Broken)
			carries(t, s, 1)
			holds(t, k, e, 1)
		})
		t.Run("after the refresh, "+name, func(t *testing.T) {
			f, k, e := begin(t)
			s, err := k.Update(t.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
				f.set(change)
				return next(2)(ctx, s)
			})
			isFault(t, err, Broken)
			carries(t, s, 1)
			holds(t, k, e, 1)
		})
	}
	t.Run("logout", func(t *testing.T) {
		f, k, e := begin(t)
		f.set(deaf["a closed prompt"])
		told := 0
		revoke := func(context.Context, flow.Session) error { told++; return nil }
		isFault(t, k.Remove(t.Context(), e, revoke), Broken)
		if found, err := k.Find("bot"); err != nil || found.Ended == nil {
			t.Errorf("what is dead at the server looks alive: %+v, %v", found, err)
		}
		f.set(func(f *fakeRing) { f.prompt = noPrompt })
		found, err := k.Find("bot")
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Remove(t.Context(), found, revoke); err != nil {
			t.Error(err)
		}
		gone(t, k, e)
		if told != 1 {
			t.Errorf("the server was told %d times", told)
		}
	})
}

// TestLate has writes take effect after they were given up. Until then nobody
// else may write: the late one would overwrite what is newer.
func TestLate(t *testing.T) {
	patient := func() {}
	begin := func(t *testing.T) (*fakeRing, *Keystore, *Keystore, Entry, chan struct{}) {
		f := startFake(t)
		dir := t.TempDir()
		k, other := ringStore(t, Options{Dir: dir}), ringStore(t, Options{Dir: dir})
		other.limits.lock = 100 * time.Millisecond
		return f, k, other, login(t, k, KindKeyring, "bot", expired(1)), make(chan struct{})
	}
	late := func(f *fakeRing, k *Keystore, hold chan struct{}) {
		f.set(func(f *fakeRing) { f.hold["CreateItem"] = hold })
		patient = impatient(k)
	}
	// after lets the late write through, and looks at what the next process does.
	after := func(t *testing.T, f *fakeRing, k, other *Keystore, e Entry, hold chan struct{}, n int) {
		t.Helper()
		var busy *BusyError
		if _, err := other.Update(t.Context(), e, never(t)); !errors.As(err, &busy) {
			t.Errorf("another process while a write is in the air: %v", err)
		}
		_, err := k.Get(t.Context(), e)
		isFault(t, err, Frozen) // this process waits for its own call
		patient()
		f.set(func(f *fakeRing) { delete(f.hold, "CreateItem") })
		close(hold)
		other.limits.lock = 10 * time.Second
		s, err := other.Update(t.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
			carries(t, s, n)
			return next(9)(ctx, s)
		})
		if err != nil {
			t.Fatal(err)
		}
		carries(t, s, 9)
		holds(t, k, e, 9)
		if values := f.values(); len(values) != 1 {
			t.Errorf("%d items", len(values))
		}
	}
	t.Run("before the refresh", func(t *testing.T) {
		f, k, other, e, hold := begin(t)
		late(f, k, hold)
		s, err := k.Update(t.Context(), e, never(t))
		isFault(t, err, Frozen)
		carries(t, s, 1)
		after(t, f, k, other, e, hold, 1)
	})
	t.Run("after the refresh", func(t *testing.T) {
		f, k, other, e, hold := begin(t)
		s, err := k.Update(t.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
			late(f, k, hold)
			return next(2)(ctx, s)
		})
		isFault(t, err, Frozen)
		carries(t, s, 1)
		after(t, f, k, other, e, hold, 2) // what the server gave out is there after all
	})
	t.Run("login", func(t *testing.T) {
		f, k, other, _, hold := begin(t)
		late(f, k, hold)
		_, err := k.Reserve(t.Context(), KindKeyring, session(2))
		isFault(t, err, Frozen)
		f.set(func(f *fakeRing) { delete(f.hold, "CreateItem") })
		close(hold)
		var left []Entry
		for len(left) == 0 { // when its lock is free
			if left, err = other.Abandoned(); err != nil {
				t.Fatal(err)
			}
		}
		if err := other.Remove(t.Context(), left[0], nil); err != nil {
			t.Error(err)
		}
		if values := f.values(); len(values) != 1 {
			t.Errorf("%d items", len(values))
		}
	})
}

// TestSlowKeyring says what it waits for.
func TestSlowKeyring(t *testing.T) {
	f := startFake(t)
	said := make(chan string, 10)
	k := ringStore(t, Options{Waiting: func(what string) { said <- what }})
	e := login(t, k, KindKeyring, "bot", session(1))
	k.limits.quiet, k.limits.ring = time.Millisecond, 10*time.Second
	hold := make(chan struct{})
	f.set(func(f *fakeRing) { f.hold["GetSecret"] = hold })
	go func() {
		if what := <-said; what != "Waiting for the keyring." {
			t.Errorf("said %q", what)
		}
		close(hold)
	}()
	holds(t, k, e, 1)
}

// TestShortWay reads an item in few round trips, leaves no session behind in the
// keyring, and asks for no more where something is out of the ordinary than
// go-keyring would.
func TestShortWay(t *testing.T) {
	f := startFake(t)
	k := ringStore(t, Options{})
	e := login(t, k, KindKeyring, "bot", session(1))
	count := func() map[string]int {
		f.mu.Lock()
		defer f.mu.Unlock()
		calls := f.calls
		f.calls = map[string]int{}
		return calls
	}
	closed := func(calls map[string]int) {
		for deadline := time.Now().Add(5 * time.Second); calls["Close"] < calls["OpenSession"] && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
			calls["Close"] += count()["Close"]
		}
	}
	closed(count())
	holds(t, k, e, 1)
	calls := count()
	closed(calls)
	delete(calls, "SearchItems") // the fake's own
	if want := map[string]int{"OpenSession": 1, "Service.SearchItems": 1, "GetSecret": 1, "Close": 1}; !maps.Equal(calls, want) {
		t.Errorf("a read asks %v, want %v", calls, want)
	}
	f.set(func(f *fakeRing) {
		f.add(map[string]string{"service": service, "username": e.Account, "x": "y"}, []byte("another"))
	})
	holds(t, k, e, 1)
	calls = count()
	closed(calls)
	if calls["OpenSession"] != 2 || calls["Close"] != 2 || calls["Unlock"] == 0 {
		t.Errorf("with two items: %v", calls)
	}
}

// TestKeyringFolder looks at which folder is synced after a write: gnome-keyring's,
// if there is one. A link to itself stands for a folder that gives an error.
func TestKeyringFolder(t *testing.T) {
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	t.Setenv("HOME", filepath.Join(data, "elsewhere"))
	if err := (&ring{}).sync(); err != nil {
		t.Errorf("without a folder: %v", err)
	}
	folder := filepath.Join(data, "keyrings")
	if err := os.Symlink(folder, folder); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := (&ring{}).sync(); !errors.As(err, &e) || e.Path != folder {
		t.Errorf("a folder that cannot be opened: %v", err)
	}
	t.Setenv("XDG_DATA_HOME", "relative")
	t.Chdir(data)
	if err := (&ring{}).sync(); err != nil {
		t.Errorf("a relative folder: %v", err)
	}
}
