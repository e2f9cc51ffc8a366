package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A hostileGoCase is a row of the catalogue that no file can hold.
type hostileGoCase struct {
	name string // begins with the row
	run  func(*testing.T)
}

var hostileGoCases = []hostileGoCase{
	{"S8_public_name_that_leads_inside", func(t *testing.T) {
		base, _, err := hostileCorpus(filepath.Join("testdata", "hostile"))
		if err != nil {
			t.Fatal(err)
		}
		certs := newHostileCerts(t)
		s, err := startHostile(base, hostileCase{direct: "example.org", answers: map[string][]hostileAnswer{
			"well-known": {{status: 404, cut: -1}},
			"GET https://example.org/_matrix/client/v1/auth_metadata": {{body: base["metadata"].body, cut: -1}},
		}}, certs, "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		b := newBox(t, "MXAUTH_STORE=plaintext", "SSL_CERT_FILE="+certs.file)
		hosts := filepath.Join(b.dir, "hosts")
		if err := os.WriteFile(hosts, []byte("127.0.0.1 example.org auth.example.org\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		// Names of its own for one process: no other way leads past the name service.
		if err := exec.CommandContext(t.Context(), "unshare", "-rm", "mount", "--bind", hosts, "/etc/hosts").Run(); err != nil {
			t.Skipf("no file can be put over /etc/hosts here: %v", err)
		}
		_, port, _ := net.SplitHostPort(s.Addr().String())
		cmd := exec.CommandContext(t.Context(), "unshare", "-rm", "sh", "-c", `mount --bind "$1" /etc/hosts && exec "$2" login "$3"`, "sh", hosts, binary, "https://example.org:"+port)
		cmd.Env, cmd.Dir = b.env, b.dir
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), "Warning: Example.org leads to 127.0.0.1, which is no public address.") {
			t.Errorf("%v: it says %q", err, out)
		}
	}},
	{"S10_nobody_listens", func(t *testing.T) {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = free.Close()
		newBox(t, "MXAUTH_STORE=plaintext").refuses(5, "refused the connection", "login", "https://"+free.Addr().String())
	}},
	{"S44_proxy_that_is_not_there", func(t *testing.T) { proxied(t, "", "proxy that refused the connection") }},
	{"S44_proxy_that_wants_another_password", func(t *testing.T) {
		proxied(t, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n", "Proxy Authentication Required")
	}},
	{"S44_proxy_that_says_the_password_back", func(t *testing.T) {
		proxied(t, "HTTP/1.1 407 no to user:CANARY_pass and to "+base64.StdEncoding.EncodeToString([]byte("user:CANARY_pass"))+"\r\nContent-Length: 0\r\n\r\n", "[secret]")
	}},
	{"S44_proxy_that_paints", func(t *testing.T) {
		proxied(t, "HTTP/1.1 502 \x1b[31m\u202eno\r\nContent-Length: 0\r\n\r\n", "")
	}},
	{"S44_proxy_that_speaks_something_else", func(t *testing.T) { proxied(t, "SSH-2.0-\x1b[31mOpenSSH\r\n", "") }},
	{"S44_proxy_that_hangs_up", func(t *testing.T) { proxied(t, "hang up", "") }},
	{"S44_proxy_variable_malformed", func(t *testing.T) {
		for _, value := range []string{"http://user:CANARY_pass@[::1", "http://user:CANARY_pass@proxy.test:port", "://CANARY", "user:CANARY_pass@\x1b[31m"} {
			b := newBox(t, "MXAUTH_STORE=plaintext", "HTTPS_PROXY="+value)
			r := b.must(2, "doctor")
			if !strings.Contains(r.stdout, "[!!] proxy: HTTPS_PROXY") || strings.Contains(r.stdout+r.stderr, "CANARY") || !legible(r.stdout+r.stderr) {
				t.Errorf("it says %q %q", r.stdout, r.stderr)
			}
		}
	}},
	{"S44_proxy_variable_told_without_its_password", func(t *testing.T) {
		b := newBox(t, "MXAUTH_STORE=plaintext", "https_proxy=http://user:CANARY_pass@proxy.test:3128")
		r := b.must(0, "doctor")
		if !strings.Contains(r.stdout, "[ok] proxy: requests go through proxy.test:3128") || strings.Contains(r.stdout+r.stderr, "CANARY") {
			t.Errorf("it says %q %q", r.stdout, r.stderr)
		}
	}},
	{"S44_SSL_CERT_FILE", func(t *testing.T) {
		certs := newHostileCerts(t)
		for name, c := range map[string]struct{ text, says string }{
			"missing": {"", "cannot be read"}, "empty": {" ", "holds no certificate"}, "garbage": {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificate"},
		} {
			b := newBox(t, "MXAUTH_STORE=plaintext")
			file := filepath.Join(b.dir, name)
			if c.text != "" {
				if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			base, _, err := hostileCorpus(filepath.Join("testdata", "hostile"))
			if err != nil {
				t.Fatal(err)
			}
			s, err := startHostile(base, hostileCase{}, certs, "")
			if err != nil {
				t.Fatal(err)
			}
			b.env = append(b.env, "SSL_CERT_FILE="+file, "HTTPS_PROXY=http://"+s.Addr().String())
			r := b.refuses(6, "SSL_CERT_FILE", "login", "example.org")
			if doctor := b.must(2, "doctor").stdout; !strings.Contains(r.stderr, c.says) || !strings.Contains(doctor, c.says) {
				t.Errorf("%s: it says %q and %q", name, r.stderr, doctor)
			}
			_ = s.Close()
		}
	}},
	{"S45_opener", func(t *testing.T) {
		b := newBox(t)
		script := filepath.Join(b.dir, "opener")
		if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf '%s\\0' \"$@\" >>"+b.dir+"/args\nenv >>"+b.dir+"/env\npwd >>"+b.dir+"/pwd\n"), 0o700); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
		t.Setenv("MXAUTH_KEY_COMMAND", "CANARY")
		want := ""
		for address, open := range map[string]bool{
			"https://auth.example.org/link?a=%24(touch)&b=;x|y'`z`%PATH%": true,
			"http://127.0.0.1:8008/link":                                  true,
			"-x":                                                          false,
			"--help":                                                      false,
			"file:///etc/passwd":                                          false,
			"javascript:alert(1)":                                         false,
			"http://evil.test/":                                           false,
			"https://auth.example/a b":                                    false,
			"":                                                            false,
		} {
			err := openPage(context.Background(), [][]string{{filepath.Join(b.dir, "none")}, {script}}, address)
			if (err == nil) != open {
				t.Errorf("%q: %v", address, err)
			}
			if open {
				want += address + "\x00"
			}
		}
		got, err := os.ReadFile(filepath.Join(b.dir, "args"))
		if err != nil || len(got) != len(want) || strings.Count(string(got), "\x00") != 2 {
			t.Errorf("it ran with %q, %v", got, err)
		}
		if env, err := os.ReadFile(filepath.Join(b.dir, "env")); err != nil || strings.Contains(string(env), "CANARY") {
			t.Errorf("its environment is %s, %v", env, err)
		}
	}},
}

// TestHostileCases runs the rows that no file can hold.
func TestHostileCases(t *testing.T) {
	for _, c := range hostileGoCases {
		t.Run(c.name, c.run)
	}
	t.Logf("%d cases that are no files", len(hostileGoCases))
}

// refuses wants an exit code, a sentence of at most three lines, and nothing
// that a terminal obeys.
func (b box) refuses(code int, says string, args ...string) result {
	b.t.Helper()
	r := b.must(code, args...)
	at := strings.LastIndex(r.stderr, "mxauth: ")
	if at < 0 || !strings.Contains(r.stderr[at:], says) || strings.Count(r.stderr[at:], "\n") > 3 || !legible(r.stderr) || strings.Contains(r.stderr, hostileMark) {
		b.t.Errorf("it should say %q in three lines at most: %q", says, r.stderr)
	}
	return r
}

// proxied logs in through a proxy with a password that answers every request with
// the same text; with none there is no such proxy.
func proxied(t *testing.T, answer, says string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if answer == "" {
		_ = l.Close()
	}
	asked := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				asked <- r.Header.Get("Proxy-Authorization")
			}
			if answer != "hang up" {
				_, _ = io.WriteString(conn, answer)
			}
			_ = conn.Close()
		}
	}()
	b := newBox(t, "MXAUTH_STORE=plaintext", "HTTPS_PROXY=http://user:CANARY_pass@"+l.Addr().String())
	b.refuses(5, says, "-vv", "login", "example.org")
	_ = l.Close()
	if answer == "" {
		return
	}
	if got := <-asked; got != "Basic "+base64.StdEncoding.EncodeToString([]byte("user:CANARY_pass")) {
		t.Errorf("the proxy was given %q", got)
	}
}
