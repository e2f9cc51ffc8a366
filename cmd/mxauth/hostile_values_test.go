package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// hostileCount is how many hostile values go through every form.
const hostileCount = 1000

// hostilePieces are what a value might break out with.
var hostilePieces = []string{"'", `"`, `\`, "`", "$", "$(touch pwned)", "`touch pwned`", "${IFS}", "; touch pwned;", "&& touch pwned", "| sh",
	"\n", "\r\n", "\x00", "\t", "\x1b]0;x\a", "\x7f", "\u202e", "\u2028", "\u0085", "\ufeff", "é", "\xff", "#", " # x", ": ", "- ", "%s", "%", "!", "!!",
	"*", "~", "?", "[", "]", "{", "}", "&a", "*a", "|", ">", "<<EOF", "@/etc/passwd", "=", `\n`, `\'`, `\"`, `\\`, `\u0022`, "--", "---", "...", "true", "null",
	"0x1", "1e3", "x", "mat_A1", " ", "  ", "'\\''", `"; url = "file:///etc/passwd`, "\\\n", `\x00`, "https://example.org", "(", ")", ","}

// hostileSessions makes sessions whose values are put together from the pieces,
// always the same ones.
func hostileSessions() []flow.Session {
	random := rand.New(rand.NewPCG(1, 2))
	value := func() string {
		text := ""
		for range 1 + random.IntN(5) {
			text += hostilePieces[random.IntN(len(hostilePieces))]
		}
		return text
	}
	sessions := make([]flow.Session, hostileCount)
	for i := range sessions {
		user, device, token := value(), value(), strings.ReplaceAll(value(), " ", "_")
		sessions[i] = flow.Session{Server: flow.Server{Homeserver: "https://" + strings.ReplaceAll(value(), " ", "+")}, UserID: user, DeviceID: device,
			Scope: value(), AccessToken: flow.NewSecret(token), Expiry: time.Unix(int64(i)*1e6, 0)}
	}
	return sessions
}

// hostileHandouts are those that get past the first guard. Each member is tried
// alone too, so that a bad one beside it does not keep a dangerous one out.
func hostileHandouts(t *testing.T) []handout {
	t.Helper()
	var out []handout
	refused := 0
	try := func(s flow.Session) {
		h, err := handoutOf(s)
		bad := strings.ContainsFunc(s.Server.Homeserver+s.UserID+s.DeviceID+s.Scope+s.AccessToken.Reveal(), func(r rune) bool { return r < ' ' || r > '~' })
		if bad != (err != nil) {
			t.Errorf("%q %q: refused: %v", s.UserID, s.AccessToken.Reveal(), err)
		}
		if err != nil {
			refused++
			if flow.KindOf(err) != flow.KindInvalid || strings.Contains(err.Error(), "pwned") {
				t.Errorf("refused as %v", err)
			}
			return
		}
		out = append(out, h)
	}
	for _, s := range hostileSessions() {
		try(s)
		for _, v := range []string{s.UserID, s.DeviceID, s.Scope} {
			one := flow.Session{Server: flow.Server{Homeserver: "https://h"}, UserID: v, DeviceID: v, Scope: v, AccessToken: flow.NewSecret("t" + strings.ReplaceAll(v, " ", "_"))}
			try(one)
		}
	}
	if len(out) < hostileCount || refused < hostileCount {
		t.Errorf("%d values came through and %d were refused: too few of one", len(out), refused)
	}
	t.Logf("%d sessions: %d came through, %d were refused", len(out)+refused, len(out), refused)
	return out
}

// inEmptyFolder runs a command, and wants it to make nothing where it stands.
func inEmptyFolder(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	cmd.Dir = t.TempDir()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %.300s", err, errs.String())
	}
	if left, err := os.ReadDir(cmd.Dir); err != nil || len(left) != 0 {
		t.Errorf("something was executed: %v, %v", left, err)
	}
	return out
}

