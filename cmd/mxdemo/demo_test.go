package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDemoWithoutATerminal runs the first thing that a newcomer runs, as a
// script does: no questions, one line on stdout, nothing left behind.
func TestDemoWithoutATerminal(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	home := t.TempDir()
	binary := filepath.Join(home, "mxdemo")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	if token := out.String(); strings.Count(token, "\n") != 1 || !strings.HasPrefix(token, "mat_") {
		t.Errorf("stdout has %d lines, or no token", strings.Count(token, "\n"))
	}
	if strings.Contains(errs.String(), strings.TrimSpace(out.String())) {
		t.Error("the token stands on stderr too")
	}
	for _, want := range []string{"@alice:example.test", "as alice", "a new refresh token"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, errs.String())
		}
	}
	left, err := os.ReadDir(home)
	if err != nil || len(left) != 1 {
		t.Errorf("it left %v, %v", left, err)
	}
}
