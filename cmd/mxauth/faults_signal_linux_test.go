package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// clockFaults: nobody can move the clock of a process from outside, so the times
// of the stored record are moved instead, which is the same seen from the other
// side.
var clockFaults = []fault{
	clockFault("F27_clock_a_year_ahead", -365*24*time.Hour),
	clockFault("F27_clock_a_year_behind", 365*24*time.Hour),
	{"F29_stopped_past_the_end_of_the_code", func(k *killing) {
		k.s = startServer(k.t, flowtest.WithCodeLifetime(2*time.Second))
		cmd, end := k.held(flowtest.Poll, 0, "login", k.s.URL)
		k.signal(cmd, syscall.SIGSTOP)
		time.Sleep(3 * time.Second) // the code runs out meanwhile
		k.signal(cmd, syscall.SIGCONT)
		r := end()
		k.fails(3, r, "expired")
	}},
	{"F29_stopped_in_a_refresh", func(k *killing) {
		k.expired(k.s)
		cmd, end := k.held(flowtest.Refresh, 300*time.Millisecond, "token")
		k.signal(cmd, syscall.SIGSTOP)
		time.Sleep(time.Second) // the answer comes meanwhile
		k.signal(cmd, syscall.SIGCONT)
		if r := end(); r.code != 0 || !k.accepts(r.stdout) {
			k.t.Errorf("exit %d: %s", r.code, r.stderr)
		}
		k.works()
	}},
}

// clockFault moves a session in time. It costs one refresh at most.
func clockFault(name string, by time.Duration) fault {
	return fault{name, func(k *killing) {
		k.loggedIn(k.s)
		path := k.only(".plain")
		var record map[string]any
		if err := json.Unmarshal([]byte(k.read(path)), &record); err != nil {
			k.t.Fatal(err)
		}
		for _, member := range []string{"issued", "expiry"} {
			at, err := time.Parse(time.RFC3339Nano, record[member].(string))
			if err != nil {
				k.t.Fatal(err)
			}
			record[member] = at.Add(by)
		}
		b, err := json.Marshal(record)
		if err != nil {
			k.t.Fatal(err)
		}
		k.write(path, string(b))
		for range 3 {
			if r := k.must(0, "token"); !k.accepts(r.stdout) {
				k.t.Error("the token does not work")
			}
		}
		if n := k.s.Count(flowtest.Refresh); n != 1 {
			k.t.Errorf("%d refreshes, want 1", n)
		}
	}}
}

// signalFaults stop a refresh in the middle: it is nearly done, and its answer
// goes to disk first. Logins are stopped at every stage by TestSignals.
var signalFaults = []fault{
	signalFault("F30_SIGINT_refreshing", syscall.SIGINT),
	signalFault("F31_SIGTERM_refreshing", syscall.SIGTERM),
	signalFault("F31_SIGHUP_refreshing", syscall.SIGHUP),
	signalFault("F31_SIGQUIT_refreshing", syscall.SIGQUIT),
	stopLogin("F31_SIGQUIT_discovering", syscall.SIGQUIT, flowtest.Metadata),
	stopLogin("F31_SIGQUIT_registering", syscall.SIGQUIT, flowtest.Register),
	stopLogin("F31_SIGTERM_polling", syscall.SIGTERM, flowtest.Poll),
	stopLogin("F31_SIGQUIT_polling", syscall.SIGQUIT, flowtest.Poll),
	stopLogin("F30_SIGINT_polling", syscall.SIGINT, flowtest.Poll),
	stopLogin("F30_SIGINT_saving", syscall.SIGINT, flowtest.WhoAmI),
	stopLogin("F31_SIGHUP_saving", syscall.SIGHUP, flowtest.WhoAmI),
	{"F30_second_SIGINT_quits", func(k *killing) {
		k.expired(k.s)
		cmd, end := k.held(flowtest.Refresh, 9*time.Second, "token")
		k.signal(cmd, syscall.SIGINT)
		time.Sleep(200 * time.Millisecond) // two at once count as one
		k.signal(cmd, syscall.SIGINT)
		began := time.Now()
		if r := end(); r.stdout != "" || time.Since(began) > 3*time.Second {
			k.t.Errorf("exit %d after %s: %s", r.code, time.Since(began), r.stderr)
		}
		k.works()
	}},
}

func signalFault(name string, s syscall.Signal) fault {
	return fault{name, func(k *killing) {
		k.expired(k.s)
		cmd, end := k.held(flowtest.Refresh, 500*time.Millisecond, "token")
		k.signal(cmd, s)
		r := end()
		k.quiet(r)
		if r.code != 0 && r.code != 128+int(s) {
			k.t.Errorf("exit %d, want 0 or %d: %s", r.code, 128+int(s), r.stderr)
		}
		stored := k.read(k.only(".plain"))
		if r.code == 0 && !strings.Contains(stored, strings.TrimSpace(r.stdout)) {
			k.t.Error("what was printed is not what is stored")
		}
		if k.s.Succeeded(flowtest.Refresh) != 1 {
			k.t.Error("the refresh was given up")
		}
		k.works()
	}}
}

