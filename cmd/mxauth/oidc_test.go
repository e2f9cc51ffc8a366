package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// missing skips a test whose real part is not installed. In CI that is a failure.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// startProvider runs node-oidc-provider on loopback and returns its issuer. The
// provider ends with the pipe to its stdin.
func startProvider(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("testdata", "oidc")
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "Node.js is not installed, so the real OpenID provider cannot run")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "oidc-provider")); err != nil {
		missing(t, "oidc-provider is not installed: (cd cmd/mxauth/testdata/oidc && npm install)")
	}
	cmd := exec.Command(node, "server.mjs")
	cmd.Dir = dir
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // ends the provider
		_ = cmd.Wait()
	})
	// Its warnings go the same way as the issuer.
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, "http://127.0.0.1:") {
			go func() {
				for lines.Scan() { // else a full pipe would stop the provider
				}
			}()
			return line
		}
	}
	t.Fatal("the provider ended before it was ready")
	return ""
}
