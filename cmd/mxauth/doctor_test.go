package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// doctor returns the checks, by their names.
func (b box) doctor(code int, args ...string) map[string]check {
	b.t.Helper()
	r := b.must(code, append([]string{"doctor", "--json"}, args...)...)
	var checks []check
	if err := json.Unmarshal([]byte(r.stdout), &checks); err != nil {
		b.t.Fatal(err)
	}
	byName := map[string]check{}
	for _, c := range checks {
		if c.Found == "" || !c.OK && (c.Advice == "" || strings.Contains(c.Advice, "\n")) {
			b.t.Errorf("%s: found %q, advice %q", c.Name, c.Found, c.Advice)
		}
		byName[c.Name] = c
	}
	if _, twice := byName["state directory"]; !twice || len(byName) != len(checks) {
		b.t.Errorf("%d names for %d checks", len(byName), len(checks))
	}
	return byName
}

// TestDoctorOfAHealthyHouse finds everything in order, and says what a server is
// known to grant.
func TestDoctorOfAHealthyHouse(t *testing.T) {
	s := startServer(t)
	b := sealedBox(t)
	b.loggedIn(s, "--name", "bot")
	if done, code := b.login(approveAs(t, s, "root"), s.URL, "--scope", "synapse-admin", "--name", "admin"); code != 0 {
		t.Fatal(done.Error)
	}
	s.ForgetRequests()
	checks := b.doctor(0)
	for name, want := range map[string]string{
		"state directory": "state", "store": "key file", "session bot": "token good until", "session admin": "a sealed file",
		"server " + s.URL: s.Issuer, "device login at " + s.URL: "offered", "scopes at " + s.URL: "synapse-admin; matrix", "clock against " + s.URL: "right to within",
	} {
		if c := checks[name]; !c.OK || !strings.Contains(c.Found, want) {
			t.Errorf("%s: %+v, want %q in it", name, c, want)
		}
	}
	for _, r := range s.Requests() {
		if r.Header.Get("Authorization") != "" || r.Method != http.MethodGet {
			t.Errorf("it sent more than a question: %s %s", r.Method, r.Path)
		}
	}
	if text := b.must(0, "doctor").stdout; strings.Count(text, "[ok] ") != len(checks) || strings.Contains(text, "!!") {
		t.Errorf("in words: %s", text)
	}
}

// TestDoctorMakesNothing runs it where there is nothing, and where there is
// something. Nothing may come to be.
func TestDoctorMakesNothing(t *testing.T) {
	s := startServer(t)
	b := sealedBox(t)
	b.doctor(0, s.URL)
	if left, err := os.ReadDir(b.dir); err != nil || len(left) != 0 {
		t.Errorf("it made %v, %v", left, err)
	}
	b.loggedIn(s)
	before := tree(t, b.dir)
	b.doctor(0, s.URL)
	if after := tree(t, b.dir); after != before {
		t.Errorf("it made of %s\n%s", before, after)
	}
}

