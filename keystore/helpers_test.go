package keystore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// session makes a session whose tokens carry n. Its access token is good for
// five minutes.
func session(n int) flow.Session {
	now := time.Now().UTC().Truncate(time.Second)
	return flow.Session{
		Server: flow.Server{
			Name: "example.org", Homeserver: "https://matrix.example.org", Issuer: "https://auth.example.org/",
			Token: "https://auth.example.org/token", Revocation: "https://auth.example.org/revoke", Actions: []string{"org.matrix.profile"},
		},
		Client:   flow.Client{ID: "01ABC", Secret: flow.NewSecret("client-canary"), Basic: true},
		DeviceID: "DEVICE", DeviceName: "box", Scope: "urn:matrix:client:api:* urn:matrix:client:device:DEVICE",
		AccessToken: flow.NewSecret(fmt.Sprintf("access-canary-%d", n)), RefreshToken: flow.NewSecret(fmt.Sprintf("refresh-canary-%d", n)),
		Issued: now, Expiry: now.Add(5 * time.Minute),
	}
}

// expired is session(n) with an access token that has run out.
func expired(n int) flow.Session {
	s := session(n)
	s.Issued, s.Expiry = s.Issued.Add(-10*time.Minute), s.Issued.Add(-5*time.Minute)
	return s
}

// next is a RefreshFunc that hands out the tokens of session(n).
func next(n int) RefreshFunc {
	return func(_ context.Context, s flow.Session) (flow.Session, error) {
		fresh := session(n)
		s.AccessToken, s.RefreshToken, s.Issued, s.Expiry = fresh.AccessToken, fresh.RefreshToken, fresh.Issued, fresh.Expiry
		return s, nil
	}
}

// never is a RefreshFunc that must not be called.
func never(t testing.TB) RefreshFunc {
	return func(_ context.Context, s flow.Session) (flow.Session, error) {
		t.Helper()
		t.Error("the server was asked")
		return s, nil
	}
}

// fails is a RefreshFunc whose server says no in a certain way.
func fails(kind flow.Kind, code string) RefreshFunc {
	return func(_ context.Context, s flow.Session) (flow.Session, error) {
		return s, &flow.Error{Kind: kind, Op: "refresh the token", Host: "example.org", Code: code}
	}
}

// plainStore opens a keystore in a directory of the test, with limits that are
// short enough to be waited for.
func plainStore(t testing.TB) *Keystore { return openStore(t, Options{Dir: t.TempDir()}) }

func openStore(t testing.TB, o Options) *Keystore {
	t.Helper()
	if o.Warn == nil {
		o.Warn = func(what string) { t.Helper(); t.Errorf("warned: %s", what) }
	}
	k, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	k.limits.scrypt = 10
	k.limits.store, k.limits.again = time.Second, 20*time.Millisecond
	return k
}

// login stores a session under a name.
func login(t testing.TB, k *Keystore, kind Kind, name string, s flow.Session) Entry {
	t.Helper()
	ctx := t.Context()
	if err := k.Prepare(ctx, kind); err != nil {
		t.Fatal(err)
	}
	e, err := k.Reserve(ctx, kind, s)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = k.Fill(ctx, e, s); err != nil {
		t.Fatal(err)
	}
	if e, err = k.Name(ctx, e, name, "@alice:example.org", nil); err != nil {
		t.Fatal(err)
	}
	return e
}

// holds checks which tokens are stored.
func holds(t testing.TB, k *Keystore, e Entry, n int) {
	t.Helper()
	s, err := k.Get(t.Context(), e)
	if err != nil {
		t.Fatalf("the session is gone: %v", err)
	}
	carries(t, s, n)
}

func carries(t testing.TB, s flow.Session, n int) {
	t.Helper()
	want := session(n)
	if s.AccessToken.Reveal() != want.AccessToken.Reveal() || s.RefreshToken.Reveal() != want.RefreshToken.Reveal() {
		t.Errorf("tokens are %q and %q, want those of %d", s.AccessToken.Reveal(), s.RefreshToken.Reveal(), n)
	}
}

// isFault checks the kind of a store's error.
func isFault(t testing.TB, err error, kind Fault) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("got %v (%+v), want an error of kind %q", err, e, kind)
	}
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("an error shows a secret: %v", err)
	}
}

// leftovers names what lies in the sessions directory.
func leftovers(t testing.TB, k *Keystore) []string {
	t.Helper()
	files, err := os.ReadDir(k.sessionsDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// onlyIn reports files of the state directory that hold one of the canaries,
// though their names do not end in one of the suffixes.
func onlyIn(t testing.TB, k *Keystore, suffixes ...string) {
	t.Helper()
	err := filepath.WalkDir(k.Dir(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, s := range suffixes {
			if strings.HasSuffix(path, s) {
				return nil
			}
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "canary") {
			t.Errorf("%s holds a secret", filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
