package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new terminal.
func openTerminal(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		missing(t, "there are no terminals here: "+err.Error())
	}
	t.Cleanup(func() { _ = control.Close() })
	fd := int(control.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return control, terminal
}

// TestTokenStartsNothing traces "token" on a terminal: it starts no process, and
// all that it writes is the token, to stdout. A question to the terminal would
// be a write too.
func TestTokenStartsNothing(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		missing(t, "strace is not installed, so what the start does cannot be seen")
	}
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext", "TERM=xterm-256color", "TMUX=/tmp/none,1,0")
	b.loggedIn(s)
	token := b.must(0, "token").stdout
	control, terminal := openTerminal(t)
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-o", trace, "-e", "trace=execve,write,writev,ioctl,socket", binary, "token")
	cmd.Env, cmd.Dir = b.env, b.dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	seen := make([]byte, 4096)
	n, err := control.Read(seen)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(string(seen[:n]), "\r\n", "\n"); got != token {
		t.Errorf("the terminal got %d bytes that are not the token", n)
	}
	lines, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var processes, writes, sockets int
	for line := range bytes.Lines(lines) {
		switch {
		case bytes.Contains(line, []byte(" execve(")):
			processes++
		case bytes.Contains(line, []byte(" write(1,")), bytes.Contains(line, []byte(" write(2,")):
			writes++
		case bytes.Contains(line, []byte(" socket(")):
			sockets++
		}
	}
	if got := fmt.Sprint(processes, writes, sockets); got != "1 1 0" {
		t.Errorf("processes, writes to the terminal, sockets: %s, want 1 1 0", got)
	}
}