// tree lists every file with its size and when it was written.
func tree(t *testing.T, dir string) string {
	t.Helper()
	text := ""
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			text += fmt.Sprintln(path, info.Size(), info.Mode(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestDoctorFinds breaks one thing after the other. Each must be found, with an
// exit code that tells what kind of thing it is.
func TestDoctorFinds(t *testing.T) {
	in := func(t *testing.T, change func(b box, s *flowtest.Server)) (box, *flowtest.Server) {
		s := startServer(t)
		b := sealedBox(t)
		b.loggedIn(s, "--name", "bot")
		change(b, s)
		return b, s
	}
	for name, c := range map[string]struct {
		change func(box, *flowtest.Server)
		exit   int
		failed string
	}{
		"an ended session": {func(b box, s *flowtest.Server) {
			if err := s.EndSession(strings.TrimSpace(b.must(0, "token").stdout)); err != nil {
				t.Error(err)
			}
			b.must(4, "refresh")
		}, 4, "session bot"},
		"no key":             {func(b box, _ *flowtest.Server) { _ = os.Remove(filepath.Join(b.dir, "key")) }, 7, "session bot"},
		"a move interrupted": {func(b box, _ *flowtest.Server) { b.interruptMove() }, 7, "session bot"},
		"no tokens":          {func(b box, _ *flowtest.Server) { b.removeRecords() }, 7, "session bot"},
		"server down":        {func(_ box, s *flowtest.Server) { s.Close() }, 5, "server "},
		"server ill":         {func(_ box, s *flowtest.Server) { s.Inject(flowtest.Metadata, flowtest.HTML(502)) }, 5, "server "},
		"no device login": {func(_ box, s *flowtest.Server) {
			s.Inject(flowtest.Metadata, flowtest.Edit(func(m map[string]any) { delete(m, "device_authorization_endpoint") }))
		}, 6, "device login at "},
		"another issuer": {func(_ box, s *flowtest.Server) {
			s.Inject(flowtest.Metadata, flowtest.Edit(func(m map[string]any) { m["issuer"] = "https://evil.example.org/" }))
		}, 6, "server "},
		"a file in my way": {func(b box, _ *flowtest.Server) { b.replaceState() }, 7, "state directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := in(t, c.change)
			var failed []string
			for name, check := range b.doctor(c.exit) {
				if !check.OK {
					failed = append(failed, name)
				}
			}
			if len(failed) == 0 || !strings.HasPrefix(strings.Join(failed, " "), c.failed) && len(failed) == 1 {
				t.Errorf("failed: %q, want %q", failed, c.failed)
			}
		})
	}
	b := newBox(t, "MXAUTH_STORE=cloud")
	b.doctor(2)
	b = newBox(t)
	b.doctor(7) // there is no keyring here
	b.doctor(7, "not a name")
}

func (b box) removeRecords() {
	files, err := filepath.Glob(filepath.Join(b.dir, "state", "sessions", "*.age"))
	if err != nil || len(files) == 0 {
		b.t.Error("there is no record", err)
	}
	for _, f := range files {
		_ = os.Remove(f) // the check says whether it worked
	}
}

// interruptMove leaves what a killed "store move" leaves, and has it mended.
func (b box) interruptMove() {
	files, err := filepath.Glob(filepath.Join(b.dir, "state", "sessions", "*.json"))
	if err != nil || len(files) != 1 {
		b.t.Fatal(files, err)
	}
	before := read(b.t, files[0])
	mark := func() {
		after := strings.Replace(before, `"store":"file"`, `"store":"file","also":"plaintext"`, 1)
		copied := strings.TrimSuffix(files[0], ".json") + ".plain"
		if err := errors.Join(os.WriteFile(files[0], []byte(after), 0o600), os.WriteFile(copied, []byte("{}"), 0o600)); after == before || err != nil {
			b.t.Error("no entry to mark", err)
		}
	}
	mark()
	b.must(0, "store", "move", "bot", "file")
	b.doctor(0)
	if left, err := filepath.Glob(filepath.Join(b.dir, "state", "sessions", "*.plain")); err != nil || len(left) != 0 {
		b.t.Errorf("the copy is still there: %v, %v", left, err)
	}
	mark()
}

func (b box) replaceState() {
	dir := filepath.Join(b.dir, "state")
	if err := os.RemoveAll(dir); err != nil {
		b.t.Error(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		b.t.Error(err)
	}
}

// TestDoctorReadsTheClock stands a proxy before the server whose clock is wrong.
func TestDoctorReadsTheClock(t *testing.T) {
	for name, c := range map[string]struct {
		off  time.Duration
		age  string
		exit int
		says string
	}{
		"right":      {0, "", 0, "right"},
		"behind":     {10 * time.Minute, "", 2, "10m0s behind"},
		"ahead":      {-3 * time.Hour, "", 2, "h0m0s ahead"},
		"from cache": {-3 * time.Hour, "10800", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			target, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			proxy := httputil.NewSingleHostReverseProxy(target)
			front := httptest.NewUnstartedServer(nil)
			front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(c.off).UTC().Format(http.TimeFormat))
				if c.age != "" {
					w.Header().Set("Age", c.age)
				}
				if strings.HasPrefix(r.URL.Path, "/.well-known/") {
					_, _ = fmt.Fprintf(w, `{"m.homeserver":{"base_url":%q}}`, front.URL)
					return
				}
				proxy.ServeHTTP(w, r)
			})
			proxy.ModifyResponse = func(r *http.Response) error { r.Header.Del("Date"); return nil }
			front.Start()
			defer front.Close()
			b := newBox(t, "MXAUTH_STORE=plaintext")
			clock, found := b.doctor(c.exit, front.URL)["clock against "+front.URL]
			if found != (c.says != "") || found && !strings.Contains(clock.Found, c.says) {
				t.Errorf("%+v", clock)
			}
		})
	}
}
