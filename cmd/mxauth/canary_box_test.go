package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// A watcher keeps what a box was told and what came out of it, and looks through
// it for secrets.
type watcher struct {
	mu    sync.Mutex
	cmds  []*exec.Cmd
	heard []heard
	words string // every argument and variable: they name the files that were asked for
	found []leak // before the end of the test
}

// heard is what somebody read of a command.
type heard struct {
	args           []string
	stdout, stderr string
}

// The kinds of secrets.
var (
	stored    = []string{"access_token", "refresh_token", "id_token", "client_secret", "registration_access_token"}
	forTheKey = []string{"key"}
)

// watch has a command's streams searched at the end of the test, as far as they
// are buffers, and what it was told right away.
func (b box) watch(cmd *exec.Cmd) *exec.Cmd {
	w := b.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cmds = append(w.cmds, cmd)
	w.words += " " + strings.Join(append(slices.Clone(cmd.Args), b.env...), " ")
	b.knowKeys(cmd.Args)
	return cmd
}

// saw has what a test read by itself searched at the end of the test.
func (b box) saw(args []string, stdout, stderr string) {
	b.watcher.mu.Lock()
	defer b.watcher.mu.Unlock()
	b.watcher.heard = append(b.watcher.heard, heard{args, stdout, stderr})
}

// sawScreen has a terminal searched, with what scrolled away and its title. While
// a login is under way its code stands there; a program that has ended leaves none.
func (b box) sawScreen(screen, title string) {
	where := []string{"a screen", "login"}
	if strings.Contains(screen, "[exit ") {
		where = where[:1]
	}
	b.saw(where, screen, title)
}

var (
	keyFile  = regexp.MustCompile(`(?:MXAUTH_KEY_FILE=|MXAUTH_KEY_COMMAND=cat |--(?:new-)?key-file[= ])(\S+)`)
	password = regexp.MustCompile(`://[^/@ :]*:([^/@ ]+)@`)
)

// knowKeys learns the secrets that the box itself holds: keys and the passwords of
// proxies.
func (b box) knowKeys(args []string) {
	told := strings.Join(append(slices.Clone(args), b.env...), " ")
	for _, m := range keyFile.FindAllStringSubmatch(told, -1) {
		text, _ := os.ReadFile(m[1]) // it may not be there yet
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
				canaries.add("key", strings.TrimSpace(line))
			}
		}
	}
	for _, m := range password.FindAllStringSubmatch(told, -1) {
		word, err := url.PathUnescape(m[1])
		if err == nil {
			canaries.add("password of a proxy", word)
		}
	}
}

// left searches what a run has left in files and in the keyring.
func (b box) left() {
	b.knowKeys(nil)
	found := slices.Concat(b.inFiles(), b.inKeyring())
	b.watcher.mu.Lock()
	defer b.watcher.mu.Unlock()
	b.watcher.found = append(b.watcher.found, found...)
}

