package internal

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/mxauth/mxauth/"

// TestImportsPointOneWay keeps the house as it is drawn: cmd at the top, flow at
// the bottom.
func TestImportsPointOneWay(t *testing.T) {
	allowed := map[string][]string{
		"flow":                       {},
		"flow/flowtest":              {},
		"keystore":                   {"flow"},
		"keystore/keystoretest":      {},
		"keystore/keystoretest/disk": {},
		"tui":                        {"flow"},
		"docs/pictures":              {"flow/flowtest"}, // runs the program, imports none of it
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], module)
		seen[pkg] = true
		if strings.HasPrefix(pkg, "cmd/") {
			continue
		}
		may, known := allowed[pkg]
		if !known {
			t.Errorf("package %s has no place in the house", pkg)
		}
		for _, imported := range words[1:] {
			ours, ok := strings.CutPrefix(imported, module)
			if ok && !strings.Contains(" "+strings.Join(may, " ")+" ", " "+ours+" ") {
				t.Errorf("%s imports %s", pkg, ours)
			}
		}
	}
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("package %s is gone", pkg)
		}
	}
}
