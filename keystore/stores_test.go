package keystore

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/zalando/go-keyring"

	"github.com/mxauth/mxauth/flow"
)

// A place is a store that the contract is checked against. open makes a new
// Keystore over a directory, as another process would.
type place struct {
	kind Kind
	open func(t testing.TB, dir string) *Keystore
}

// places starts every kind of store.
func places() map[string]func(testing.TB) place {
	places := map[string]func(testing.TB) place{
		"plaintext": func(testing.TB) place {
			return place{KindPlaintext, func(t testing.TB, dir string) *Keystore { return openStore(t, Options{Dir: dir}) }}
		},
		"key file": func(t testing.TB) place {
			key := filepath.Join(t.TempDir(), "deeper", "key")
			return place{KindFile, func(t testing.TB, dir string) *Keystore { return openStore(t, Options{Dir: dir, KeyFile: key}) }}
		},
		"key command": func(t testing.TB) place {
			command := "cat '" + writeKey(t, "key") + "'"
			return place{KindFile, func(t testing.TB, dir string) *Keystore { return openStore(t, Options{Dir: dir, KeyCommand: command}) }}
		},
		"systemd credential": func(t testing.TB) place {
			dir := filepath.Dir(writeKey(t, "mxauth.key"))
			return place{KindFile, func(t testing.TB, d string) *Keystore { return openStore(t, Options{Dir: d, CredentialsDir: dir}) }}
		},
		"passphrase": func(testing.TB) place {
			ask := func(context.Context, bool) (flow.Secret, error) { return flow.NewSecret("correct horse"), nil }
			return place{KindFile, func(t testing.TB, dir string) *Keystore { return openStore(t, Options{Dir: dir, Passphrase: ask}) }}
		},
	}
	maps.Copy(places, ringPlaces())
	return places
}

// writeKey writes an age identity.
func writeKey(t testing.TB, name string) string {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStores checks one contract against every store.
func TestStores(t *testing.T) {
	contract := []struct {
		name  string
		check func(*testing.T, place)
	}{
		{"login", checkLogin},
		{"login given up", checkGivenUp},
		{"name taken", checkTakenName},
		{"name taken over", checkTakeOver},
		{"names", checkNames},
		{"update", checkUpdate},
		{"update of a moved session", checkMoved},
		{"token source", checkTokenSource},
		{"many at once", checkManyAtOnce},
		{"large record", checkLarge},
		{"large login", checkLargeLogin},
		{"logout", checkLogout},
		{"logout refused", checkLogoutRefused},
		{"logout that rotated", checkLogoutRotated},
		{"ended", checkEnded},
		{"empty, damaged, future records", checkBadRecords},
	}
	for name, start := range places() {
		t.Run(name, func(t *testing.T) {
			p := start(t)
			for _, c := range contract {
				t.Run(c.name, func(t *testing.T) { c.check(t, p) })
			}
		})
	}
}

// checkLogin follows a login from its slot to its name, and looks at it from
// another process at each step.
func checkLogin(t *testing.T, p place) {
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "not", "there", "yet")
	k := p.open(t, dir)
	if err := k.Prepare(ctx, p.kind); err != nil {
		t.Fatal(err)
	}
	if err := k.Probe(ctx, p.kind); err != nil {
		t.Fatal(err)
	}
	draft := flow.Session{Server: flow.Server{Name: "example.org"}, DeviceID: "DEVICE"}
	e, err := k.Reserve(ctx, p.kind, draft)
	if err != nil {
		t.Fatal(err)
	}
	other := p.open(t, dir)
	pending := func() {
		t.Helper()
		entries, err := other.Entries()
		if err != nil || len(entries) != 1 || !entries[0].Pending || entries[0].Server != "example.org" || entries[0].DeviceID != "DEVICE" {
			t.Errorf("entries during the login: %+v, %v", entries, err)
		}
		if left, err := other.Abandoned(); err != nil || len(left) != 0 {
			t.Errorf("a login under way counts as abandoned: %v, %v", left, err)
		}
		if _, err := other.Find("bot"); !errors.Is(err, ErrNotFound) {
			t.Errorf("Find: %v", err)
		}
		if _, err := other.Default(); !errors.Is(err, ErrNotFound) {
			t.Errorf("Default: %v", err)
		}
	}
	pending()
	if !e.Updated.IsZero() {
		t.Error("a slot without tokens says that it has some")
	}
	_, err = other.Get(ctx, e)
	isFault(t, err, Missing)

	s := session(1)
	if e, err = k.Fill(ctx, e, s); err != nil {
		t.Fatal(err)
	}
	pending()
	holds(t, other, e, 1)
	if e, err = k.Name(ctx, e, "bot", "@bot:example.org", nil); err != nil {
		t.Fatal(err)
	}
	found, err := other.Find("bot")
	if err != nil || !reflect.DeepEqual(found, e) || found.Pending || found.UserID != "@bot:example.org" || !found.Expiry.Equal(s.Expiry) || found.Updated.IsZero() {
		t.Errorf("found %+v, %v\nnamed %+v", found, err, e)
	}
	got, err := other.Get(ctx, found)
	s.UserID = "@bot:example.org"
	if got.AccessToken.Reveal() != s.AccessToken.Reveal() || got.RefreshToken.Reveal() != s.RefreshToken.Reveal() || got.Client.Secret.Reveal() != s.Client.Secret.Reveal() {
		t.Error("the secrets are not what was stored")
	}
	got.AccessToken, got.RefreshToken, got.Client.Secret = s.AccessToken, s.RefreshToken, s.Client.Secret
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("stored %+v\nread   %+v, %v", s, got, err)
	}
	if _, err := k.Name(ctx, e, "again", "", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a slot can be named twice: %v", err)
	}
	onlyIn(t, k, ".plain")
}

