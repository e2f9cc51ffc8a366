package main

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
	"github.com/mxauth/mxauth/keystore/keystoretest"
)

// TestHostileLocal has the rows of the catalogue of faults that are about leaks and
// about other programs on this machine, each by its number. That no secret is where
// it must not be is looked for by the box itself, after every run in them.
func TestHostileLocal(t *testing.T) {
	rows := map[string]func(*testing.T){
		"L1_arguments_of_every_command": func(t *testing.T) {
			everyCommand(t, newBox(t, append(keystoretest.StartSecretService(t), "MXAUTH_STORE=keyring")...), "plaintext")
		},
		"L2_environment_of_every_child":       withKeyCommand,
		"L4_errors_and_the_log":               errorsAtEveryStep,
		"L5_screen":                           func(t *testing.T) { afterAScreen(t, false) },
		"L6_token_on_a_terminal":              tokenOnATerminal,
		"L8_umask":                            modesWhateverTheUmask,
		"L10_core_dump":                       noCore,
		"L10_ptrace":                          noPtrace,
		"L10_what_run_starts":                 limitsOfTheChild,
		"L10_GOTRACEBACK":                     dumpsOfTheRuntime,
		"L11_keyring":                         inTheKeyring,
		"L13_logout_offline":                  logoutOffline,
		"L14_registration_access_token":       whatListsShow,
		"L15_clipboard":                       func(t *testing.T) { afterAScreen(t, true) },
		"L15_shell_history":                   whatTheDocsTeach,
		"L16_requests":                        whatRequestsSay,
		"L21_planted_programs":                plantedPrograms,
		"GODEBUG_shows_no_token_over_TLS":     debuggedHTTP,
		"password_of_a_proxy_is_not_repeated": proxyWithPassword,
	}
	together(slices.Sorted(maps.Keys(rows)), func(name string) { t.Run(name, rows[name]) })
}

// everyCommand runs every command under strace, with -vv, on one session.
func everyCommand(t *testing.T, b box, other string) {
	k := newKilling(t, b, false)
	stop := k.approving()
	defer stop()
	kind := strings.TrimPrefix(b.env[slices.IndexFunc(b.env, func(v string) bool { return strings.HasPrefix(v, "MXAUTH_STORE=") })], "MXAUTH_STORE=")
	for _, args := range [][]string{
		{"login", "--plain", k.s.URL, "--name", "bot"}, {"token"}, {"token", "-o", "json"}, {"token", "-o", "curl"}, {"token", "--write", "env", "matrix.env"},
		{"refresh"}, {"run", "--", "/bin/sh", "-c", "/bin/true; exit 0"}, {"list"}, {"list", "--json"}, {"whoami", "--json"}, {"account", "--json"},
		{"use", "bot"}, {"rename", "bot", "robot"}, {"doctor", "--json"}, {"store", "move", "robot", other}, {"store", "move", "robot", kind},
		{"completion", "bash"}, {"__complete", "token", ""}, {"version"}, {"logout"},
	} {
		if args[0] != "__complete" {
			args = slices.Insert(args, 1, "-vv")
		}
		r, started := b.traced(binary, args...)
		if r.code != 0 && args[0] != "doctor" {
			t.Errorf("%v: exit %d: %s", args, r.code, r.stderr)
		}
		if len(started) == 0 || args[0] == "run" && len(started) != 3 {
			t.Errorf("%v: these processes were seen: %q", args, started)
		}
	}
}

// withKeyCommand has a child in every command that opens the store.
func withKeyCommand(t *testing.T) {
	b := sealedBox(t)
	everyCommand(t, b, "plaintext") // makes the key
	command := newBox(t, "MXAUTH_STORE=file", "MXAUTH_KEY_COMMAND=cat "+filepath.Join(b.dir, "key"))
	k := newKilling(t, command, false)
	k.expired(k.s)
	_, started := command.traced(binary, "token", "-vv")
	if len(started) < 3 { // it, the shell, cat
		t.Errorf("these processes were seen: %q", started)
	}
	r := command.run("run", "--", "env")
	if strings.Contains(r.stdout, "MXAUTH_") || !strings.Contains(r.stdout, "MATRIX_ACCESS_TOKEN=") {
		t.Error("the child has the key command, or no token")
	}
}

