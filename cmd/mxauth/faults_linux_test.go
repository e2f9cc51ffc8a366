package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A fault is one thing that goes wrong while the real binary runs. Its name
// begins with its number in the catalogue of faults: F are single faults, C is
// what processes do to each other. It has a session whose access token has run
// out, unless it is fresh.
type fault struct {
	name string
	run  func(*killing)
}

// elsewhere are the rows of the catalogue that other tests show: the folder, and
// the names of the tests.
var elsewhere = map[string][]string{
	"F1":  {".", "TestKill"},
	"F3":  {".", "TestKill"},
	"F19": {"../../keystore", "TestStores", "TestRecordShrinks"},
	"F20": {"../../keystore", "TestOneItem", "TestRealKeyring"},
	"F35": {"../../tui", "TestWindows", "TestResizeStorm", "TestUsableTerminal", "TestNoColour"},
	"F36": {"../../tui", "TestPanics", "TestGuard", "TestSessionsPanic"},
	"C1":  {".", "TestManyTokens"},
	"C6":  {"../../keystore", "TestAdopted"},
	"C10": {".", "TestSessionsDoNotWait"},
	"C12": {"../../keystore", "TestReadersSeeWholeRecords"},
}

// isShown fails for a test that is not there: a row must not be lost with it.
func isShown(t *testing.T, folder string, names []string) {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for _, name := range names {
		if !strings.Contains(all.String(), "\nfunc "+name+"(t *testing.T) {") {
			t.Errorf("there is no %s in %s", name, folder)
		}
	}
}

// TestFaults makes each fault happen. Whatever goes wrong: stdout is empty unless
// the exit code is 0, the error has three lines at most and says whether the
// login is kept, and when the fault is gone the next token works.
func TestFaults(t *testing.T) {
	for row, where := range elsewhere {
		t.Run(row+"_elsewhere", func(t *testing.T) {
			isShown(t, where[0], where[1:])
			t.Logf("see %s: %s", where[0], strings.Join(where[1:], ", "))
		})
	}
	if testing.Short() {
		t.Skip("they take a minute")
	}
	together(slices.Concat(crowdFaults, serverFaults, diskFaults, placeFaults, ringFaults, clockFaults, signalFaults, streamFaults), func(f fault) {
		t.Run(f.name, func(t *testing.T) { f.run(newKilling(t, newBox(t, "MXAUTH_STORE=plaintext"), false)) })
	})
	t.Logf("what was said:\n%s", &faultTexts)
}

// together does something for every element, eight at a time: these tests wait
// most of the time, and t.Parallel would run as many as there are cores.
func together[T any](all []T, do func(T)) {
	room := make(chan struct{}, 8)
	var running sync.WaitGroup
	for _, one := range all {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			do(one)
		})
	}
	running.Wait()
}

// fails checks how the binary failed, and shows what it said.
func (k *killing) fails(code int, r result, says ...string) {
	k.t.Helper()
	if strings.HasPrefix(r.stderr, "Looking up ") { // a login, which tells its steps
		r.stderr = r.stderr[max(strings.LastIndex(r.stderr, "mxauth: "), 0):]
	}
	faultTexts.add(k, r)
	if r.code != code {
		k.t.Errorf("exit %d, want %d", r.code, code)
	}
	if r.code != 0 && r.stdout != "" {
		k.t.Error("stdout is not empty")
	}
	if strings.Contains(r.stdout+r.stderr, "mar_") || strings.Contains(r.stderr, "mat_") {
		k.t.Error("a token came out")
	}
	if n := strings.Count(r.stderr, "\n"); n > 3 || !strings.HasPrefix(r.stderr, "mxauth: ") {
		k.t.Errorf("the error has %d lines, or does not begin with the program's name", n)
	}
	for _, what := range says {
		if !strings.Contains(r.stderr, what) {
			k.t.Errorf("it should say %q", what)
		}
	}
}

// faultTexts are the error texts of all faults, each once.
var faultTexts errorTexts

type errorTexts struct {
	mu    sync.Mutex
	texts map[string]bool
}