// checkGivenUp leaves nothing of a login that was given up, at whatever point.
func checkGivenUp(t *testing.T, p place) {
	ctx, k := t.Context(), p.open(t, t.TempDir())
	if err := k.Prepare(ctx, p.kind); err != nil {
		t.Fatal(err)
	}
	for _, filled := range []bool{false, true} {
		e, err := k.Reserve(ctx, p.kind, session(1))
		if err == nil && filled {
			e, err = k.Fill(ctx, e, session(1))
		}
		if err != nil {
			t.Fatal(err)
		}
		revoked := 0
		if err := k.Remove(ctx, e, func(_ context.Context, s flow.Session) error { revoked++; carries(t, s, 1); return nil }); err != nil {
			t.Error(err)
		}
		if want := map[bool]int{true: 1}[filled]; revoked != want {
			t.Errorf("revoked %d times, want %d", revoked, want)
		}
		if _, err := k.Fill(ctx, e, session(2)); !errors.Is(err, ErrNotFound) {
			t.Errorf("Fill after Remove: %v", err)
		}
		if left := leftovers(t, k); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		gone(t, k, e)
	}
}

// gone checks that a store has nothing of a session any more.
func gone(t *testing.T, k *Keystore, e Entry) {
	t.Helper()
	v, err := k.vault(e.Kind)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.read(t.Context(), e); !errors.Is(err, errAbsent) {
		t.Errorf("the store still has it: %v", err)
	}
	if e.Kind != KindKeyring {
		return
	}
	if v, err := keyring.Get(service, e.Account); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("the keyring still has an item: %d bytes, %v", len(v), err)
	}
}

func checkTakenName(t *testing.T, p place) {
	ctx, k := t.Context(), p.open(t, t.TempDir())
	first := login(t, k, p.kind, "bot", session(1))
	e, err := k.Reserve(ctx, p.kind, session(2))
	if err == nil {
		e, err = k.Fill(ctx, e, session(2))
	}
	if err != nil {
		t.Fatal(err)
	}
	var taken *ExistsError
	if _, err := k.Name(ctx, e, "bot", "", nil); !errors.As(err, &taken) || taken.Name != "bot" {
		t.Errorf("a taken name: %v", err)
	}
	if _, err := k.Name(ctx, e, "", "", nil); err == nil {
		t.Error("no name is a name")
	}
	if _, err := k.Name(ctx, e, "bot", "", &e); !errors.As(err, &taken) {
		t.Errorf("a name that another session took meanwhile: %v", err)
	}
	if e, err = k.Name(ctx, e, "bot2", "", nil); err != nil { // the slot is still there
		t.Error(err)
	}
	holds(t, k, first, 1)
	holds(t, k, e, 2)
}