// leaks searches everything.
func (b box) leaks() []leak {
	b.left()
	w := b.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	found := w.found
	for _, cmd := range w.cmds {
		h := heard{args: cmd.Args}
		if out, ok := cmd.Stdout.(fmt.Stringer); ok && cmd.ProcessState != nil {
			h.stdout = out.String()
		}
		if errs, ok := cmd.Stderr.(fmt.Stringer); ok && cmd.ProcessState != nil && cmd.Stderr != cmd.Stdout {
			h.stderr = errs.String()
		}
		found = append(found, h.leaks()...)
	}
	for _, h := range w.heard {
		found = append(found, h.leaks()...)
	}
	slices.SortFunc(found, func(a, b leak) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(found)
}

func (l leak) String() string {
	return fmt.Sprintf("canary: %s, %s, in %s", l.what, l.spelling, l.where)
}

// leaks searches the streams and the arguments. A token is what "token" and "run"
// are asked for, a user code is for the person who logs in; the log of -vv is for
// neither.
func (h heard) leaks() []leak {
	line := strings.Join(h.args, " ")
	words := strings.Fields(line)
	of := func(commands ...string) bool {
		return slices.ContainsFunc(commands, func(c string) bool { return slices.Contains(words, c) })
	}
	var out, person []string
	if of("token", "run") {
		out = []string{"access_token"}
	}
	if of("login") {
		person = []string{"user_code"}
	}
	var log, rest strings.Builder
	for l := range strings.Lines(h.stderr) {
		if strings.HasPrefix(l, "time=") {
			log.WriteString(l)
		} else {
			rest.WriteString(l)
		}
	}
	command := "mxauth " + strings.Join(h.args[min(1, len(h.args)):], " ")
	return slices.Concat(
		canaries.in(line, "the arguments of "+filepath.Base(h.args[0])),
		canaries.in(h.stdout, "stdout of "+command, append(out, person...)...),
		canaries.in(rest.String(), "stderr of "+command, person...),
		canaries.in(log.String(), "the log of "+command),
	)
}

// inFiles searches every file of the box, core dumps and what was left in the
// temporary directory too. The plain store's own files may hold a session; a file
// that was asked for by its name, a token or a key.
func (b box) inFiles() (found []leak) {
	sessions := filepath.Join(b.stateDir(), "sessions")
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !d.Type().IsRegular() {
			return nil // it went meanwhile, or holds no text
		}
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		found = append(found, canaries.in(string(text), path, b.allowedIn(sessions, path)...)...)
		return err
	})
	if err != nil {
		b.t.Error(err)
	}
	return found
}

func (b box) stateDir() string {
	for _, v := range slices.Backward(b.env) {
		if dir, ok := strings.CutPrefix(v, "MXAUTH_STATE_DIR="); ok {
			return dir
		}
	}
	return filepath.Join(b.dir, ".local", "state", "mxauth")
}

func (b box) allowedIn(sessions, path string) []string {
	b.watcher.mu.Lock()
	defer b.watcher.mu.Unlock()
	name := filepath.Base(path)
	switch {
	case filepath.Dir(path) == sessions && (strings.HasSuffix(name, ".plain") || strings.HasSuffix(name, ".plain.tmp")):
		return stored
	case !strings.HasPrefix(path, b.stateDir()) && strings.Contains(b.watcher.words, strings.TrimSuffix(name, ".tmp")): // a killed one leaves its draft
		return append(forTheKey, "access_token")
	}
	return nil
}

// inKeyring searches the labels and attributes of everything in the keyring of the
// box, if it has one that answers.
func (b box) inKeyring() (found []leak) {
	for _, item := range keyringItems(b.env) {
		found = append(found, canaries.in(item, "the keyring's labels and attributes")...)
	}
	return found
}

// keyringItems are the label and the attributes of each item of the keyring to
// which an environment leads. A keyring that a test has locked shows them too; one
// that is frozen or dead shows nothing.
func keyringItems(env []string) (items []string) {
	at := slices.IndexFunc(env, func(v string) bool { return strings.HasPrefix(v, "DBUS_SESSION_BUS_ADDRESS=") })
	if at < 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := dbus.Connect(strings.TrimPrefix(env[at], "DBUS_SESSION_BUS_ADDRESS="), dbus.WithContext(ctx))
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }()
	get := func(path dbus.ObjectPath, of, name string, value any) {
		var v dbus.Variant
		object := conn.Object("org.freedesktop.secrets", path)
		if object.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, of, name).Store(&v) == nil {
			_ = v.Store(value) // of another type: nothing to see
		}
	}
	var collections []dbus.ObjectPath
	get("/org/freedesktop/secrets", "org.freedesktop.Secret.Service", "Collections", &collections)
	for _, c := range collections {
		var paths []dbus.ObjectPath
		get(c, "org.freedesktop.Secret.Collection", "Items", &paths)
		for _, path := range paths {
			var label string
			var attributes map[string]string
			get(path, "org.freedesktop.Secret.Item", "Label", &label)
			get(path, "org.freedesktop.Secret.Item", "Attributes", &attributes)
			items = append(items, fmt.Sprint(label, attributes))
		}
	}
	return items
}