// add notes an error without what differs from run to run.
func (e *errorTexts) add(k *killing, r result) {
	text := strings.NewReplacer(k.dir, "DIR", k.s.ServerName, "SERVER", k.s.Issuer, "ISSUER").Replace(r.stderr)
	text = regexp.MustCompile(`[A-Z2-7]{26}`).ReplaceAllString(text, "ID")
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.texts == nil {
		e.texts = map[string]bool{}
	}
	e.texts[fmt.Sprintf("exit %d\n%s", r.code, text)] = true
}

func (e *errorTexts) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(e.texts)), "\n")
}

// works wants the next token to work: nothing was lost.
func (k *killing) works() {
	k.t.Helper()
	if k.tokenWorks(trace{}) {
		k.t.Error("the session is lost")
	}
}

// under runs the binary below another program: strace, unshare, a shell.
func (k *killing) under(wrapper []string, args ...string) result {
	k.t.Helper()
	k.needs(wrapper[0])
	cmd := exec.CommandContext(k.t.Context(), wrapper[0], append(append(wrapper[1:len(wrapper):len(wrapper)], binary), args...)...)
	return k.finish(cmd)
}

// needs skips a row whose wrapper is not installed, or may not do its work here.
func (k *killing) needs(wrapper string) {
	k.t.Helper()
	if wrapper == "strace" && os.Geteuid() != 0 {
		missing(k.t, "mxauth lets nobody but root look into it")
	}
	probe := map[string][]string{"unshare": {"-rm", "true"}, "strace": {"-o", "/dev/null", "true"}, "sh": {"-c", "true"}}[wrapper]
	if out, err := exec.CommandContext(k.t.Context(), wrapper, probe...).CombinedOutput(); err != nil {
		missing(k.t, fmt.Sprintf("%s cannot be used here: %v %s", wrapper, err, out))
	}
}

// finish runs a command to its end.
func (k *killing) finish(cmd *exec.Cmd) result {
	k.t.Helper()
	cmd.Env, cmd.Dir = k.env, k.dir
	k.watch(cmd)
	var out, errs bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	cmd.Stderr = &errs
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		k.t.Fatal(err)
	}
	k.left()
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// injecting is strace with errors put into system calls on a path.
func injecting(path string, faults ...string) []string {
	args := []string{"strace", "-f", "-qq", "-o", "/dev/null"}
	for _, f := range faults {
		call, _, _ := strings.Cut(f, ":")
		args = append(args, "-e", "trace="+call, "-e", "inject="+f)
	}
	if path != "" {
		args = append(args, "-P", path)
	}
	return args
}

func (k *killing) state(parts ...string) string {
	return filepath.Join(append([]string{k.dir, "state"}, parts...)...)
}

// only finds the one file of the sessions with a suffix.
func (k *killing) only(suffix string) string {
	k.t.Helper()
	found, err := filepath.Glob(k.state("sessions", "*"+suffix))
	if err != nil || len(found) != 1 {
		k.t.Fatalf("files with %s: %v, %v", suffix, found, err)
	}
	return found[0]
}

func (k *killing) write(path, text string) {
	k.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *killing) read(path string) string {
	k.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(b)
}

// diskFault puts an error into system calls of a refresh. asked tells whether
// the server has been asked by then: if so, the refresh token that it consumed is
// sent again.
func diskFault(name string, asked bool, suffix string, faults ...string) fault {
	return fault{name, func(k *killing) {
		k.expired(k.s)
		path := k.state("sessions")
		if suffix != "" {
			path = k.only(".plain") + suffix
		}
		k.fails(7, k.under(injecting(path, faults...), "token"))
		if n := k.s.Count(flowtest.Refresh); (n > 0) != asked {
			k.t.Errorf("%d refreshes reached the server", n)
		}
		if k.s.Count(flowtest.WhoAmI) > 1 { // the login's
			k.t.Error("the new token was used")
		}
		k.works()
	}}
}

