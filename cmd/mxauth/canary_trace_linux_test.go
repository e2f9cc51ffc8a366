package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	// A line that another thread's news cut in two ends in "<unfinished ...>".
	execve   = regexp.MustCompile(`(?m)execve\("[^"]*", \[(.*?)\], \[(.*)\](?:\) += 0| <unfinished \.\.\.>)$`)
	runToken = regexp.MustCompile(`"MATRIX_ACCESS_TOKEN=[^"]*"`)
)

// traced runs a program under strace and searches the arguments and the
// environment of every process that comes of it. They are the kernel's, so none is
// too short-lived to be seen. The token in the environment of what "run" runs is
// what was asked for.
func (b box) traced(program string, args ...string) (result, []string) {
	b.t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		missing(b.t, "strace is not installed, so what is started cannot be seen")
	}
	log := filepath.Join(b.t.TempDir(), "trace")
	cmd := b.command(args...)
	cmd.Path, cmd.Args = strace, append([]string{"strace", "-f", "--seccomp-bpf", "-qq", "-v", "-s", "1000000", "-o", log, "-e", "trace=execve", program}, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the state tells
	b.left()
	text, err := os.ReadFile(log)
	if err != nil {
		b.t.Fatal(err)
	}
	started := execve.FindAllStringSubmatch(string(text), -1)
	var programs []string
	var found []leak
	for _, p := range started {
		arguments, environment := p[1], p[2]
		if strings.Contains(" "+strings.Join(args, " ")+" ", " run ") {
			environment = runToken.ReplaceAllString(environment, "")
		}
		found = append(found, canaries.in(arguments, "the arguments of a process")...)
		found = append(found, canaries.in(environment, "the environment of a process")...)
		programs = append(programs, arguments)
	}
	b.watcher.mu.Lock()
	defer b.watcher.mu.Unlock()
	b.watcher.found = append(b.watcher.found, found...)
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}, programs
}
