package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/keystore/keystoretest"
)

// TestCanarySpellings hides a secret in other texts. Each must be seen, and what is
// no secret must not.
func TestCanarySpellings(t *testing.T) {
	const secret = `mat_"Qx7/Zr+ T2&vK9=w<p>L4_A0b1C2`
	canaries.add("a test's secret", secret)
	half := len(secret) / 2
	for name, text := range map[string]string{
		"whole": secret, "its begin": secret[:enough], "its middle": secret[half : half+enough], "its end": secret[len(secret)-enough:],
		"backwards": backwards(secret), "hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"JSON": strconv.Quote(secret), "HTML-safe JSON": inJSON(secret), "a query": urlEscaped(secret),
		"base64, 0": base64.StdEncoding.EncodeToString([]byte(secret)), "base64, 1": base64.URLEncoding.EncodeToString([]byte("x" + secret)),
		"base64, 2": base64.RawStdEncoding.EncodeToString([]byte("id:" + "cli:" + secret)),
	} {
		if found := canaries.in("before "+text+" after", name); len(found) == 0 {
			t.Errorf("%s is not seen", name)
		}
	}
	for _, text := range []string{"", secret[:enough-1], "mat_", strings.ToUpper(secret)} {
		if found := canaries.in(text, "nothing"); len(found) > 0 {
			t.Errorf("%q: %v", text, found)
		}
	}
	if found := canaries.in(secret, "where it may be", "a test's secret"); len(found) > 0 {
		t.Error(found)
	}
}

func urlEscaped(s string) string { return strings.ReplaceAll(inURL.Replace(s), " ", "+") }

var inURL = strings.NewReplacer(`"`, "%22", "/", "%2F", "+", "%2B", "&", "%26", "=", "%3D", "<", "%3C", ">", "%3E")

// TestCanaryPlaces leaves a refresh token in every place that is searched. It must
// be found there, once, and before there must be nothing.
func TestCanaryPlaces(t *testing.T) {
	s := startServer(t)
	newBox(t, "MXAUTH_STORE=plaintext").loggedIn(s)
	all := s.Secrets()
	secret := all[len(all)-1].Value
	hidden := filepath.Join(t.TempDir(), "hidden")
	if err := os.WriteFile(hidden, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(t *testing.T, b *box){
		"stdout of a command": func(_ *testing.T, b *box) { b.pretend(`cat `+hidden, "list") },
		"stdout of token":     func(_ *testing.T, b *box) { b.pretend(`cat `+hidden, "token") },
		"stderr":              func(_ *testing.T, b *box) { b.pretend(`cat >&2 `+hidden, "token") },
		"the log of -vv":      func(_ *testing.T, b *box) { b.pretend(`echo "time=0 level=DEBUG $(cat `+hidden+`)" >&2`, "login") },
		"an event": func(_ *testing.T, b *box) {
			b.saw([]string{"mxauth", "login"}, `{"event":"done","name":"`+secret+`"}`, "")
		},
		"an argument":                   func(t *testing.T, b *box) { b.watch(exec.CommandContext(t.Context(), "mxauth", "whoami", secret)) },
		"an entry":                      func(_ *testing.T, b *box) { b.leave("state/sessions/x.json", `{"scope":"`+secret+`"}`) },
		"a sealed file":                 func(_ *testing.T, b *box) { b.leave("state/sessions/x.age", secret) },
		"a lock":                        func(_ *testing.T, b *box) { b.leave("state/sessions/x.lock", secret) },
		"a copy":                        func(_ *testing.T, b *box) { b.leave("state/sessions/x.plain.bak", secret) },
		"a plain file of somebody else": func(_ *testing.T, b *box) { b.leave("x.plain", secret) },
		"a file that was asked for":     func(_ *testing.T, b *box) { b.leave("out", secret); b.pretend("", "token", "--write", "env", "out") },
		"a core dump":                   func(_ *testing.T, b *box) { b.leave("core", "\x7fELF\x00\x00"+secret+"\x00") },
		"a temporary file that goes":    func(t *testing.T, b *box) { b.pretend("cp "+hidden+" 1.tmp", "list"); b.pretend("rm 1.tmp", "list") },
		"the screen":                    func(t *testing.T, b *box) { b.shown("sh", "-c", "cat "+hidden) },
		"the scrollback":                func(t *testing.T, b *box) { b.shown("sh", "-c", "cat "+hidden+"; seq 100") },
		"the window's title":            func(t *testing.T, b *box) { b.shown("sh", "-c", `printf '\033]2;%s\033\\' "$(cat `+hidden+`)"`) },
		"the keyring": func(t *testing.T, b *box) {
			ring := keystoretest.StartService(t)
			b.env = append(b.env, ring.Env()...)
			ring.AddItem("mxauth", secret, "x")
		},
		"a child's arguments":   func(_ *testing.T, b *box) { b.traced("sh", "-c", `/bin/true "$(cat `+hidden+`)"`) },
		"a child's environment": func(_ *testing.T, b *box) { b.traced("sh", "-c", `X="$(cat `+hidden+`)" /bin/true; true`) },
		"a child of run": func(_ *testing.T, b *box) {
			b.traced("sh", "-c", `MATRIX_ACCESS_TOKEN=x X="$(cat `+hidden+`)" /bin/true; true`, "run")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := unwatchedBox(t)
			if found := b.leaks(); len(found) > 0 {
				t.Fatalf("there is something already: %v", found)
			}
			plant(t, &b)
			if found := b.leaks(); len(found) != 1 || found[0].what != "refresh_token" {
				t.Errorf("found %v, want one refresh token", found)
			}
		})
	}
}

// pretend runs a script in the place of the binary.
func (b box) pretend(script string, args ...string) {
	b.t.Helper()
	cmd := b.command(args...)
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", script, "mxauth"}, args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		b.t.Fatal(err)
	}
	b.left()
}

// shown runs a program in a terminal to its end, and looks at what stands there.
func (b box) shown(program string, args ...string) {
	b.t.Helper()
	p := openPaneOf(b.t, b, program, args...)
	p.wait(`\[exit 0\]`)
	p.show(b)
}

// leave makes a file in the box.
func (b box) leave(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