// errorsAtEveryStep has the server answer with tokens where there must be none.
func errorsAtEveryStep(t *testing.T) {
	for what, fault := range map[string]func(secret string) flowtest.Fault{
		"another type": func(s string) flowtest.Fault {
			return flowtest.Edit(func(m map[string]any) { m["token_type"] = "mac " + s })
		},
		"error text": func(s string) flowtest.Fault {
			return flowtest.Raw(400, "application/json", `{"error":"invalid_request","error_description":"`+s+` is no token"}`)
		},
		"error code": func(s string) flowtest.Fault { return flowtest.Raw(400, "application/json", `{"error":"`+s+`"}`) },
		"redirect":   func(s string) flowtest.Fault { return flowtest.Redirect(307, "https://example.org/"+s+"?t="+s) },
		"media type": func(s string) flowtest.Fault { return flowtest.Raw(400, "text/"+s, s) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			k := newKilling(t, newBox(t, "MXAUTH_STORE=plaintext"), false)
			k.loggedIn(k.s)
			all := k.s.Secrets()
			f := fault(all[len(all)-1].Value)
			k.s.Inject(flowtest.Refresh, f, f, f, f, f, f, f, f)
			if r := k.run("refresh", "-vv"); r.code == 0 || !strings.Contains(r.stderr, "time=") {
				t.Errorf("exit %d, or nothing was logged: %s", r.code, r.stderr)
			}
		})
	}
}

// afterAScreen logs in on a terminal and reads every byte that went there.
func afterAScreen(t *testing.T, copies bool) {
	s := startServer(t, flowtest.WithAutofill())
	b := newBox(t, "MXAUTH_STORE=plaintext")
	p := openPane(t, b, "login", s.URL)
	raw := filepath.Join(t.TempDir(), "raw")
	p.do("pipe-pane", "-o", "cat > "+shellQuote(raw))
	p.wait(`Waiting\. `)
	if copies {
		p.do("send-keys", "c")
		p.wait(`clipboard`)
	}
	codes := s.Pending()
	if err := s.Approve(codes[0], "alice"); err != nil {
		t.Fatal(err)
	}
	screen := p.wait(`\[exit 0\]`)
	title := p.do("display-message", "-p", "#{pane_title}")
	if strings.Contains(screen+title, codes[0]) || strings.Contains(screen, "/link") {
		t.Errorf("the code or the link is left: %s\n%s", title, screen)
	}
	b.must(0, "token") // stored
	text, err := os.ReadFile(raw)
	if err != nil || len(text) == 0 {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if found := canaries.in(string(text), "what went to the terminal", "user_code"); len(found) > 0 {
		t.Error(found)
	}
	if n := bytes.Count(text, []byte("\x1b]52;")); (n > 0) != copies {
		t.Errorf("%d times something was sent to the clipboard", n)
	}
}

// tokenOnATerminal prints to one, and says nothing.
func tokenOnATerminal(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext", "TERM=xterm-256color")
	b.loggedIn(s)
	want := b.must(0, "token").stdout
	control, terminal := openTerminal(t)
	cmd := b.command("token")
	cmd.Stdin, cmd.Stdout = terminal, terminal
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4096)
	n, err := io.ReadAtLeast(control, got, len(want)+1)
	if err != nil || string(got[:n]) != strings.TrimSuffix(want, "\n")+"\r\n" {
		t.Errorf("the terminal got %d bytes that are not the line, %v", n, err)
	}
	if said := cmd.Stderr.(*bytes.Buffer).String(); said != "" {
		t.Errorf("it said %q", said)
	}
}

