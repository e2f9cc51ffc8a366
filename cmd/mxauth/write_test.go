package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWriteKeeps writes into files that hold more than the token.
func TestWriteKeeps(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	done := b.loggedIn(s)
	token := strings.TrimSpace(b.must(0, "token").stdout)
	put := func(name, text string) string {
		path := filepath.Join(b.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	commander := put("credentials.json", `{"homeserver":"old","device_id":"old","user_id":"old","room_id":"!r:example.test","access_token":"old","x":1e3}`)
	synadm := put("synadm.yaml", "# the admin's\nbase_url: http://localhost:8008\nformat: human\ntoken: old\ntimeout: 30\nuser: me\n")
	b.must(0, "token", "--write", "matrix-commander", commander)
	b.must(0, "token", "--write", "synadm", synadm)
	want := `{
  "homeserver": "` + s.URL + `",
  "device_id": "` + strings.TrimSpace(deviceOf(t, b)) + `",
  "user_id": "` + done.UserID + `",
  "room_id": "!r:example.test",
  "access_token": "` + token + `",
  "x": 1e3
}
`
	if got := read(t, commander); got != want {
		t.Error("credentials.json: a member is lost, or at another place, or wrong")
	}
	if got := read(t, synadm); got != "# the admin's\nbase_url: http://localhost:8008\nformat: human\ntoken: \""+token+"\"\ntimeout: 30\nuser: me\n" {
		t.Error("synadm.yaml: another line than the token changed")
	}
	for _, path := range []string{commander, synadm} {
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v: it was open to others, and still is", info.Mode(), err)
		}
	}
	before, err := os.Stat(commander)
	if err != nil {
		t.Fatal(err)
	}
	b.must(0, "token", "--write", "matrix-commander", commander)
	if after, err := os.Stat(commander); err != nil || !os.SameFile(before, after) {
		t.Error("a file that was right was written again")
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func deviceOf(t *testing.T, b box) string {
	t.Helper()
	var who struct {
		DeviceID string `json:"device_id"`
	}
	if err := json.Unmarshal([]byte(b.must(0, "whoami", "--json").stdout), &who); err != nil {
		t.Fatal(err)
	}
	return who.DeviceID
}

// TestWriteRefuses names files that are none of mxauth's business. They must stay
// as they are.
func TestWriteRefuses(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	at := func(name string) string { return filepath.Join(b.dir, name) }
	for name, text := range map[string]string{"target": "precious\n", "prose.json": "precious", "array.json": `["precious"]`, "twice.json": `{"a":1,"a":2}`,
		"half.json": `{"a":`, "flow.yaml": "{token: old}\n", "twice.yaml": "token: a\ntoken: b\n", "block.yaml": "token: |\n  old\nuser: me\n",
		"long.yaml": "token:\n\n  old\n", "quoted.yaml": "note: \"first\ntoken: old\"\n", "documents.yaml": "user: me\n---\ntoken: old\n"} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("target", at("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", at("dangling")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, format := range map[string]string{"link": "token", "dangling": "token", "folder": "token", "folder/": "token", "no/such/folder": "token", "/dev/stdout": "token",
		"/dev/null": "token", "prose.json": "matrix-nio", "array.json": "matrix-commander", "twice.json": "matrix-nio", "half.json": "matrix-nio", "": "token",
		"flow.yaml": "synadm", "twice.yaml": "synadm", "block.yaml": "synadm", "long.yaml": "synadm", "quoted.yaml": "synadm", "documents.yaml": "synadm"} {
		before, _ := os.ReadFile(at(path))
		r := b.must(2, "token", "--write", format, path)
		if after, _ := os.ReadFile(at(path)); string(after) != string(before) {
			t.Errorf("%s was changed", path)
		}
		if strings.Contains(r.stderr, "mat_") || strings.Contains(r.stderr, "precious") || strings.Count(r.stderr, "\n") > 3 {
			t.Errorf("%s: it said %q", path, r.stderr)
		}
	}
	if _, err := os.Lstat(at("nowhere")); err == nil {
		t.Error("the token went through a link")
	}
	b.must(2, "token", "--write", "xml", at("x"))
	b.must(2, "token", "--write", "token")
	b.must(2, "token", "--write", "token", "-o", "json", at("x"))
	b.must(2, "token", "one", "two")
	b.must(4, "token", "nobody", "--write", "token", at("x"))
	if _, err := os.Lstat(at("x")); err == nil {
		t.Error("a file was made though nothing was to be written")
	}
	if done, code := b.login(approveAs(t, s, "root"), s.URL, "--scope", "mas-admin", "--name", "admin"); code != 0 {
		t.Fatal(done.Error)
	}
	if r := b.must(2, "token", "admin", "--write", "matrix-nio", at("x")); !strings.Contains(r.stderr, "user ID") {
		t.Errorf("without a user: %q", r.stderr)
	}
	b.must(0, "token", "admin", "--write", "token", at("x"))
}

// TestWriteIsWhole reads a file while it is written again and again: it must be
// the old one or the new one, always.
func TestWriteIsWhole(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	path := filepath.Join(b.dir, "credentials.json")
	b.must(0, "token", "--write", "matrix-commander", path)
	stop, reads := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				reads <- n
				return
			default:
				var file map[string]string
				text, err := os.ReadFile(path)
				if err == nil {
					err = json.Unmarshal(text, &file)
				}
				if err != nil || len(file) != 5 {
					t.Errorf("a reader found %d bytes: %v", len(text), err)
				}
				n++
			}
		}
	}()
	for range 10 {
		b.must(0, "refresh")
		b.must(0, "token", "--write", "matrix-commander", path)
	}
	close(stop)
	if n := <-reads; n < 100 {
		t.Errorf("only %d reads", n)
	}
}

// TestWriteClearsWhatWasLeft finds the file of a process that was killed, and one
// that another process writes this moment.
func TestWriteClearsWhatWasLeft(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	old, current := filepath.Join(b.dir, ".out.mxauth-1"), filepath.Join(b.dir, ".out.mxauth-2")
	for _, path := range []string{old, current} {
		if err := os.WriteFile(path, []byte("left"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-2 * time.Minute)
	if err := os.Chtimes(old, then, then); err != nil {
		t.Fatal(err)
	}
	b.must(0, "token", "--write", "token", filepath.Join(b.dir, "out"))
	if _, err := os.Stat(old); err == nil {
		t.Error("what a killed process left is still there")
	}
	if _, err := os.Stat(current); err != nil {
		t.Error("the file of a process at work is gone")
	}
}