// writeEach puts one text for each handout into a folder, under its number.
func writeEach(t *testing.T, handouts []handout, text func(handout) string) string {
	t.Helper()
	dir := t.TempDir()
	for i, h := range handouts {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d", i)), []byte(text(h)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestHostileValuesInShells has real shells read what -o env and the env file
// say.
func TestHostileValuesInShells(t *testing.T) {
	handouts := hostileHandouts(t)
	for name, c := range map[string]struct {
		text form
		read string
	}{"-o env": {envForm, `eval "$(cat "$f")"`}, "--write env": {envFile, `. "$f"`}} {
		for _, shell := range []string{"sh", "bash"} {
			t.Run(name+"/"+shell, func(t *testing.T) {
				path, err := exec.LookPath(shell)
				if err != nil {
					t.Skip("there is no " + shell + " here")
				}
				dir := writeEach(t, handouts, c.text)
				out := inEmptyFolder(t, exec.CommandContext(t.Context(), path, "-c", `unset MATRIX_USER_ID MATRIX_DEVICE_ID
for f in "$1"/*; do ( `+c.read+`; printf '%s\0%s\0%s\0%s\0' "$MATRIX_HOMESERVER" "$MATRIX_USER_ID" "$MATRIX_DEVICE_ID" "$MATRIX_ACCESS_TOKEN" ); done`, shell, dir))
				got := strings.Split(string(out), "\x00")
				if len(got) != 4*len(handouts)+1 {
					t.Fatalf("%d values came back, want %d", len(got)-1, 4*len(handouts))
				}
				for i, h := range handouts {
					if want := []string{h.homeserver, h.userID, h.deviceID, h.token.Reveal()}; !equal(got[4*i:4*i+4], want) {
						t.Errorf("%q came back as %q", want, got[4*i:4*i+4])
					}
				}
			})
		}
	}
}

func equal(a, b []string) bool { return strings.Join(a, "\x00") == strings.Join(b, "\x00") }

// TestHostileValuesInSystemd has systemd's own reader of environment files read
// the env file. It reads /etc/os-release with it, or another file in its place.
func TestHostileValuesInSystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed, so systemd's reader cannot be asked")
	}
	handouts := hostileHandouts(t)
	for start := 0; start < len(handouts); start += 100 {
		part := handouts[start:min(start+100, len(handouts))]
		text := ""
		args := []string{"condition"}
		for i, h := range part {
			text += fmt.Sprintf("V%d=%s\n", i, envFileQuote("x"+h.userID)) // a condition's value begins with no blank
			quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace("x" + h.userID)
			args = append(args, fmt.Sprintf(`ConditionOSRelease="V%d=%s"`, i, quoted))
		}
		file := filepath.Join(t.TempDir(), "env")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), analyze, args...)
		cmd.Env = append(os.Environ(), "SYSTEMD_OS_RELEASE="+file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("systemd reads something else: %.2000s", strings.Join(grep(string(out), "failed"), "\n"))
		}
	}
}

func grep(text, word string) (found []string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// TestHostileValuesInCurl has the real curl read the configuration, and looks at
// what it sends.
func TestHostileValuesInCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		missing(t, "curl is not installed, so its reader of configurations cannot be asked")
	}
	handouts := hostileHandouts(t)
	got := map[string][]string{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got[r.URL.Path] = append(got[r.URL.Path], r.Header["Authorization"]...) // one connection: one after the other
	}))
	defer s.Close()
	var config strings.Builder
	for i, h := range handouts {
		config.WriteString(curlForm(h) + fmt.Sprintf("url = %s/%d\nnext\n", s.URL, i))
	}
	cmd := exec.CommandContext(t.Context(), curl, "-q", "-s", "-S", "-K", "-")
	cmd.Stdin = strings.NewReader(strings.TrimSuffix(config.String(), "next\n"))
	inEmptyFolder(t, cmd)
	for i, h := range handouts {
		if sent := got[fmt.Sprintf("/%d", i)]; len(sent) != 1 || sent[0] != "Bearer "+h.token.Reveal() {
			t.Errorf("%q was sent as %q", h.token.Reveal(), sent)
		}
	}
}

// TestHostileValuesInHeaders reads -o header as a server does, and -o token as
// a line.
func TestHostileValuesInHeaders(t *testing.T) {
	for _, h := range hostileHandouts(t) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: h\r\n" + strings.TrimSuffix(headerForm(h), "\n") + "\r\n\r\n")))
		if err != nil || len(r.Header) != 1 || r.Header.Get("Authorization") != "Bearer "+h.token.Reveal() {
			t.Errorf("%q became %v, %v", h.token.Reveal(), r, err)
		}
		if line := tokenForm(h); line != h.token.Reveal()+"\n" || strings.Count(line, "\n") != 1 {
			t.Errorf("%q is not one line", line)
		}
	}
}

