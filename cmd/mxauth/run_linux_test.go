package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRunPutsNoTokenOnACommandLine reads the command lines that any user of the
// machine can read.
func TestRunPutsNoTokenOnACommandLine(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	token := strings.TrimSpace(b.must(0, "token").stdout)
	if r := b.must(0, "run", "--", "sh", "-c", "cat /proc/$PPID/cmdline /proc/$$/cmdline"); strings.Contains(r.stdout, token) || !strings.Contains(r.stdout, "run") {
		t.Error("the token stands on a command line, or none could be read")
	}
}

// TestRunPassesSignals sends a signal to mxauth alone: the command must get it,
// and decide.
func TestRunPassesSignals(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	for name, signal := range map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "QUIT": syscall.SIGQUIT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := b.command("run", "--", "sh", "-c", `trap "exit 5" `+name+`; echo ready; while :; do sleep 0.05; done`)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal of the test's
			pipe, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(pipe).ReadString('\n'); line != "ready\n" {
				t.Fatalf("%q, %v", line, err)
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			guard := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() }) // it may be over already
			defer guard.Stop()
			_ = cmd.Wait() // how it ended is looked at next
			if code := cmd.ProcessState.ExitCode(); code != 5 {
				t.Errorf("exit %d, want the command's 5", code)
			}
		})
	}
}

// countSignals makes the test binary a command that counts the SIGINTs it gets.
const countSignals = "MATRIX_TEST_COUNT_SIGNALS"

func init() {
	if os.Getenv(countSignals) == "" {
		return
	}
	got := make(chan os.Signal, 100)
	signal.Notify(got, syscall.SIGINT)
	fmt.Println("ready")
	<-got
	time.Sleep(300 * time.Millisecond) // for those that come after it
	fmt.Printf("signals: %d\n", 1+len(got))
	os.Exit(6)
}

// TestRunOnATerminal presses Ctrl-C once: the command must get one SIGINT, not
// two, and mxauth must wait for it.
func TestRunOnATerminal(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext", countSignals+"=1")
	b.loggedIn(s)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	control, terminal := openTerminal(t)
	cmd := b.command("run", "--", self)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(control); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.Contains(line, "ready"):
			if _, err := control.Write([]byte{3}); err != nil {
				t.Fatal(err)
			}
		case strings.Contains(line, "signals: "):
			if !strings.Contains(line, "signals: 1") {
				t.Errorf("one Ctrl-C brought %q", line)
			}
			_ = cmd.Wait() // how it ended is looked at next
			if code := cmd.ProcessState.ExitCode(); code != 6 {
				t.Errorf("exit %d, want the command's 6", code)
			}
			return
		}
	}
	t.Error("the command never ended")
}