// checkTakeOver gives a name to a newer session, and shows that the older one
// does not come back under it.
func checkTakeOver(t *testing.T, p place) {
	ctx, dir := t.Context(), t.TempDir()
	k := p.open(t, dir)
	old := login(t, k, p.kind, "bot", session(1))
	e, err := k.Reserve(ctx, p.kind, session(2))
	if err == nil {
		e, err = k.Fill(ctx, e, session(2))
	}
	if err != nil {
		t.Fatal(err)
	}
	e.Created = old.Created.Add(-time.Hour) // the clock was set back
	if e, err = k.Name(ctx, e, "bot", "@bot:example.org", &old); err != nil {
		t.Fatal(err)
	}
	if noted, err := k.readEntry(old.ID); err != nil || noted.Name != "" {
		t.Errorf("the former session keeps its name: %+v, %v", noted, err)
	}
	other := p.open(t, dir)
	found, err := other.Find("bot")
	if err != nil || found.ID != e.ID {
		t.Fatalf("the name is that of %+v, %v", found, err)
	}
	left, err := other.Abandoned()
	if err != nil || len(left) != 1 || left[0].ID != old.ID {
		t.Fatalf("abandoned: %+v, %v", left, err)
	}
	if err := k.Remove(ctx, found, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Find("bot"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the former session came back under the name: %v", err)
	}
	if err := k.Remove(ctx, left[0], func(_ context.Context, s flow.Session) error { carries(t, s, 1); return nil }); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, k); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func checkNames(t *testing.T, p place) {
	ctx, k := t.Context(), p.open(t, t.TempDir())
	if entries, err := k.Entries(); err != nil || len(entries) != 0 {
		t.Errorf("entries of nothing: %v, %v", entries, err)
	}
	if _, err := k.Default(); !errors.Is(err, ErrNotFound) {
		t.Errorf("default of nothing: %v", err)
	}
	b := login(t, k, p.kind, "b", session(2))
	if e, err := k.Default(); err != nil || e.ID != b.ID {
		t.Errorf("the only one is the default: %v, %v", e, err)
	}
	login(t, k, p.kind, "a", session(1))
	var many *AmbiguousError
	if _, err := k.Default(); !errors.As(err, &many) || !reflect.DeepEqual(many.Names, []string{"a", "b"}) {
		t.Errorf("default of two: %v", err)
	}
	if err := k.Use(ctx, "c"); !errors.Is(err, ErrNotFound) {
		t.Errorf("use of what is not there: %v", err)
	}
	if err := k.Use(ctx, "b"); err != nil {
		t.Error(err)
	}
	var taken *ExistsError
	if err := k.Rename(ctx, "b", "a"); !errors.As(err, &taken) {
		t.Errorf("rename to a taken name: %v", err)
	}
	if err := k.Rename(ctx, "b", ""); err == nil {
		t.Error("rename to no name")
	}
	if err := k.Rename(ctx, "x", "y"); !errors.Is(err, ErrNotFound) {
		t.Errorf("rename of what is not there: %v", err)
	}
	if err := k.Rename(ctx, "b", "c"); err != nil {
		t.Error(err)
	}
	if e, err := k.Default(); err != nil || e.Name != "c" || e.ID != b.ID {
		t.Errorf("the default keeps its place under its new name: %+v, %v", e, err)
	}
	holds(t, k, b, 2)
}

func checkUpdate(t *testing.T, p place) {
	ctx, dir := t.Context(), t.TempDir()
	k := p.open(t, dir)
	e := login(t, k, p.kind, "bot", expired(1))
	s, err := k.Update(ctx, e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
		carries(t, s, 1)
		return next(2)(ctx, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	carries(t, s, 2)
	if s.UserID != "@alice:example.org" {
		t.Errorf("whose session it is was lost: %q", s.UserID)
	}
	other := p.open(t, dir)
	holds(t, other, e, 2)
	if found, err := other.Find("bot"); err != nil || !found.Expiry.Equal(s.Expiry) || !found.Updated.After(e.Updated) {
		t.Errorf("the entry was not brought up to date: %+v, %v", found, err)
	}
	fresh, err := other.Fresh(ctx, e, never(t), func(s flow.Session) bool { return s.FreshFor(time.Now(), time.Minute) })
	if err != nil {
		t.Error(err)
	}
	carries(t, fresh, 2)
	if s, err = k.Update(ctx, e, fails(flow.KindTemporary, "")); flow.KindOf(err) != flow.KindTemporary {
		t.Errorf("a server out of reach: %v", err)
	}
	carries(t, s, 2)
	holds(t, k, e, 2)
	if left := leftovers(t, k); strings.Contains(strings.Join(left, " "), ".tmp") {
		t.Errorf("left behind: %v", left)
	}
}

func checkMoved(t *testing.T, p place) {
	k := p.open(t, t.TempDir())
	e := login(t, k, p.kind, "bot", session(1))
	now, kind := e, e.Kind
	for _, to := range []Kind{KindKeyring, KindFile, KindPlaintext} {
		if to == kind {
			continue
		}
		now.Kind = to
		if err := k.writeEntry(now); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Update(t.Context(), e, never(t)); err == nil { // it looks in the new place, where nothing is
			t.Errorf("%s: tokens were found that nobody stored there", to)
		}
	}
	now.Kind = "cloud"
	if err := k.writeEntry(now); err != nil {
		t.Fatal(err)
	}
	_, err := k.Get(t.Context(), now)
	isFault(t, err, Future)
}

func checkTokenSource(t *testing.T, p place) {
	ctx, k := t.Context(), p.open(t, t.TempDir())
	e := login(t, k, p.kind, "bot", expired(1))
	token, err := k.TokenSource(ctx, e, next(2)).Token()
	if err != nil || token.AccessToken != "access-canary-2" || token.RefreshToken != "" || !token.Valid() {
		t.Errorf("token: %+v, %v", token, err)
	}
	if token, err = k.TokenSource(ctx, e, never(t)).Token(); err != nil || token.AccessToken != "access-canary-2" {
		t.Errorf("token of a fresh session: %+v, %v", token, err)
	}
}

// checkManyAtOnce has 50 goroutines ask for a token of one session that has run
// out, through as many keystores. The server is asked once, even where no token
// of its can be good enough.
func checkManyAtOnce(t *testing.T, p place) {
	for name, enough := range map[string]func(flow.Session) bool{
		"good enough":        func(s flow.Session) bool { return s.FreshFor(time.Now(), time.Minute) },
		"never good enough":  func(s flow.Session) bool { return s.Lasts(time.Now(), time.Hour) },
		"good for ever only": func(flow.Session) bool { return false },
	} {
		dir := t.TempDir()
		e := login(t, p.open(t, dir), p.kind, "bot", expired(1))
		var everybody, all sync.WaitGroup
		var mu sync.Mutex
		asked := 0
		const n = 50
		everybody.Add(n)
		for range n {
			all.Go(func() {
				k := p.open(t, dir)
				seen := false
				s, err := k.Fresh(t.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
					mu.Lock()
					asked++
					n := asked
					mu.Unlock()
					return next(1+n)(ctx, s)
				}, func(s flow.Session) bool {
					if !seen { // what was read first: wait until all have read
						seen = true
						everybody.Done()
						everybody.Wait()
					}
					return enough(s)
				})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				carries(t, s, 2)
			})
		}
		all.Wait()
		if asked != 1 {
			t.Errorf("%s: the server was asked %d times", name, asked)
		}
	}
}

// big makes a session that no item of a keyring can hold.
func big(s flow.Session) flow.Session {
	s.Client.Secret = flow.NewSecret("client-canary" + strings.Repeat("x", 2*itemMax))
	return s
}

// checkLarge lets a record outgrow the item of a keyring, and shrink again.
func checkLarge(t *testing.T, p place) {
	ctx, dir := t.Context(), t.TempDir()
	k := p.open(t, dir)
	e := login(t, k, p.kind, "bot", session(1))
	for n, size := range []int{0, itemMax * 2, itemMax * 3, 0, itemMax * 2, 0} {
		_, err := k.Update(ctx, e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
			s.Client.Secret = flow.NewSecret("client-canary" + strings.Repeat("x", size))
			return next(2+n)(ctx, s)
		})
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		s, err := p.open(t, dir).Get(ctx, e)
		if err != nil || len(s.Client.Secret.Reveal()) != size+len("client-canary") {
			t.Fatalf("%d bytes: read %d, %v", size, len(s.Client.Secret.Reveal()), err)
		}
		carries(t, s, 2+n)
		_, err = os.Stat(k.file(e.ID, ".box"))
		if p.kind == KindKeyring && (err == nil) != (size > itemMax) {
			t.Errorf("%d bytes: sealed file: %v", size, err)
		}
		onlyIn(t, k, ".plain")
	}
	if err := k.Remove(ctx, e, nil); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, k); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func checkLargeLogin(t *testing.T, p place) {
	ctx, k := t.Context(), p.open(t, t.TempDir())
	e := login(t, k, p.kind, "bot", big(expired(1)))
	holds(t, k, e, 1)
	if _, err := k.Update(ctx, e, next(2)); err != nil {
		t.Error(err)
	}
	holds(t, k, e, 2)
	if err := k.Remove(ctx, e, nil); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, k); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	gone(t, k, e)
}

