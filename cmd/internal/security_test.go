package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSecurityNamesTests: every test that SECURITY.md names is there, and every
// promise names one.
func TestSecurityNamesTests(t *testing.T) {
	text := read(t, "SECURITY.md")
	known := testFunctions(t)
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	found := names.FindAllStringSubmatch(text, -1)
	if len(found) < 30 {
		t.Errorf("only %d tests are named", len(found))
	}
	for _, m := range found {
		if !known[m[1]] {
			t.Errorf("SECURITY.md names %s, which is no test", m[1])
		}
	}
	promises := regexp.MustCompile(`(?m)^\| [1-9] \| .*$`).FindAllString(text, -1)
	if len(promises) != 9 {
		t.Errorf("%d promises, want 9", len(promises))
	}
	for _, p := range promises {
		if !names.MatchString(p) {
			t.Errorf("no test: %s", p)
		}
	}
}

// testFunctions are the tests and fuzz targets of this module, by name.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				known[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// TestDependenciesHaveReasons: every direct dependency has its sentence in
// SECURITY.md, and no other has.
func TestDependenciesHaveReasons(t *testing.T) {
	var direct, justified []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require |\t)([a-z0-9./A-Z-]+) v\S+$`).FindAllStringSubmatch(read(t, "go.mod"), -1) {
		direct = append(direct, m[1]) // what is not direct has a comment behind it
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9./-]+)` \\| \\S.*\\S \\|$").FindAllStringSubmatch(read(t, "SECURITY.md"), -1) {
		justified = append(justified, m[1])
	}
	slices.Sort(direct)
	slices.Sort(justified)
	if !slices.Equal(direct, justified) {
		t.Errorf("direct dependencies: %v\nwith a reason in SECURITY.md: %v", direct, justified)
	}
}
