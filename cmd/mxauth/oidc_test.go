package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// missing skips a test whose real part is not installed. In CI that is a failure.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// startProvider runs node-oidc-provider on loopback and returns its issuer.
func startProvider(t *testing.T, env ...string) string {
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
	cmd.Env = append(os.Environ(), env...)
	return serve(t, 1, cmd)[0]
}

// serve starts a server that prints its addresses, a line each, and ends with the
// pipe to its stdin.
func serve(t *testing.T, addresses int, cmd *exec.Cmd) []string {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // ends the server
		_ = cmd.Wait()
	})
	guard := time.AfterFunc(8*time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // it may be over already
	defer guard.Stop()
	var found []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); { // warnings go the same way
		if line := lines.Text(); strings.HasPrefix(line, "http://127.0.0.1:") {
			found = append(found, line)
		}
		if len(found) == addresses {
			go func() {
				for lines.Scan() { // else a full pipe would stop the server
					var name, value string
					if n, _ := fmt.Sscanf(lines.Text(), "secret %s %s", &name, &value); n == 2 { // its warnings are none
						canaries.add(name, value)
					}
				}
			}()
			return found
		}
	}
	_ = cmd.Wait()
	t.Fatalf("%s ended before it was ready: %s", cmd.Path, errs.String())
	return nil
}