func checkLogout(t *testing.T, p place) {
	ctx, dir := t.Context(), t.TempDir()
	k := p.open(t, dir)
	e := login(t, k, p.kind, "bot", session(1))
	calls := 0
	if err := k.Remove(ctx, e, func(_ context.Context, s flow.Session) error { calls++; carries(t, s, 1); return nil }); err != nil {
		t.Fatal(err)
	}
	if calls != 1 {
		t.Errorf("the server was told %d times", calls)
	}
	other := p.open(t, dir)
	if _, err := other.Find("bot"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Find: %v", err)
	}
	if _, err := other.Get(ctx, e); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if _, err := other.Update(ctx, e, never(t)); !errors.Is(err, ErrNotFound) {
		t.Errorf("Update: %v", err)
	}
	if err := other.Remove(ctx, e, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("Remove: %v", err)
	}
	if left := leftovers(t, k); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	gone(t, k, e)
}

func checkLogoutRefused(t *testing.T, p place) {
	ctx, k := t.Context(), p.open(t, t.TempDir())
	e := login(t, k, p.kind, "bot", session(1))
	down := &flow.Error{Kind: flow.KindTemporary}
	if err := k.Remove(ctx, e, func(context.Context, flow.Session) error { return down }); !errors.Is(err, down) {
		t.Errorf("a server that is down: %v", err)
	}
	holds(t, k, e, 1)
	if now, err := k.Find("bot"); err != nil || now.Ended != nil {
		t.Errorf("the session was marked all the same: %+v, %v", now, err)
	}
	if err := k.Remove(ctx, e, nil); err != nil { // by --local-only
		t.Error(err)
	}
	gone(t, k, e)
}

