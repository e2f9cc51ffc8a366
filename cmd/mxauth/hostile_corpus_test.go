package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	hostileAtOnce = 24       // cases; most of them wait for the client to poll
	hostileMemory = 64 << 20 // bytes that the client may have resident
	hostileMark   = "CANARY" // in every secret of the corpus
)

// TestHostileCorpus runs the real binary against every hostile server of
// testdata/hostile, and wants of it what the files say. What no file can hold is
// in TestHostileCases. With -v both list what ran.
//
// go test ./cmd/mxauth -run Hostile -v
// go test ./cmd/mxauth -run 'HostileCorpus/S15'
func TestHostileCorpus(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("Go reads no SSL_CERT_FILE here, so the authority of the corpus cannot be given to the binary")
	}
	if testing.Short() {
		t.Skip("it runs the binary some two thousand times")
	}
	base, cases, err := hostileCorpus(filepath.Join("testdata", "hostile"))
	if err != nil {
		t.Fatal(err)
	}
	h := &hostileRig{dir: t.TempDir(), base: base, certs: newHostileCerts(t)}
	if problems := h.prepare(); len(problems) > 0 {
		t.Fatalf("the good server is not good: %s", strings.Join(problems, "; "))
	}
	wanted := hostileFilter(t)
	var running sync.WaitGroup
	free := make(chan bool, hostileAtOnce)
	problems := make([][]string, len(cases))
	for i, c := range cases {
		if !wanted(c.name) {
			continue
		}
		running.Go(func() {
			free <- true
			problems[i] = h.run(fmt.Sprintf("case%d", i), c)
			<-free
		})
	}
	running.Wait()
	for i, c := range cases {
		// On a busy machine a deadline of the client may come before the answer
		// that the case is about. Alone it has the time.
		if strings.Contains(strings.Join(problems[i], "\n"), "in time") {
			problems[i] = h.run(fmt.Sprintf("case%dalone", i), c)
		}
		t.Run(c.name, func(t *testing.T) {
			for _, p := range problems[i] {
				t.Error(p)
			}
		})
	}
	t.Logf("%d cases of the rows %s", len(cases), strings.Join(rowsOf(cases), " "))
}

// hostileFilter tells which cases -run will ask for: they run before their
// subtests begin, because subtests run two or so at a time and the cases wait
// most of theirs.
func hostileFilter(t *testing.T) func(string) bool {
	_, pattern, given := strings.Cut(flag.Lookup("test.run").Value.String(), "/")
	want, err := regexp.Compile(strings.Split(pattern, "/")[0])
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) bool {
		file, _, _ := strings.Cut(name, "/")
		return !given || want.MatchString(file)
	}
}

// A hostileRig is what all cases share.
type hostileRig struct {
	dir   string
	base  map[string]hostileAnswer
	certs *hostileCerts
	saved string // a state directory with a session of the good server
	scope string // of that session
}

// prepare logs in to the good server, once for all cases that need a session.
func (h *hostileRig) prepare() []string {
	good := hostileCase{do: "login", server: "example.org", session: "stored", answers: map[string][]hostileAnswer{}}
	s, err := startHostile(h.base, good, h.certs, "")
	if err != nil {
		return []string{err.Error()}
	}
	defer func() { _ = s.Close() }()
	b := h.box("good", s)
	r := b.run(append([]string{"login"}, good.server)...)
	h.saved, h.scope = filepath.Join(b.dir, "state"), s.scope
	return b.check(good, r)
}