// TestHostileValuesInJSON reads every form that is JSON, with what was in the
// file before.
func TestHostileValuesInJSON(t *testing.T) {
	old := []byte(`{"room_id": "!kept:example.test", "access_token": "old", "more": {"a": [1.50, null]}}`)
	for _, h := range hostileHandouts(t) {
		var printed tokenJSON
		if err := json.Unmarshal([]byte(jsonForm(h)), &printed); err != nil || printed.AccessToken != h.token.Reveal() || printed.UserID != h.userID ||
			printed.DeviceID != h.deviceID || printed.Scope != h.scope || printed.Homeserver != h.homeserver {
			t.Errorf("%q became %+v, %v", h.userID, printed, err)
		}
		text, err := setJSON(old, commanderMembers(h))
		if err != nil {
			t.Fatal(err)
		}
		var file map[string]any
		if err := json.Unmarshal(text, &file); err != nil || len(file) != 6 || file["access_token"] != h.token.Reveal() || file["user_id"] != h.userID ||
			file["device_id"] != h.deviceID || file["homeserver"] != h.homeserver || file["room_id"] != "!kept:example.test" || fmt.Sprint(file["more"]) != "map[a:[1.5 <nil>]]" {
			t.Errorf("%q became %v, %v", h.userID, file, err)
		}
	}
}

// TestHostileValuesInYAML has a real YAML parser read synadm's file, new and with
// other lines in it.
func TestHostileValuesInYAML(t *testing.T) {
	python := pythonWith(t, "yaml")
	handouts := hostileHandouts(t)
	for name, old := range map[string]string{"new": "", "old": "# mine\ntoken: old # x\nbase_url: http://localhost:8008\nlist:\n- a\n- b\nssl_verify: true\n"} {
		t.Run(name, func(t *testing.T) {
			dir := writeEach(t, handouts, func(h handout) string {
				text, err := setYAML([]byte(old), []member{{name: "user", value: h.userID}, {name: "token", value: h.token.Reveal()}})
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			})
			out := inEmptyFolder(t, exec.CommandContext(t.Context(), python, "-I", "-c", `import json, os, sys, yaml
files = sorted(os.listdir(sys.argv[1]))
json.dump([yaml.safe_load(open(os.path.join(sys.argv[1], f), encoding="utf-8")) for f in files], sys.stdout)`, dir))
			var got []map[string]any
			if err := json.Unmarshal(out, &got); err != nil || len(got) != len(handouts) {
				t.Fatalf("%d files came back, want %d: %v", len(got), len(handouts), err)
			}
			for i, h := range handouts {
				if got[i]["user"] != h.userID || got[i]["token"] != h.token.Reveal() {
					t.Errorf("%q and %q became %v", h.userID, h.token.Reveal(), got[i])
				}
				if old != "" && (len(got[i]) != 5 || got[i]["ssl_verify"] != true || fmt.Sprint(got[i]["list"]) != "[a b]") {
					t.Errorf("the other lines became %v", got[i])
				}
			}
		})
	}
}

// pythonWith finds a Python that has a module: MXAUTH_TEST_PYTHON, or the one in
// the PATH.
func pythonWith(t *testing.T, module string) string {
	t.Helper()
	python := os.Getenv("MXAUTH_TEST_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.CommandContext(t.Context(), python, "-I", "-c", "import "+module).Run(); err != nil {
		missing(t, python+" has no module "+module+": set MXAUTH_TEST_PYTHON to one that has (.ci/requirements.txt)")
	}
	return python
}

// TestHostileStore writes hostile values into a session that lies in a plain
// file, as somebody with access to it could, and runs the real program. Every way
// out must refuse it, or quote it.
func TestHostileStore(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	files, err := filepath.Glob(filepath.Join(b.dir, "state", "sessions", "*.plain"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	record, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"a'b", `a"b\`, "$(touch pwned)`touch pwned`", "a\nexport X=1", "a\r\nX-Evil: 1", "a\x00b", "a\u202eb", "a\x1b[31mb", "a b"} {
		var members map[string]any
		if err := json.Unmarshal(record, &members); err != nil {
			t.Fatal(err)
		}
		members["access_token"] = token
		text, err := json.Marshal(members)
		if err == nil {
			err = os.WriteFile(files[0], text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		safe := !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
		for _, args := range [][]string{{"token"}, {"token", "-o", "env"}, {"token", "-o", "json"}, {"token", "-o", "curl"}, {"token", "-o", "header"},
			{"token", "--write", "synadm", "out"}, {"run", "--", "printenv", "MATRIX_ACCESS_TOKEN"}} {
			if safe {
				b.must(0, args...)
				continue
			}
			if r := b.must(6, args...); strings.Contains(r.stderr, token) {
				t.Errorf("%v: the error repeats the value", args)
			}
			if _, err := os.Stat(filepath.Join(b.dir, "out")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%q was written", token)
			}
		}
		if safe {
			if got := b.must(0, "run", "--", "printenv", "MATRIX_ACCESS_TOKEN").stdout; got != token+"\n" {
				t.Errorf("%q came as %q", token, got)
			}
			_ = os.Remove(filepath.Join(b.dir, "out")) // for the next one
		}
		if _, err := os.Stat(filepath.Join(b.dir, "pwned")); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%q was executed", token)
		}
	}
}
