package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binary is the real program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	if path := os.Getenv(measureVariable); path != "" {
		os.Exit(measure(path))
	}
	dir, err := os.MkdirTemp("", "mxauth-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "mxauth")
	build := exec.Command("go", "build", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s\n%v\n", out, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir) // a temporary directory that stays is no failure
	os.Exit(code)
}

// A box is a machine of its own for the binary: a home, a state directory, and
// nothing else in the environment. What comes out of it is searched for secrets.
type box struct {
	t       *testing.T
	env     []string
	dir     string
	watcher *watcher
}

func newBox(t *testing.T, env ...string) box {
	t.Helper()
	b := unwatchedBox(t, env...)
	t.Cleanup(func() {
		for _, l := range b.leaks() {
			t.Error(l)
		}
	})
	return b
}

// unwatchedBox is a box of a test that looks for leaks by itself.
func unwatchedBox(t *testing.T, env ...string) box {
	t.Helper()
	dir := t.TempDir()
	base := []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "LANG=C.UTF-8", "MXAUTH_STATE_DIR=" + filepath.Join(dir, "state")}
	return box{t: t, env: append(base, env...), dir: dir, watcher: &watcher{}}
}

// sealedBox is a box whose sessions lie in sealed files with a key file.
func sealedBox(t *testing.T) box {
	b := newBox(t, "MXAUTH_STORE=file")
	b.env = append(b.env, "MXAUTH_KEY_FILE="+filepath.Join(b.dir, "key"))
	return b
}

// A result is how the binary ended.
type result struct {
	stdout, stderr string
	code           int
}

func (b box) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.t.Context(), binary, args...)
	cmd.Env = b.env
	cmd.Dir = b.dir
	cmd.Stderr = &bytes.Buffer{} // to be searched, where the test does not read it
	cmd.WaitDelay = time.Minute
	return b.watch(cmd)
}

// run runs the binary to its end.
func (b box) run(args ...string) result {
	b.t.Helper()
	cmd := b.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	b.left()
	r := result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	if r.code != 0 && r.stdout != "" && !strings.Contains(strings.Join(args, " "), "json") && args[0] != "doctor" {
		b.t.Errorf("mxauth %s: exit %d and yet stdout is not empty", args[0], r.code)
	}
	return r
}

// must runs the binary and wants an exit code.
func (b box) must(code int, args ...string) result {
	b.t.Helper()
	r := b.run(args...)
	if r.code != code {
		b.t.Fatalf("mxauth %s: exit %d, want %d\n%s", strings.Join(args, " "), r.code, code, r.stderr)
	}
	return r
}

// event is a line of login --json, as a consumer reads it.
type event struct {
	Event    string `json:"event"`
	UserCode string `json:"user_code"`
	URI      string `json:"verification_uri"`
	Link     string `json:"authorization_uri"`
	Redirect string `json:"redirect_uri"`
	Complete string `json:"verification_uri_complete"`
	DeviceID string `json:"device_id"`
	Name     string `json:"name"`
	UserID   string `json:"user_id"`
	Text     string `json:"text"`
	Exit     *int   `json:"exit"`
	Error    string `json:"error"`
}

// login runs "login --json" with these arguments and calls approve with the
// event that carries the code. It returns the last event and the exit code.
func (b box) login(approve func(event), args ...string) (event, int) {
	b.t.Helper()
	cmd := b.command(append([]string{"login", "--json"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	guard := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // it may be over already
	defer guard.Stop()
	var last event
	var read strings.Builder
	lines := bufio.NewScanner(io.TeeReader(pipe, &read))
	for lines.Scan() {
		last = event{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			b.t.Fatalf("not an event: %q: %v", lines.Text(), err)
		}
		if (last.Event == "code" || last.Event == "link") && approve != nil {
			approve(last)
		}
	}
	err = cmd.Wait()
	b.saw(cmd.Args, read.String(), "")
	b.left()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	if last.Event != "done" && last.Event != "error" {
		b.t.Fatalf("login ended with event %q: %s", last.Event, errs.String())
	}
	return last, cmd.ProcessState.ExitCode()
}
