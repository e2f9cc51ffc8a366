package model

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the module, seen from here.
const root = "../../.."

// diskImport stands in the place of what it models.
const diskImport = `"github.com/mxauth/mxauth/keystore/keystoretest/disk"`

// writeOverlay writes copies of the shipped code that differ in one thing: their
// package os, their file locks and their clock are those of package disk. It
// returns the file that go build's -overlay wants.
func writeOverlay(t *testing.T) string {
	dir := t.TempDir()
	replace := map[string]string{}
	for _, pkg := range []string{"keystore", "flow", "cmd/internal/login"} {
		files, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if !strings.HasSuffix(path, "_test.go") {
				addToOverlay(t, dir, replace, path)
			}
		}
	}
	addFile(t, dir, replace, "modelled_test.go", "package model\n\nconst modelled = true\n")
	addFile(t, dir, replace, filepath.Join(root, "keystore/keyring_secretservice.go"), modelledRing)
	addFile(t, dir, replace, filepath.Join(root, "keystore/ringquick_secretservice.go"), "package keystore\n")
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// modelledRing is what keystore knows of the Secret Service beyond go-keyring. Its
// keyring is open and asks nobody.
const modelledRing = `package keystore

import (
	"context"
	"path/filepath"

	"github.com/mxauth/mxauth/keystore/keystoretest/disk"
)

const itemMax = 32 << 10

func probeRing(context.Context) error { return nil }

func quickItem(context.Context, string) (string, error) { return "", errUnusual }

func soleItem(string) error { return nil }

func canPrompt() bool { return false }

func (r *ring) sync() error {
	if disk.Mistake("` + folderUnsynced + `") {
		return nil
	}
	folder := filepath.Join(filepath.Dir(r.k.opts.Dir), disk.KeyringDir)
	return fileError(folder, syncDir(folder))
}
`

func addToOverlay(t *testing.T, dir string, replace map[string]string, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := string(b)
	code := mistaken(t, filepath.ToSlash(strings.TrimPrefix(path, root)), before)
	if filepath.Base(filepath.Dir(path)) == "keystore" {
		code = strings.ReplaceAll(code, "\t\"os\"\n", "\tos "+diskImport+"\n")
		code = strings.ReplaceAll(code, "\t\"github.com/gofrs/flock\"\n", "\tflock "+diskImport+"\n")
		code = strings.ReplaceAll(code, "\t\"github.com/zalando/go-keyring\"\n", "\tkeyring "+diskImport+"\n")
		code = strings.ReplaceAll(code, "(service, ", "(r.k.opts.Dir, ") // tells who asks
	}
	code = strings.ReplaceAll(code, "time.Now()", "disk.Now()")
	if strings.Contains(code, "disk.Now()") || strings.Contains(code, "disk.Mistake(") {
		code = strings.Replace(code, "import (\n", "import (\n\t"+diskImport+"\n", 1)
	}
	if code != before {
		addFile(t, dir, replace, path, code)
	}
}

func addFile(t *testing.T, dir string, replace map[string]string, path, code string) {
	t.Helper()
	original, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, strings.ReplaceAll(strings.Trim(path, "./"), "/", "_"))
	if err := os.WriteFile(to, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	replace[original] = to
}
