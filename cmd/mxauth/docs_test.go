package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSystemdUnits has systemd check the units of the documentation, with the real
// binary in its place.
func TestSystemdUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed, so the units cannot be checked")
	}
	units, err := filepath.Glob(filepath.Join("..", "..", "docs", "systemd", "*"))
	if err != nil || len(units) != 5 {
		t.Fatal(units, err)
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no", "--recursive-errors=no"}
	for _, unit := range units {
		text := read(t, unit)
		if !strings.HasPrefix(filepath.Base(unit), "mxauth-restart@") && strings.HasSuffix(unit, ".service") && !strings.Contains(text, "/usr/local/bin/mxauth ") {
			t.Errorf("%s does not run mxauth", unit)
		}
		name := strings.Replace(filepath.Base(unit), "@.", "@bot.", 1)
		text = strings.ReplaceAll(text, "/usr/local/bin/mxauth", binary)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, filepath.Join(dir, name))
	}
	if out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// TestCronLine runs the line of the documentation as cron does: with sh, in an
// environment that has next to nothing in it, and nobody to read what is said.
func TestCronLine(t *testing.T) {
	line := regexp.MustCompile(`(?m)^\*/2 \* \* \* \* (mxauth .*)$`).FindStringSubmatch(read(t, filepath.Join("..", "..", "docs", "systemd.md")))
	if line == nil || strings.Contains(line[1], "%") { // which cron takes for a newline
		t.Fatalf("no line for cron: %q", line)
	}
	s := startServer(t)
	b := newBox(t)
	b.loggedIn(s, "--name", "bot", "--store", "plaintext")
	path := filepath.Join(b.dir, "matrix.env")
	for range 2 {
		out := typedLine(t, b, "sh", strings.Replace(line[1], "/home/bot/matrix.env", path, 1))
		if out != "" {
			t.Errorf("cron would send a mail: %q", out)
		}
		b.must(0, "refresh")
	}
	if text := read(t, path); !strings.Contains(text, "MATRIX_ACCESS_TOKEN=") {
		t.Error("the file holds no token")
	}
}

// TestDocsAndFormats holds the table of the documentation against the one in the
// program.
func TestDocsAndFormats(t *testing.T) {
	text := read(t, filepath.Join("..", "..", "docs", "README.md"))
	for _, f := range formats() {
		if !strings.Contains(text, "`"+f.name+"`") {
			t.Errorf("docs/README.md does not name the format %s", f.name)
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([a-z-]+\.md)\)`).FindAllStringSubmatch(text, -1) {
		page := read(t, filepath.Join("..", "..", "docs", link[1]))
		if !strings.Contains(page, "ried") && link[1] != "systemd.md" {
			t.Errorf("%s does not say whether it was tried", link[1])
		}
	}
}