// modesWhateverTheUmask makes every kind of file under the widest and the
// narrowest umask.
func modesWhateverTheUmask(t *testing.T) {
	for _, umask := range []string{"000", "077"} {
		for _, b := range []box{newBox(t, "MXAUTH_STORE=plaintext"), sealedBox(t)} {
			k := newKilling(t, b, false)
			stop := k.approving()
			under := []string{"sh", "-c", "umask " + umask + `; exec "$0" "$@"`}
			for _, args := range [][]string{{"login", k.s.URL}, {"refresh"}, {"token", "--write", "env", "matrix.env"}} {
				if r := k.under(under, args...); r.code != 0 {
					t.Errorf("umask %s, %v: exit %d: %s", umask, args, r.code, r.stderr)
				}
			}
			stop()
			files := 0
			err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || path == b.dir {
					return err
				}
				info, err := d.Info()
				want := map[bool]fs.FileMode{true: 0o700 | fs.ModeDir, false: 0o600}[d.IsDir()]
				if err == nil && info.Mode() != want {
					t.Errorf("umask %s: %s has mode %v", umask, path, info.Mode())
				}
				files++
				return err
			})
			if err != nil || files < 5 {
				t.Errorf("%d files, %v", files, err)
			}
		}
	}
}

// noCore ends the program as a bug would, where core dumps are wanted. A sleep
// shows that they would be made.
func noCore(t *testing.T) {
	if k, core := killedBy(t, syscall.SIGABRT, "sleep", "60"); !core {
		missing(t, "nothing dumps core here: "+k.dir)
	}
	k, core := killedBy(t, syscall.SIGABRT, binary, "token", "--follow")
	left, err := filepath.Glob(filepath.Join(k.dir, "core*"))
	if core || err != nil || len(left) > 0 {
		t.Errorf("it dumped core: %t, %v, %v", core, left, err)
	}
}

// killedBy sends a signal to a program that may dump core, and reports whether it
// did. It has a session, and GOTRACEBACK=crash makes Go die as C does.
func killedBy(t *testing.T, s syscall.Signal, program string, args ...string) (*killing, bool) {
	t.Helper()
	k := newKilling(t, newBox(t, "MXAUTH_STORE=plaintext", "GOTRACEBACK=crash"), false)
	k.loggedIn(k.s)
	cmd := k.command(args...)
	cmd.Path = "/bin/sh"
	cmd.Args = append([]string{"sh", "-c", `ulimit -c unlimited || exit 99; echo ready; exec "$0" "$@"`, program}, args...)
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for read := ""; !strings.HasPrefix(read, "ready\n") || program == binary && !strings.Contains(read, "mat_"); {
		n, err := pipe.Read(buffer)
		if read += string(buffer[:n]); err != nil {
			t.Fatalf("%q, %v", read, err)
		}
	}
	if program != binary {
		until(t, "the program runs", func() bool {
			name, _ := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/comm")
			return string(name) == program+"\n"
		})
	}
	k.signal(cmd, s)
	_ = cmd.Wait() // the state tells
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() && !status.Exited() {
		t.Fatalf("%v", cmd.ProcessState)
	}
	return k, status.CoreDump()
}

// noPtrace tries to look into the program as its own user, which is nobody. A
// sleep shows that one could.
func noPtrace(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil || os.Geteuid() != 0 {
		missing(t, "only root can become nobody, and strace is what it tries with")
	}
	k := newKilling(t, newBox(t, "MXAUTH_STORE=plaintext"), false)
	k.loggedIn(k.s)
	copied := filepath.Join(k.dir, "mxauth")
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", `cp "$0" "$1/mxauth" && chown -R 65534:65534 "$1" && chmod 755 "$1" "$1/.."`, binary, k.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	looks := func(program string, args ...string) bool {
		cmd := k.command(args...)
		cmd.Path, cmd.Args, cmd.SysProcAttr = program, append([]string{program}, args...), nobody
		pipe, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		if n, err := pipe.Read(make([]byte, 100)); err != nil {
			t.Fatalf("%d, %v: %s", n, err, cmd.Stderr)
		}
		look := exec.CommandContext(t.Context(), strace, "-o", "/dev/null", "-p", strconv.Itoa(cmd.Process.Pid))
		look.SysProcAttr, look.Dir = nobody, "/"
		var said said
		look.Stderr = &said
		if err := look.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, "strace says what came of it", func() bool { return strings.Contains(said.String(), "ttach") })
		attached := strings.Contains(said.String(), "attached")
		_ = look.Process.Signal(os.Interrupt) // it may have failed and gone
		_ = look.Wait()
		environ, err := os.Stat("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/environ")
		if err != nil {
			t.Fatal(err)
		}
		if root := environ.Sys().(*syscall.Stat_t).Uid == 0; root == attached {
			t.Errorf("%s: attached: %t, and yet its memory is root's: %t", program, attached, root)
		}
		return attached
	}
	if !looks("/bin/sh", "-c", "echo ready; exec sleep 60") {
		missing(t, "nobody can look into anything here")
	}
	if looks(copied, "token", "--follow") {
		t.Error("another process of the same user can look into it")
	}
}

