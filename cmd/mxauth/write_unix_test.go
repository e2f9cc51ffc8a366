//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWrite makes the file of every format twice, once before and once after a
// rotation.
func TestWrite(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s)
	old := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(old) })
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			path := filepath.Join(b.dir, f.name+".file")
			var texts []string
			for range 2 {
				if r := b.must(0, "token", "--write", f.name, path); r.stdout != "" || r.stderr != "" {
					t.Errorf("it said %q", r.stderr)
				}
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if token := strings.TrimSpace(b.must(0, "token").stdout); strings.Count(string(text), token) != 1 {
					t.Error("the token is not in it once")
				}
				if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
					t.Errorf("mode %v, %v", info.Mode(), err)
				}
				texts = append(texts, string(text))
				b.must(0, "refresh")
			}
			if texts[0] == texts[1] || strings.Count(texts[0], "\n") != strings.Count(texts[1], "\n") {
				t.Errorf("the second is as the first, or of another shape: %d and %d lines", strings.Count(texts[0], "\n"), strings.Count(texts[1], "\n"))
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(b.dir, ".*mxauth*")); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
