package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
	"github.com/mxauth/mxauth/keystore/keystoretest"
)

// TestStoreMove moves a session through every store that is here. The server must
// hear nothing of it, and the token must be in one place only.
func TestStoreMove(t *testing.T) {
	s := startServer(t)
	b := newBox(t, keystoretest.StartSecretService(t)...)
	b.env = append(b.env, "MXAUTH_KEY_FILE="+filepath.Join(b.dir, "key"))
	b.loggedIn(s, "--name", "bot", "--store", "plaintext")
	token := b.must(0, "token", "bot").stdout
	s.ForgetRequests()
	for _, to := range []string{"file", "keyring", "plaintext", "keyring", "file", "file"} {
		if r := b.must(0, "store", "move", "bot", to); r.stdout != "" || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: it said %q", to, r.stderr)
		}
		if b.must(0, "token", "bot").stdout != token {
			t.Errorf("in %s it is another token", to)
		}
		if list := b.must(0, "list", "--json").stdout; !strings.Contains(list, `"store": "`+to+`"`) {
			t.Errorf("list does not say %s", to)
		}
		if open := plainCopies(t, b, strings.TrimSpace(token)); open != (to == "plaintext") {
			t.Errorf("in %s: the token lies readable: %v", to, open)
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	b.must(2, "store", "move", "bot", "cloud")
	b.must(2, "store", "move", "bot")
	b.must(4, "store", "move", "nobody", "file")
	b.must(0, "refresh", "bot")
	b.must(0, "logout", "bot")
	if n := s.Succeeded(flowtest.Revoke); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
}

// plainCopies reports whether a token can be read in a file of the box.
func plainCopies(t *testing.T, b box, token string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(filepath.Join(b.dir, "state"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found = found || strings.Contains(string(text), token)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestStoreMoveToAMissingStore must leave everything as it was.
func TestStoreMoveToAMissingStore(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s, "--name", "bot")
	before := tree(t, b.dir)
	b.must(7, "store", "move", "bot", "keyring") // there is none here
	b.must(7, "store", "move", "bot", "file")    // no key, and nobody to type a passphrase
	if after := tree(t, b.dir); after != before {
		t.Errorf("it made of %s\n%s", before, after)
	}
	b.must(0, "whoami", "bot")
}

// TestStoreRekey replaces the key in its place, and then moves it to another.
func TestStoreRekey(t *testing.T) {
	s := startServer(t)
	b := sealedBox(t)
	b.loggedIn(s, "--name", "bot")
	token := b.must(0, "token", "bot").stdout
	old := read(t, filepath.Join(b.dir, "key"))
	b.must(0, "store", "rekey")
	if read(t, filepath.Join(b.dir, "key")) == old || b.must(0, "token", "bot").stdout != token {
		t.Error("the key is the old one, or the token is another")
	}
	other := filepath.Join(b.dir, "other")
	r := b.must(0, "store", "rekey", "--new-key-file", other)
	if strings.Contains(r.stderr, "AGE-SECRET") || !strings.Contains(r.stderr, "--key-file "+shellQuote(other)) {
		t.Errorf("it said %q", r.stderr)
	}
	b.must(7, "token", "bot")
	if b.must(0, "token", "bot", "--key-file", other).stdout != token {
		t.Error("the token is another")
	}
	if info, err := os.Stat(other); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the new key: %v, %v", info, err)
	}
	b.must(2, "store", "rekey", "--passphrase") // nobody is there to type it
	b.must(2, "store", "rekey", "--passphrase", "--new-key-file", other)
	command := newBox(t, "MXAUTH_STATE_DIR="+filepath.Join(b.dir, "state"), "MXAUTH_KEY_COMMAND=cat "+other)
	command.must(2, "store", "rekey")
	command.must(0, "token", "bot")
	empty := newBox(t)
	empty.must(7, "store", "rekey")
	if left, err := os.ReadDir(empty.dir); err != nil || len(left) != 0 {
		t.Errorf("without a store it made %v, %v", left, err)
	}
}
