package keystore

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// A child is this test program in another process, which does one thing of
// childWork. It says "ready", waits for a line, works, and says what came of it.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// spawn starts a child, under strace if it is given arguments. The child ends
// with the test.
func spawn(t *testing.T, work string, env []string, strace ...string) *child {
	t.Helper()
	argv := []string{os.Args[0], "-test.run=^TestChild$"}
	if len(strace) > 0 {
		argv = slices.Concat(strace, []string{"--"}, argv)
	}
	c := &child{cmd: exec.Command(argv[0], argv[1:]...)}
	c.cmd.Env = slices.Concat(os.Environ(), env, []string{"KEYSTORE_CHILD=" + work})
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it may have ended
		_ = c.cmd.Wait()         // its end was judged where it matters
	})
	return c
}

// line reads what the child says; empty if it is dead.
func (c *child) line() string {
	s, _ := c.out.ReadString('\n') // the end is an answer too
	return strings.TrimSpace(s)
}

// begin waits until the child is ready, and lets it work.
func (c *child) begin(t *testing.T) {
	t.Helper()
	if got := c.line(); got != "ready" {
		t.Fatalf("the child said %q", got)
	}
	if _, err := io.WriteString(c.in, "go\n"); err != nil {
		t.Fatal(err)
	}
}

// TestChild is the other process. It does nothing in this one.
func TestChild(t *testing.T) {
	work, ok := childWork[os.Getenv("KEYSTORE_CHILD")]
	if !ok {
		return
	}
	runtime.LockOSThread() // so that strace counts the calls of one thread
	k, err := Open(Options{Dir: os.Getenv("KEYSTORE_DIR"), KeyFile: os.Getenv("KEYSTORE_KEY")})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // a parent that is gone is no reason to stay
	if err := work(k); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

var childWork = map[string]func(*Keystore) error{
	// hold takes the lock of bot, starts a process of its own, and sleeps.
	"hold": func(k *Keystore) error {
		e, err := k.Find("bot")
		if err != nil {
			return err
		}
		if lock, err := tryLock(k.file(e.ID, ".lock")); lock == nil || err != nil {
			return errors.Join(errors.New("no lock"), err)
		}
		sleep := exec.Command("sleep", "1000")
		if err := sleep.Start(); err != nil {
			return err
		}
		fmt.Println("held", sleep.Process.Pid)
		time.Sleep(time.Hour)
		return nil
	},
	// fresh prints an access token of bot. The server is a file that has a line
	// for each refresh.
	"fresh": func(k *Keystore) error {
		e, err := k.Find("bot")
		if err != nil {
			return err
		}
		s, err := k.Fresh(context.Background(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
			log, err := os.OpenFile(os.Getenv("KEYSTORE_LOG"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
			if err != nil {
				return s, err
			}
			if _, err := fmt.Fprintln(log, s.RefreshToken.Reveal()); err != nil {
				return s, err
			}
			if err := log.Close(); err != nil {
				return s, err
			}
			return next(2)(ctx, s)
		}, func(s flow.Session) bool { return s.FreshFor(time.Now(), time.Minute) })
		if err == nil {
			fmt.Println(s.AccessToken.Reveal())
		}
		return err
	},
	// login stores session 2 under bot, in the place of what is there.
	"login": func(k *Keystore) error {
		ctx, kind := context.Background(), Kind(os.Getenv("KEYSTORE_KIND"))
		if err := k.Prepare(ctx, kind); err != nil {
			return err
		}
		e, err := k.Reserve(ctx, kind, session(2))
		if err != nil {
			return err
		}
		if e, err = k.Fill(ctx, e, session(2)); err != nil {
			return err
		}
		old, err := k.Find("bot")
		if errors.Is(err, ErrNotFound) {
			_, err = k.Name(ctx, e, "bot", "", nil)
			return err
		}
		if err != nil {
			return err
		}
		if _, err = k.Name(ctx, e, "bot", "", &old); err != nil {
			return err
		}
		return k.Remove(ctx, old, func(context.Context, flow.Session) error { return nil })
	},
}

// needStrace skips where processes cannot be traced; in CI that is a failure.
func needStrace(t *testing.T) {
	t.Helper()
	if err := exec.Command("strace", "-qq", "-o", os.DevNull, "true").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("strace: %v", err)
		}
		t.Skipf("strace does not work here: %v", err)
	}
}

// needKills skips tests that kill hundreds of processes where time is short: the
// race detector sees nothing in them.
func needKills(t *testing.T) {
	t.Helper()
	needStrace(t)
	if testing.Short() {
		t.Skip("hundreds of processes are killed without -short")
	}
}

// TestHolder meets a process that holds the lock while it sleeps, is stopped and
// is killed. A process that it started does not hold on to the lock.
func TestHolder(t *testing.T) {
	k := plainStore(t)
	e := login(t, k, KindPlaintext, "bot", expired(1))
	c := spawn(t, "hold", []string{"KEYSTORE_DIR=" + k.Dir()})
	c.begin(t)
	var grandchild int
	if _, err := fmt.Sscanf(c.line(), "held %d", &grandchild); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(grandchild, syscall.SIGKILL) }()
	k.limits.lock = 100 * time.Millisecond
	busy := func(how string) {
		t.Helper()
		var busy *BusyError
		if _, err := k.Update(t.Context(), e, never(t)); !errors.As(err, &busy) || busy.PID != c.cmd.Process.Pid {
			t.Errorf("%s: %v", how, err)
		}
	}
	busy("asleep")
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	busy("stopped")
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait()
	if err := syscall.Kill(grandchild, 0); err != nil {
		t.Fatalf("the process that the holder started is gone: %v", err)
	}
	if _, err := k.Update(t.Context(), e, next(2)); err != nil {
		t.Errorf("after its death: %v", err)
	}
	holds(t, k, e, 2)
}