var diskFaults = []fault{
	diskFault("F6_write_ENOSPC_before_the_request", false, ".tmp", "write:error=ENOSPC"),
	diskFault("F6_write_EIO_before_the_request", false, ".tmp", "write:error=EIO"),
	diskFault("F6_write_EFBIG_before_the_request", false, ".tmp", "write:error=EFBIG"),
	diskFault("F6_fsync_EIO_before_the_request", false, ".tmp", "fsync:error=EIO"),
	diskFault("F6_write_ENOSPC", true, ".tmp", "pwrite64:error=ENOSPC"),
	diskFault("F6_write_EFBIG", true, ".tmp", "pwrite64:error=EFBIG"),
	diskFault("F6_truncate_EIO", true, ".tmp", "ftruncate:error=EIO"),
	diskFault("F6_rename_ENOSPC", true, ".tmp", "renameat:error=ENOSPC"),
	diskFault("F6_rename_EIO", true, ".tmp", "renameat:error=EIO"),
	diskFault("F6_fsync_of_the_folder_EIO", true, "", "fsync:error=EIO"),
	{"F6_ulimit", func(k *killing) {
		k.expired(k.s)
		k.fails(7, k.under([]string{"sh", "-c", `ulimit -f 0; exec "$0" "$@"`}, "token"), "no room")
		k.works()
	}},
	{"F5_order_of_a_refresh", orderOfRefresh},
	{"F8_full_disk_at_login", func(k *killing) {
		mount := `mkdir -p "$MXAUTH_STATE_DIR" && mount -t tmpfs -o size=4k,mode=700 none "$MXAUTH_STATE_DIR" && exec "$0" "$@"`
		k.fails(7, k.under([]string{"unshare", "-rm", "sh", "-c", mount}, "login", k.s.URL), "no room")
		if n := k.s.Count(flowtest.Device); n != 0 {
			k.t.Error("a code was asked for")
		}
	}},
	{"F8_full_disk_at_refresh", fullAtRefresh},
	{"F9_read-only", func(k *killing) {
		k.expired(k.s)
		mount := `mount --bind "$MXAUTH_STATE_DIR" "$MXAUTH_STATE_DIR" && mount -o remount,ro,bind "$MXAUTH_STATE_DIR" && exec "$0" "$@"`
		k.fails(7, k.under([]string{"unshare", "-rm", "sh", "-c", mount}, "token"), "read-only")
		if k.s.Count(flowtest.Refresh) != 0 {
			k.t.Error("the server was asked")
		}
		k.works()
	}},
}

// orderOfRefresh reads the order of things from a trace: room is taken before
// the request, the answer is synced, renamed and its folder synced before the
// token is printed.
func orderOfRefresh(k *killing) {
	k.expired(k.s)
	log := filepath.Join(k.t.TempDir(), "trace")
	r := k.under([]string{"strace", "-f", "-qq", "-y", "-s", "2000", "-o", log, "-e", "trace=write,pwrite64,fsync,rename,renameat,renameat2,flock"}, "token")
	if r.code != 0 {
		k.t.Fatalf("exit %d: %s", r.code, r.stderr)
	}
	rest := k.read(log)
	for _, step := range []string{".lock>, LOCK_EX", ".plain.tmp>, \"\\0", "fsync(", "grant_type=", "pwrite64(", "fsync(", "rename", "/sessions>) ", "\"mat_"} {
		_, after, found := strings.Cut(rest, step)
		if !found {
			k.t.Fatalf("%q does not come where it should", step)
		}
		rest = after
	}
}

// fullAtRefresh fills the disk of a session, and empties it again.
func fullAtRefresh(k *killing) {
	k.needs("unshare")
	stop := k.approving()
	defer stop()
	k.outOfDate()
	script := `mkdir -p "$MXAUTH_STATE_DIR" && mount -t tmpfs -o size=64k,mode=700 none "$MXAUTH_STATE_DIR" || exit 99
"$0" login "$1" >&2 2>/dev/null || exit 98
cat /dev/zero > "$MXAUTH_STATE_DIR/filler" 2>/dev/null
"$0" refresh; echo "refresh $?"
rm "$MXAUTH_STATE_DIR/filler"
"$0" token | tail -c +1 | grep -c mat_`
	r := k.finish(exec.CommandContext(k.t.Context(), "unshare", "-rm", "sh", "-c", script, binary, k.s.URL))
	if r.stdout != "refresh 7\n1\n" {
		k.t.Errorf("exit %d, %q", r.code, r.stdout)
	}
	k.t.Log(r.stderr)
}
