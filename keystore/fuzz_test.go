package keystore

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/mxauth/mxauth/flow"
)

// The inputs under testdata/fuzz are those that broke something once.

// unquoted checks that an error says nothing of what was read.
func unquoted(t *testing.T, b []byte, err error) {
	t.Helper()
	if len(b) > 20 && strings.Contains(err.Error(), string(b)) || strings.Contains(err.Error(), "canary") {
		t.Errorf("an error quotes what was read: %v", err)
	}
}

// FuzzDecode reads records. They decode to what encodes again, or to an error.
func FuzzDecode(f *testing.F) {
	whole, err := encode(session(1))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(whole), "", "{}", " ", `{"version":1}`, `{"version":2}`, `{"version":1,"access_token":"a","refresh_token":"r"}`,
		`{"version":1,"access_token":"a","refresh_token":"r","access_token":"canary"}`, `{"version":1,"Access_Token":"canary"}`, `{"version":1,"access_token":["canary"]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(b)
		if err != nil {
			unquoted(t, b, err)
			return
		}
		if s.AccessToken.Empty() || s.RefreshToken.Empty() {
			t.Errorf("%q is a session without a token", b)
		}
		again, err := encode(s)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := decode(again)
		if err != nil {
			t.Fatalf("does not come back: %v", err)
		}
		if more, err := encode(twice); err != nil || !bytes.Equal(more, again) {
			t.Errorf("comes back as another: %q, %q, %v", again, more, err)
		}
	})
}

// FuzzItem reads what lies in a keyring in a record's place: the key of a box.
func FuzzItem(f *testing.F) {
	for _, seed := range []string{`{"version":1,"age_key":"canary"}`, `{"version":2,"age_key":"AGE-SECRET-KEY-1"}`, `{"age_key":1}`, "AGE-SECRET-KEY-1", "", "#\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseItem(b); err != nil {
			unquoted(t, nil, err)
		}
		if key, err := parseKey(b, "the key file", ""); err != nil {
			unquoted(t, b, err)
		} else if key.recipient == nil {
			t.Errorf("%q is a key that seals nothing", b)
		}
	})
}

// FuzzState reads the files of the state directory: state.json and a session's.
// What is read can be written, and is then the same.
func FuzzState(f *testing.F) {
	for _, seed := range []string{`{"version":1,"store_id":"S","default":"bot"}`, `{"version":1,"id":"ID","name":"bot","store":"plaintext","account":"S/ID","server":"example.org","created":"2026-11-24T12:00:00Z"}`,
		`{"version":1,"id":"ID","also":"cloud","ended":{"at":"2026-11-24T12:00:00+25:00"}}`, `{"version":1,"id":"../x"}`, `{"version":9}`, "", "\xff", `{"version":1,"id":"ID","ID":"x","expiry":"99999-01-01T00:00:00Z"}`} {
		f.Add([]byte(seed))
	}
	k, err := Open(Options{Dir: f.TempDir()})
	if err == nil {
		err = k.makeDir()
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, path := range []string{k.statePath(), k.file("ID", ".json")} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := k.readState(); err != nil {
			unquoted(t, b, err)
		} else if s.Version != formatVersion {
			t.Errorf("%+v was believed", s)
		}
		e, err := k.readEntry("ID")
		if err != nil {
			unquoted(t, b, err)
			return
		}
		if e.ID != "ID" {
			t.Errorf("%+v was believed", e)
		}
		if err := k.writeEntry(e); err != nil {
			t.Fatalf("%q is read and not written: %v", b, err)
		}
		if again, err := k.readEntry("ID"); err != nil || again.Name != e.Name || again.Kind != e.Kind || !again.Expiry.Equal(e.Expiry) {
			t.Errorf("%+v comes back as %+v, %v", e, again, err)
		}
	})
}

// FuzzOpen: a sealed file opens to what was sealed, or not at all; and a key file
// under a passphrase costs no more than it may.
func FuzzOpen(f *testing.F) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	key, err := newSealKey([]age.Identity{id})
	if err != nil {
		f.Fatal(err)
	}
	const inside = "canary of a session"
	box, err := key.seal([]byte(inside))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(box, 0, byte(0))
	f.Add(box, 40, byte(1))
	f.Add(box, len(box)-1, byte(0x80))
	f.Add([]byte("age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 31\nAAAA\n--- AAAA\n"), 0, byte(0))
	f.Add([]byte{}, 0, byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at int, flip byte) {
		mine := bytes.Clone(box)
		mine[((at%len(box))+len(box))%len(box)] ^= flip
		for _, b := range [][]byte{b, mine} {
			switch data, err := key.open(b); {
			case err != nil:
				unquoted(t, nil, err)
			case string(data) != inside:
				t.Errorf("it opened to %q", data)
			case flip != 0 && bytes.Equal(b, mine):
				t.Errorf("a flipped bit at %d was not seen", at)
			}
		}
		if costly(b) {
			return
		}
		if _, err := openIdentity("identity.age", b, flow.NewSecret("canary")); err != nil {
			unquoted(t, nil, err)
		}
	})
}

// costly tells a passphrase's file whose work is allowed, and takes long.
func costly(b []byte) bool {
	_, stanza, _ := bytes.Cut(b, []byte("-> scrypt "))
	words := strings.Fields(string(stanza))
	if len(words) < 2 {
		return false
	}
	n, err := strconv.Atoi(words[1])
	return err == nil && n > 8 && n <= scryptMax
}