// limitsOfTheChild wants what "run" starts to be as if mxauth did not stand before
// it: it may dump core.
func limitsOfTheChild(t *testing.T) {
	k := newKilling(t, newBox(t, "MXAUTH_STORE=plaintext"), false)
	k.loggedIn(k.s)
	r := k.under([]string{"sh", "-c", `ulimit -S -c "$(ulimit -H -c)"; ulimit -c; exec "$0" "$@"`}, "run", "--", "sh", "-c", "ulimit -c")
	lines := strings.Fields(r.stdout)
	if len(lines) != 2 || lines[0] != lines[1] || r.code != 0 {
		t.Errorf("exit %d, limits before and behind it: %q", r.code, lines)
	}
}

// dumpsOfTheRuntime has Go tell all it knows of every goroutine: while a token is
// being refreshed, and by a second SIGQUIT.
func dumpsOfTheRuntime(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGABRT, syscall.SIGQUIT} {
		k := newKilling(t, newBox(t, "MXAUTH_STORE=plaintext", "GOTRACEBACK=system"), false)
		k.expired(k.s)
		cmd, end := k.held(flowtest.Refresh, 9*time.Second, "token", "-vv")
		k.signal(cmd, s)
		more := time.AfterFunc(time.Second, func() { // the first SIGQUIT is a request to end, which a refresh puts off
			for cmd.Process.Signal(s) == nil {
				time.Sleep(200 * time.Millisecond)
			}
		})
		defer more.Stop()
		if r := end(); r.code != 2 || !strings.Contains(r.stderr, "goroutine 1 ") {
			t.Errorf("%v: exit %d, no dump: %.200s", s, r.code, r.stderr)
		}
		k.works()
	}
}

// inTheKeyring reads what everybody can read there while the keyring is locked.
func inTheKeyring(t *testing.T) {
	ring := keystoretest.StartService(t)
	b := newBox(t, ring.Env()...)
	s := startServer(t)
	b.loggedIn(s)
	b.must(0, "refresh")
	items := keyringItems(b.env)
	if len(items) != 1 || !strings.Contains(items[0], "service:mxauth") || !strings.Contains(items[0], "username:") {
		t.Errorf("the keyring shows %q", items)
	}
	ring.Lock()
	if locked := keyringItems(b.env); !slices.Equal(locked, items) {
		t.Errorf("locked it shows %q, before %q", locked, items)
	}
}

// logoutOffline must keep what it cannot end, unless it is told otherwise.
func logoutOffline(t *testing.T) {
	k := newKilling(t, newBox(t, "MXAUTH_STORE=plaintext"), false)
	k.loggedIn(k.s)
	k.s.AuthDown(true)
	k.fails(5, k.run("logout"), "Your login is kept")
	k.s.AuthDown(false)
	k.works()
	k.s.ForgetRequests()
	if r := k.must(0, "logout", "--local-only"); !strings.Contains(r.stderr, "The server was not told") || len(k.s.Requests()) != 0 {
		t.Errorf("%d requests, it said %q", len(k.s.Requests()), r.stderr)
	}
	k.must(4, "token")
}

// whatListsShow asks for everything that is not a token, of a client that could
// change its registration.
func whatListsShow(t *testing.T) {
	s := startServer(t)
	s.Inject(flowtest.Register, flowtest.Edit(func(m map[string]any) {
		m["registration_access_token"], m["registration_client_uri"] = "rat_Zk4QmP7sVx2LbW9nTc5RyHd3FgJ8", s.Issuer+"oauth2/registration/x"
	}))
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s, "--name", "bot", "-vv")
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"list", "-vv"}, {"whoami", "--json"}, {"account", "--json"}, {"doctor"}, {"doctor", "--json"},
		{"completion", "zsh"}, {"__complete", "token", ""}, {"man"}, {"version"}, {"--help"}} {
		if r := b.run(args...); r.stdout == "" {
			t.Errorf("%v: exit %d, nothing to look at: %s", args, r.code, r.stderr)
		}
	}
}