// TestProcesses has 50 processes ask for a token of one session that ran out.
func TestProcesses(t *testing.T) {
	k := plainStore(t)
	e := login(t, k, KindPlaintext, "bot", expired(1))
	log := filepath.Join(t.TempDir(), "log")
	children := make([]*child, 50)
	for i := range children {
		children[i] = spawn(t, "fresh", []string{"KEYSTORE_DIR=" + k.Dir(), "KEYSTORE_LOG=" + log})
	}
	for _, c := range children {
		c.begin(t)
	}
	for _, c := range children {
		if got := c.line(); got != "access-canary-2" {
			t.Errorf("a process printed %q", got)
		}
	}
	if b, err := os.ReadFile(log); string(b) != "refresh-canary-1\n" {
		t.Errorf("the server was asked with %q, %v", b, err)
	}
	holds(t, k, e, 2)
}

// TestNoLocks refreshes nothing on a file system without locks.
func TestNoLocks(t *testing.T) {
	needStrace(t)
	for _, errno := range []string{"ENOLCK", "EOPNOTSUPP", "ENOSYS"} {
		k := plainStore(t)
		e := login(t, k, KindPlaintext, "bot", expired(1))
		log := filepath.Join(t.TempDir(), "log")
		c := spawn(t, "fresh", []string{"KEYSTORE_DIR=" + k.Dir(), "KEYSTORE_LOG=" + log},
			"strace", "-f", "-qq", "-o", os.DevNull, "-e", "inject=flock:error="+errno)
		c.begin(t)
		if got := c.line(); !strings.Contains(got, "has no locks") {
			t.Errorf("%s: %q", errno, got)
		}
		if _, err := os.Stat(log); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the server was asked: %v", errno, err)
		}
		holds(t, k, e, 1)
	}
}