// run is one case: what went wrong in it.
func (h *hostileRig) run(name string, c hostileCase) []string {
	s, err := startHostile(h.base, c, h.certs, h.scope)
	if err != nil {
		return []string{err.Error()}
	}
	defer func() { _ = s.Close() }()
	b := h.box(name, s)
	args := append([]string{c.do}, c.args...)
	switch c.do {
	case "login", "doctor":
		args = append(args, c.server)
	default:
		if err := os.CopyFS(filepath.Join(b.dir, "state"), os.DirFS(h.saved)); err != nil {
			return []string{err.Error()}
		}
	}
	r := b.run(args...)
	if r.memory > hostileMemory {
		// The kernel counts what the parent had into the peak of a child, and
		// this process may be large: a small one in between tells the truth.
		r = h.measured(name, c, args)
	}
	problems := b.check(c, r)
	if r.took < time.Duration(c.lasts)*time.Second {
		problems = append(problems, fmt.Sprintf("it took %s, want %d s at least", r.took, c.lasts))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, want := range c.asks {
		if got := s.asked[at]; got != want {
			problems = append(problems, fmt.Sprintf("%d requests of %s, want %d (%v)", got, at, want, s.asked))
		}
	}
	return problems
}

// measured runs a case again below a small process.
func (h *hostileRig) measured(name string, c hostileCase, args []string) hostileResult {
	s, err := startHostile(h.base, c, h.certs, h.scope)
	if err != nil {
		return hostileResult{stderr: err.Error()}
	}
	defer func() { _ = s.Close() }()
	b := h.box(name+"again", s)
	if c.do != "login" {
		if err := os.CopyFS(filepath.Join(b.dir, "state"), os.DirFS(h.saved)); err != nil {
			return hostileResult{stderr: err.Error()}
		}
	}
	b.below = true
	return b.run(args...)
}

// A hostileBox is a machine of its own for one case.
type hostileBox struct {
	*hostileRig
	dir   string
	env   []string
	below bool // the binary runs below a small process that measures it
}

func (h *hostileRig) box(name string, s *hostileServer) hostileBox {
	dir := filepath.Join(h.dir, name)
	_ = os.Mkdir(dir, 0o700) // if it cannot be made, the binary says so
	return hostileBox{hostileRig: h, dir: dir, env: []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8",
		"MXAUTH_STORE=plaintext", "MXAUTH_STATE_DIR=" + filepath.Join(dir, "state"),
		"SSL_CERT_FILE=" + h.certs.file, "HTTPS_PROXY=http://" + s.Addr().String()}}
}

type hostileResult struct {
	stdout, stderr string
	code           int
	took           time.Duration
	memory         int64 // bytes
}

// run runs the real binary, with a log of every request: that has to be clean
// too.
func (b hostileBox) run(args ...string) hostileResult {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	path, measure := binary, filepath.Join(b.dir, "memory")
	if b.below {
		path = os.Args[0]
		b.env = append(b.env, measureVariable+"="+measure, measureVariable+"_BINARY="+binary)
	}
	cmd := exec.CommandContext(ctx, path, append([]string{"-vv"}, args...)...)
	cmd.Env, cmd.Dir = b.env, b.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return hostileResult{stderr: err.Error(), code: -1}
	}
	r := hostileResult{out.String(), errs.String(), cmd.ProcessState.ExitCode(), time.Since(start), peakMemory(cmd.ProcessState)}
	if b.below {
		r.memory = readMemory(measure)
		_ = os.Remove(measure)
	}
	return r
}

// check holds a result against the case, and against what holds for every case.
func (b hostileBox) check(c hostileCase, r hostileResult) []string {
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if r.code != c.exit {
		bad("exit %d, want %d", r.code, c.exit)
	}
	if r.stdout != "" && r.code != 0 && c.do != "doctor" {
		bad("stdout is not empty: %.200q", r.stdout)
	}
	if r.memory > hostileMemory {
		bad("%d MiB resident, want %d at most", r.memory>>20, hostileMemory>>20)
	}
	if b.leaks(r, c) {
		bad("a secret leaked: %.300q", r.stdout+r.stderr)
	}
	if !legible(r.stdout + r.stderr) {
		bad("control or hidden characters came through")
	}
	said := b.said(c, r)
	for _, want := range c.says {
		if !strings.Contains(said, want) {
			bad("it does not say %q", want)
		}
	}
	for _, hidden := range c.hides {
		if strings.Contains(said, hidden) {
			bad("it says %q", hidden)
		}
	}
	if i := strings.LastIndex(said, "mxauth: "); c.exit != 0 && c.do != "doctor" && (i < 0 || strings.Count(said[i:], "\n") > 3 || len(said)-i > 1000) {
		bad("an error has one to three lines of a sensible length")
	}
	problems = append(problems, b.left(c)...)
	if len(problems) > 0 {
		bad("it said %.2000q", said)
	}
	return problems
}