// whatTheDocsTeach reads every page: a token that is typed or pasted stays in the
// history of the shell.
func whatTheDocsTeach(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatal(pages, err)
	}
	taught := 0
	for _, page := range append(pages, "../../README.md") {
		for line := range strings.Lines(read(t, page)) {
			if strings.Contains(line, "mat_") || strings.Contains(line, "mar_") || strings.Contains(line, "syt_") {
				t.Errorf("%s holds a token: %s", page, line)
			}
			if strings.Contains(line, "$(mxauth token") || strings.Contains(line, "mxauth token") && strings.Contains(line, "|") {
				taught++
			}
		}
	}
	if taught < 3 {
		t.Errorf("a token is handed on in %d lines", taught)
	}
}

// whatRequestsSay reads them at the server, over a whole life.
func whatRequestsSay(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	for _, named := range []bool{true, false} {
		s := startServer(t)
		b := newBox(t, "MXAUTH_STORE=plaintext", "USER=canary-user", "LOGNAME=canary-user")
		args := map[bool][]string{true: nil, false: {"--device-name", ""}}[named]
		b.loggedIn(s, args...)
		for _, args := range [][]string{{"refresh"}, {"whoami"}, {"doctor"}, {"logout"}} {
			b.run(args...)
		}
		if n := len(s.Requests()); n < 8 {
			t.Errorf("only %d requests were made", n)
		}
		for _, r := range s.Requests() {
			if found := canaries.in(r.Path+"?"+r.Query, "an address"); len(found) > 0 {
				t.Error(found)
			}
			if r.Header.Get("Referer") != "" || strings.Contains(r.UserAgent, "canary-user") || strings.Contains(r.UserAgent, "alice") {
				t.Errorf("%s: User-Agent %q, Referer %q", r.Endpoint, r.UserAgent, r.Header.Get("Referer"))
			}
			may := named && slices.Contains([]flowtest.Endpoint{flowtest.Device, flowtest.Poll, flowtest.Refresh}, r.Endpoint)
			if says := strings.Contains(r.UserAgent, "("+host); says && !may || !says && may && r.Endpoint == flowtest.Device {
				t.Errorf("%s, device name wanted: %t: User-Agent %q", r.Endpoint, named, r.UserAgent)
			}
		}
	}
}

// plantedPrograms puts programs of every name that could be looked for into the
// PATH and into the folder where mxauth runs. None may be run.
func plantedPrograms(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "DISPLAY=:99")
	planted, ran := filepath.Join(b.dir, "bin"), filepath.Join(b.dir, "ran")
	for _, dir := range []string{"bin/", ""} {
		for _, name := range []string{"xdg-open", "x-www-browser", "www-browser", "gio", "open", "security", "dbus-launch", "dbus-daemon", "gnome-keyring-daemon",
			"secret-tool", "age", "sh", "stty", "tput", "infocmp", "hostname", "uname", "id", "getent", "git", "tmux", "lsb_release"} {
			b.leave(dir+name, "#!/bin/sh\necho \"$0\" >>"+ran+"\n")
			if err := os.Chmod(filepath.Join(b.dir, dir+name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.env = append(b.env, "PATH="+planted+":.:", "MXAUTH_KEY_COMMAND=exit 1")
	stop := (&killing{b, s, false}).approving()
	defer stop()
	b.must(7, "login", "--plain", s.URL)                         // no keyring, and none is started
	b.must(7, "login", "--plain", s.URL, "--store", "file")      // the key command fails
	b.must(0, "login", "--plain", s.URL, "--store", "plaintext") // from here on there is a session
	for _, args := range [][]string{{"token"}, {"refresh"}, {"account"}, {"doctor"}, {"whoami"}, {"list"}, {}, {"logout"}} {
		b.run(append(args, "-v")...)
	}
	if names, err := os.ReadFile(ran); err == nil {
		t.Errorf("these were run:\n%s", names)
	}
	for _, opener := range openers() {
		if !filepath.IsAbs(opener[0]) {
			t.Errorf("%v is looked for in the PATH", opener)
		}
	}
}
