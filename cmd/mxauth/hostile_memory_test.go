package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// measureVariable makes of the test binary a small process that runs mxauth and
// writes the peak of its memory into the file of this name.
const measureVariable = "MXAUTH_TEST_MEASURE"

// measure is that process: it passes everything through.
func measure(path string) int {
	cmd := exec.Command(os.Getenv(measureVariable+"_BINARY"), os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return -1
	}
	if err := os.WriteFile(path, []byte(strconv.FormatInt(peakMemory(cmd.ProcessState), 10)), 0o600); err != nil {
		return -1
	}
	return cmd.ProcessState.ExitCode()
}

// readMemory reads what measure wrote; a figure that is not there is too much.
func readMemory(path string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 1 << 62
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 1 << 62
	}
	return n
}