// said is what a person read: no log.
func (b hostileBox) said(c hostileCase, r hostileResult) string {
	var lines []string
	for line := range strings.Lines(r.stderr) {
		if !strings.HasPrefix(line, "time=") {
			lines = append(lines, line)
		}
	}
	if c.do == "doctor" {
		lines = append(lines, r.stdout)
	}
	return strings.Join(lines, "")
}

// leaks looks for the mark of a secret where none may be. Only "token" prints
// one, and where nothing may be stored the disk is searched as well.
func (b hostileBox) leaks(r hostileResult, c hostileCase) bool {
	if strings.Contains(r.stderr, hostileMark) || strings.Contains(r.stdout, hostileMark) && c.do != "token" {
		return true
	}
	return (c.session == "none" || c.session == "noted") && len(b.filesWith(hostileMark)) > 0
}

func (b hostileBox) filesWith(text string) (found []string) {
	_ = filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || bytes.Contains(content, []byte(text)) {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// leftNothing wants no session, and no file but the note of a login that the
// server may have finished.
func (b hostileBox) leftNothing(noted bool) (wrong []string) {
	want := map[bool]int{true: 2}[noted] // the note and its lock
	left, err := filepath.Glob(filepath.Join(b.dir, "state", "sessions", "*"))
	if err != nil || len(left) != want {
		wrong = append(wrong, fmt.Sprintf("it left %v, %v", left, err))
	}
	if r := b.run("list"); r.code != 0 || r.stdout != "" {
		wrong = append(wrong, "there is a session: "+r.stdout+r.stderr)
	}
	return wrong
}

// left looks at what is stored afterwards.
func (b hostileBox) left(c hostileCase) []string {
	if c.session == "none" || c.session == "noted" {
		return b.leftNothing(c.session == "noted")
	}
	r := b.run("token")
	if c.session == "ended" {
		if r.code != 4 {
			return []string{fmt.Sprintf("the session should be ended: exit %d, %s", r.code, r.stderr)}
		}
		return nil
	}
	from := map[string]string{"stored": "token", "kept": "token", "rotated": "refresh"}[c.session]
	var tokens struct{ Access, Refresh string }
	var members map[string]any
	if err := json.Unmarshal([]byte(b.base[from].body), &members); err != nil {
		return []string{"session: " + c.session + ": " + err.Error()}
	}
	tokens.Access, _ = members["access_token"].(string)
	tokens.Refresh, _ = members["refresh_token"].(string)
	if r.code != 0 || r.stdout != tokens.Access+"\n" {
		return []string{fmt.Sprintf("the session should be %s: exit %d, %q, %s", c.session, r.code, r.stdout, r.stderr)}
	}
	if len(b.filesWith(`"refresh_token":"`+tokens.Refresh+`"`)) != 1 {
		return []string{"the refresh token is not the one of a session that was " + c.session}
	}
	return nil
}

// legible tells text that a terminal shows as it is.
func legible(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && (unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) || r == utf8.RuneError || r == '\u3164' || r == '\u2800')
	})
}

// TestHostileRows wants a case, or a file, for every row of the catalogue that a
// client of this kind can meet.
func TestHostileRows(t *testing.T) {
	_, cases, err := hostileCorpus(filepath.Join("testdata", "hostile"))
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]int{}
	for _, c := range cases {
		have[c.row]++
	}
	for _, c := range hostileGoCases {
		row, _, _ := strings.Cut(c.name, "_")
		have[row]++
	}
	for _, row := range strings.Fields("S1 S2 S3 S4 S5 S7 S8 S9 S10 S11 S13 S14 S15 S17 S19 S21 S22 S23 S24 S26 S27 S28 S29 S30 S31 S32 S33 S34 S35 S37 S40 S41 S42 S43 S44 S45") {
		if have[row] == 0 {
			t.Errorf("%s has no case", row)
		}
	}
	for _, row := range slices.Sorted(maps.Keys(have)) {
		t.Logf("%s: %d", row, have[row])
	}
}