// stopLogin stops the login that is to replace a session.
func stopLogin(name string, s syscall.Signal, at flowtest.Endpoint) fault {
	return fault{name, func(k *killing) {
		k.expired(k.s)
		k.s.ForgetRequests()
		stop := func() {}
		if at == flowtest.WhoAmI {
			stop = k.approving()
		}
		defer stop()
		cmd, end := k.held(at, 500*time.Millisecond, "login", k.s.URL)
		k.signal(cmd, s)
		r := end()
		k.quiet(r)
		if r.code != 128+int(s) && (at != flowtest.WhoAmI || r.code != 0) {
			k.t.Errorf("exit %d, want %d: %s", r.code, 128+int(s), r.stderr)
		}
		k.works()
		if lines := strings.Count(k.must(0, "list").stdout, "\n"); lines != 2 {
			k.t.Errorf("list has %d lines, want a head and one session", lines)
		}
	}}
}

// quiet looks for tokens and stacks in what was said.
func (k *killing) quiet(r result) {
	k.t.Helper()
	for _, bad := range []string{"mat_", "mar_", "goroutine ", "panic"} {
		if strings.Contains(r.stderr, bad) {
			k.t.Errorf("it said %q: %s", bad, r.stderr)
		}
	}
}

// held starts a command and returns when its request is at the server, which
// keeps the answer back. end waits for its end.
func (k *killing) held(at flowtest.Endpoint, hold time.Duration, args ...string) (cmd *exec.Cmd, end func() result) {
	k.t.Helper()
	before := k.s.Count(at)
	if hold > 0 {
		k.s.Inject(at, flowtest.Hold(hold))
	}
	cmd = k.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	until(k.t, "the request is at the server", func() bool { return k.s.Count(at) > before })
	return cmd, func() result {
		_ = cmd.Wait() // the state tells
		return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	}
}

func (k *killing) signal(cmd *exec.Cmd, s syscall.Signal) {
	k.t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		k.t.Fatal(err)
	}
}

// streamFaults are about the standard streams and limits. A full stdout and a
// broken pipe are TestOutputThatNobodyTakes.
var streamFaults = []fault{
	shell("F33_stdout_closed", `exec "$0" token >&-`, 0, 1),
	shell("F33_stdout_and_stderr_closed", `exec "$0" token >&- 2>&-`, 0, 1),
	shell("F33_stdout_full", `exec "$0" token > /dev/full`, 1),
	shell("F33_stderr_full", `exec "$0" token 2> /dev/full > /dev/null`, 0),
	shell("F34_stdin_closed", `exec "$0" token <&-`, 0),
	shell("F37_file_descriptors", `ulimit -n 8; exec "$0" token`, 0, 5, 7),
	{"F37_memory", func(k *killing) { // the Go runtime ends the program in its own words
		k.expired(k.s)
		r := k.finish(exec.CommandContext(k.t.Context(), "sh", "-c", `ulimit -v 800000; exec "$0" token`, binary))
		if strings.Contains(r.stderr, "mat_") || strings.Contains(r.stderr, "mar_") {
			k.t.Error("a token came out")
		}
		k.works()
	}},
	{"F34_login_without_stdin", func(k *killing) {
		stop := k.approving()
		defer stop()
		cmd := exec.CommandContext(k.t.Context(), "sh", "-c", `exec "$0" login "$1" <&-`, binary, k.s.URL)
		if r := k.finish(cmd); r.code != 0 || r.stdout != "" || !strings.Contains(r.stderr, k.s.Issuer) {
			k.t.Errorf("exit %d: %s", r.code, r.stderr)
		}
	}},
	{"C15_children_get_no_lock", func(k *killing) {
		k.expired(k.s)
		script := filepath.Join(k.dir, "fds")
		k.write(script, "#!/bin/sh\nls -l /proc/self/fd\n")
		if err := os.Chmod(script, 0o700); err != nil {
			k.t.Fatal(err)
		}
		if r := k.run("run", "--", script); r.code != 0 || strings.Contains(r.stdout, ".lock") || !strings.Contains(r.stdout, "-> ") {
			k.t.Errorf("exit %d, the child has: %s%s", r.code, r.stdout, r.stderr)
		}
	}},
}

// shell runs a line of sh on an expired session; any of the codes will do.
func shell(name, line string, codes ...int) fault {
	return fault{name, func(k *killing) {
		k.expired(k.s)
		r := k.finish(exec.CommandContext(k.t.Context(), "sh", "-c", line, binary))
		k.t.Logf("exit %d\n%s", r.code, r.stderr)
		k.quiet(r)
		wanted := false
		for _, c := range codes {
			wanted = wanted || c == r.code
		}
		if !wanted {
			k.t.Errorf("exit %d, want one of %v", r.code, codes)
		}
		k.works()
	}}
}