// checkLogoutRotated keeps the tokens that a failed logout brought.
func checkLogoutRotated(t *testing.T, p place) {
	ctx, k := t.Context(), p.open(t, t.TempDir())
	e := login(t, k, p.kind, "bot", session(1))
	alive := &flow.Error{Kind: flow.KindInvalid}
	err := k.Remove(ctx, e, func(ctx context.Context, s flow.Session) error {
		s, _ = next(2)(ctx, s)
		return &flow.RotatedError{Session: s, Err: alive}
	})
	if !errors.Is(err, alive) {
		t.Errorf("got %v", err)
	}
	holds(t, k, e, 2)
	if left := leftovers(t, k); strings.Contains(strings.Join(left, " "), ".tmp") {
		t.Errorf("left behind: %v", left)
	}
}

// checkEnded marks a session that the server ended, and keeps its record.
func checkEnded(t *testing.T, p place) {
	ctx, dir := t.Context(), t.TempDir()
	k := p.open(t, dir)
	e := login(t, k, p.kind, "bot", expired(1))
	if _, err := k.Update(ctx, e, fails(flow.KindEnded, "invalid_grant")); flow.KindOf(err) != flow.KindEnded {
		t.Errorf("Update: %v", err)
	}
	other := p.open(t, dir)
	found, err := other.Find("bot")
	if err != nil || found.Ended == nil || found.Ended.Reason != "invalid_grant" {
		t.Fatalf("not marked: %+v, %v", found, err)
	}
	var ended *EndedError
	if _, err := other.Get(ctx, found); !errors.As(err, &ended) || ended.Name != "bot" || ended.Reason != "invalid_grant" {
		t.Errorf("Get: %v", err)
	}
	for _, e := range []Entry{e, found} { // one of them was read before the end
		if _, err := other.Fresh(ctx, e, never(t), func(flow.Session) bool { return false }); !errors.Is(err, ErrEnded) {
			t.Errorf("Fresh: %v", err)
		}
	}
	v, err := k.vault(p.kind)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := v.read(ctx, e); err != nil || !strings.Contains(string(b), "refresh-canary-1") {
		t.Errorf("the record is gone: %v", err)
	}
	noCall := func(context.Context, flow.Session) error { t.Error("the server was told of what it ended"); return nil }
	if err := other.Remove(ctx, found, noCall); err != nil {
		t.Error(err)
	}
	gone(t, k, e)
}