// traced runs the child that prints a token, and returns what it asked of the
// kernel.
func traced(t *testing.T, k *Keystore) string {
	t.Helper()
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	c := spawn(t, "fresh", []string{"KEYSTORE_DIR=" + k.Dir(), "KEYSTORE_LOG=" + filepath.Join(dir, "log")},
		"strace", "-f", "-qq", "-y", "-o", trace, "-e", "trace=openat,write,pwrite64,ftruncate,fsync,rename,renameat,renameat2")
	c.begin(t)
	if got := c.line(); got != "access-canary-2" {
		t.Fatalf("the child said %q", got)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDurable reads from strace in which order a refresh is made durable: the
// space is taken before the server is asked; then the tokens are written, synced
// and renamed, and the folder is synced, before the token is printed.
func TestDurable(t *testing.T) {
	needStrace(t)
	k := plainStore(t)
	e := login(t, k, KindPlaintext, "bot", expired(1))
	record := regexp.QuoteMeta(k.file(e.ID, ".plain"))
	order := regexp.MustCompile(`(?s)` + strings.Join([]string{
		`write\(\d+<` + record + `\.tmp>, "\\0`, `fsync\(\d+<` + record + `\.tmp>`, // the space
		`write\(\d+<[^>]*/log>`, // the server
		`pwrite64\(\d+<` + record + `\.tmp>`, `ftruncate\(\d+<` + record + `\.tmp>`, `fsync\(\d+<` + record + `\.tmp>`,
		`rename[^(]*\([^)]*` + record + `\.tmp"[^)]*` + record + `"`, `fsync\(\d+<` + regexp.QuoteMeta(k.sessionsDir()) + `>`,
		`openat\([^)]*` + record + `", O_RDONLY`,    // read back
		`write\(1<[^>]*>, "access-canary-2`}, `.*`)) // printed
	if trace := traced(t, k); !order.MatchString(trace) {
		t.Errorf("out of order:\n%s", trace)
	}
}

// TestSettled uses tokens whose writer was killed before it could make them
// durable only after it did that itself.
func TestSettled(t *testing.T) {
	needStrace(t)
	k := plainStore(t)
	e := login(t, k, KindPlaintext, "bot", session(1))
	if _, err := k.Update(t.Context(), e, next(2)); err != nil {
		t.Fatal(err)
	}
	synced := regexp.MustCompile(`(?s)fsync\(\d+<` + regexp.QuoteMeta(k.sessionsDir()) + `>.*write\(1<[^>]*>, "access-canary-2`)
	if trace := traced(t, k); strings.Contains(trace, "fsync") {
		t.Errorf("a read of a settled session syncs:\n%s", trace)
	}
	e.Expiry = e.Expiry.Add(-time.Minute) // as it was before tokens that it does not know
	if err := k.writeEntry(e); err != nil {
		t.Fatal(err)
	}
	if trace := traced(t, k); !synced.MatchString(trace) {
		t.Errorf("used before it is durable:\n%s", trace)
	}
}

var everyKillPoint = flag.Bool("every-kill-point", false, "kill logins at every call of the kernel, not at a sample")

// killable are the calls of the kernel that change something, and those around
// them.
var killable = []string{"openat", "write", "pwrite64", "ftruncate", "fsync", "fchmod", "mkdirat", "renameat", "unlinkat", "linkat", "flock"}

// TestKilledLogin kills a login at calls that it makes of the kernel, and shows
// each time that the next login finds nothing in its way and leaves nothing
// behind. The session that was there before works all the time.
func TestKilledLogin(t *testing.T) {
	needKills(t)
	step := 6
	if *everyKillPoint {
		step = 1
	}
	for name, open := range fileStores(t) {
		for _, second := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, second %v", name, second), func(t *testing.T) {
				points := 0
				for _, call := range killable {
					for when := 1; killLogin(t, open, Kind(name), second, call, when); when += step {
						points++
					}
				}
				t.Logf("killed at %d points", points)
				if points < 75/step {
					t.Errorf("killed at %d points only", points)
				}
			})
		}
	}
}

// quickDir is a directory in memory, where there is one: a disk syncs slowly.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "keystore")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// killLogin kills a login at one call, and checks what the next one makes of it.
func killLogin(t *testing.T, open func(testing.TB, string) *Keystore, kind Kind, second bool, call string, when int) (killed bool) {
	dir := quickDir(t)
	k := open(t, dir)
	if second {
		login(t, k, kind, "bot", session(1))
	}
	at := fmt.Sprintf("%s %d", call, when)
	c := spawn(t, "login", []string{"KEYSTORE_DIR=" + dir, "KEYSTORE_KEY=" + k.opts.KeyFile, "KEYSTORE_KIND=" + string(kind)},
		"strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, when))
	if c.line() != "ready" { // it died before its work began
		return true
	}
	_, _ = io.WriteString(c.in, "go\n") // it may be dead
	if said := c.line(); said != "" {
		t.Fatalf("%s: the login failed: %s", at, said)
	}
	killed = c.cmd.Wait() != nil

	if second { // the old one, or the new one
		e, err := k.Find("bot")
		if err != nil {
			t.Fatalf("%s: the session is gone: %v", at, err)
		}
		if s, err := k.Get(t.Context(), e); err != nil || !strings.HasPrefix(s.AccessToken.Reveal(), "access-canary-") {
			t.Fatalf("%s: the session cannot be read: %v", at, err)
		}
	}
	next := open(t, dir)
	left, err := next.Abandoned()
	if err != nil || len(left) > 1 {
		t.Fatalf("%s: abandoned: %+v, %v", at, left, err)
	}
	for _, e := range left {
		if err := next.Remove(t.Context(), e, func(context.Context, flow.Session) error { return nil }); err != nil {
			t.Fatalf("%s: what it left cannot be removed: %v", at, err)
		}
	}
	if e, err := next.Find("bot"); err == nil {
		if err := next.Remove(t.Context(), e, nil); err != nil {
			t.Fatal(err)
		}
	}
	e := login(t, next, kind, "bot", session(3))
	holds(t, next, e, 3)
	if files := leftovers(t, next); len(files) != 3 {
		t.Errorf("%s: left behind: %v", at, files)
	}
	modes(t, dir)
	return killed
}