// checkBadRecords reads what is not a session. It is told apart, the server is
// not asked with it, and it is not touched.
func checkBadRecords(t *testing.T, p place) {
	ctx, k := t.Context(), p.open(t, t.TempDir())
	for name, c := range map[string]struct {
		record string
		want   Fault
	}{
		"empty":          {"", Missing},
		"not JSON":       {"hello", Broken},
		"cut":            {`{"version":1,"access_token":"access-canary`, Broken},
		"no version":     {`{"access_token":"access-canary"}`, Broken},
		"no token":       {`{"version":1,"access_token":"access-canary"}`, Broken},
		"twice":          {`{"version":1,"access_token":"a","access_token":"access-canary","refresh_token":"r"}`, Broken},
		"other case":     {`{"version":1,"ACCESS_TOKEN":"access-canary","refresh_token":"r"}`, Broken},
		"bad UTF-8":      {"{\"version\":1,\"access_token\":\"\xff\",\"refresh_token\":\"r\"}", Broken},
		"future version": {`{"version":2,"secret":"access-canary"}`, Future},
	} {
		t.Run(name, func(t *testing.T) {
			e := login(t, k, p.kind, name, session(1))
			plant(t, k, e, c.record)
			_, err := k.Get(ctx, e)
			isFault(t, err, c.want)
			_, err = k.Update(ctx, e, never(t))
			isFault(t, err, c.want)
			err = k.Remove(ctx, e, func(context.Context, flow.Session) error { t.Error("the server was told"); return nil })
			isFault(t, err, c.want)
			if _, err := k.Find(name); err != nil {
				t.Errorf("the entry is gone: %v", err)
			}
			if err := k.Remove(ctx, e, nil); err != nil { // by --local-only
				t.Error(err)
			}
			gone(t, k, e)
		})
	}
}

// plant puts bytes into the place of a record.
func plant(t *testing.T, k *Keystore, e Entry, record string) {
	t.Helper()
	switch {
	case e.Kind == KindKeyring:
		if err := keyring.Set(service, e.Account, record); err != nil {
			t.Fatal(err)
		}
		return
	case record == "":
		path := map[Kind]string{KindFile: k.file(e.ID, ".age"), KindPlaintext: k.file(e.ID, ".plain")}[e.Kind]
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	v, err := k.vault(e.Kind)
	if err != nil {
		t.Fatal(err)
	}
	pen, err := v.open(t.Context(), e, nil)
	if err == nil {
		err = pen.commit(t.Context(), []byte(record))
	}
	if err != nil {
		t.Fatal(err)
	}
}
