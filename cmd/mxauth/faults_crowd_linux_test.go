package main

import (
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// crowdFaults are what processes do to each other.
var crowdFaults = []fault{
	{"C1_200_processes", manyAtOnce},
	{"C1_real_strict_provider", func(k *killing) {
		args := []string{"--issuer", startProvider(k.t), "--name", "ci"}
		approve := func(e event) { newBrowser(k.t).approveAtProvider(e.URI, e.UserCode, "alice") }
		if done, code := k.login(approve, args...); code != 0 {
			k.t.Fatal(done.Error)
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if r := k.run("refresh"); r.code != 0 {
					k.t.Errorf("exit %d: %s", r.code, r.stderr)
				}
			})
		}
		all.Wait()
		k.must(0, "refresh")
	}},
	{"C3_holder_killed_before_the_request", func(k *killing) { k.holderDies(flowtest.Delay(time.Minute)) }},
	{"C3_holder_killed_after_the_request", func(k *killing) { k.holderDies(flowtest.Hold(time.Minute)) }},
	{"C3_holder_stopped", func(k *killing) {
		k.expired(k.s)
		cmd, end := k.held(flowtest.Refresh, 300*time.Millisecond, "token")
		k.signal(cmd, syscall.SIGSTOP)
		waiting := k.command("token")
		if err := waiting.Start(); err != nil {
			k.t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // it has said by now that it waits
		k.signal(cmd, syscall.SIGCONT)
		if r := end(); r.code != 0 {
			k.t.Errorf("the holder: exit %d: %s", r.code, r.stderr)
		}
		if err := waiting.Wait(); err != nil {
			k.t.Errorf("who waited: %v", err)
		}
		if n := k.s.Count(flowtest.Refresh); n != 1 {
			k.t.Errorf("%d refreshes, want 1", n)
		}
	}},
	{"C3_holder_stopped_for_ever", func(k *killing) {
		k.expired(k.s)
		cmd, end := k.held(flowtest.Refresh, time.Minute, "token")
		k.signal(cmd, syscall.SIGSTOP)
		r := k.run("token")
		r.stderr = strings.TrimPrefix(r.stderr, "Waiting for another mxauth that is busy with this session.\n")
		k.fails(8, r, "pid", "kept")
		k.signal(cmd, syscall.SIGKILL)
		end()
		k.works()
	}},
	{"C6_rotated_while_waiting", func(k *killing) {
		k.strictly()
		k.expired(k.s)
		_, end := k.held(flowtest.Refresh, 2*time.Second, "token")
		second := k.run("token") // it reads the old tokens, and waits for the lock
		first := end()
		if first.code != 0 || second.code != 0 || first.stdout != second.stdout || !k.accepts(second.stdout) {
			k.t.Errorf("exits %d and %d, or two tokens, or one that does not work: %s", first.code, second.code, second.stderr)
		}
		if n := k.s.Count(flowtest.Refresh); n != 1 {
			k.t.Errorf("%d refreshes, want 1", n)
		}
	}},
	{"C12_readers_while_it_is_written", readersMeanwhile},
	{"C4_stale_lock_of_somebody_else", func(k *killing) {
		k.expired(k.s)
		k.write(k.only(".lock"), "1\n")
		k.works()
	}},
	{"C4_lock_deleted", func(k *killing) {
		k.expired(k.s)
		if err := os.Remove(k.only(".lock")); err != nil {
			k.t.Fatal(err)
		}
		k.works()
	}},
	{"C4_lock_is_a_link", func(k *killing) {
		k.expired(k.s)
		lock := k.only(".lock")
		if err := os.Remove(lock); err != nil {
			k.t.Fatal(err)
		}
		if err := os.Symlink(lock+".elsewhere", lock); err != nil {
			k.t.Fatal(err)
		}
		k.fails(7, k.run("token"))
		if err := os.Remove(lock); err != nil {
			k.t.Fatal(err)
		}
		k.works()
	}},
	noLocks("C14_ENOLCK", "flock:error=ENOLCK"),
	noLocks("C14_ENOSYS", "flock:error=ENOSYS"),
	noLocks("C14_EOPNOTSUPP", "flock:error=EOPNOTSUPP"),
	{"C7_login_while_refresh", func(k *killing) {
		k.expired(k.s)
		_, end := k.held(flowtest.Refresh, 4*time.Second, "token")
		k.loggedIn(k.s)
		end()
		k.works()
		if lines := strings.Count(k.must(0, "list").stdout, "\n"); lines != 2 {
			k.t.Errorf("list has %d lines, want a head and one session", lines)
		}
	}},
	{"C9_two_logins_at_once", twoLogins},
	{"C16_moved_while_refreshed", func(k *killing) {
		k.box = sealedBox(k.t)
		k.expired(k.s)
		_, end := k.held(flowtest.Refresh, 500*time.Millisecond, "token")
		k.must(0, "store", "move", "@alice:"+k.s.ServerName, "plaintext")
		if r := end(); r.code != 0 {
			k.t.Errorf("the refresh: exit %d: %s", r.code, r.stderr)
		}
		k.only(".plain")
		k.works()
	}},
	{"C9_logout_login_and_refresh_at_once", everythingAtOnce},
	{"C11_two_names_of_one_server", func(k *killing) {
		k.loggedIn(k.s, "--name", "one")
		other := strings.Replace(k.s.URL, "127.0.0.1", "localhost", 1)
		if done, code := k.login(approveAs(k.t, k.s, "alice"), other, "--name", "two"); code != 0 {
			k.t.Fatal(done.Error)
		}
		one, two := k.must(0, "token", "one").stdout, k.must(0, "token", "two").stdout
		if one == two || !k.accepts(one) || !k.accepts(two) {
			k.t.Error("two sessions share a token, or one does not work")
		}
	}},
	{"C13_server_down_bot_in_a_loop", func(k *killing) {
		k.expired(k.s)
		k.s.AuthDown(true)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if r := k.run("token"); r.code != 5 && r.code != 8 {
					k.t.Errorf("exit %d: %s", r.code, r.stderr)
				}
			})
		}
		all.Wait()
		k.s.AuthDown(false)
		k.works()
	}},
}

// manyAtOnce starts 200 processes on one expired token, and says how long they
// take beside one that refreshes alone.
func manyAtOnce(k *killing) {
	k.strictly()
	k.expired(k.s)
	k.s.Inject(flowtest.Refresh, flowtest.Edit(func(members map[string]any) { members["expires_in"] = 0 }))
	began := time.Now()
	k.must(0, "token")
	one := time.Since(began)
	k.s.ForgetRequests()
	results := make([]result, 200)
	var all sync.WaitGroup
	began = time.Now()
	for i := range results {
		all.Go(func() { results[i] = k.run("token") })
	}
	all.Wait()
	took := time.Since(began)
	for i, r := range results {
		if r.code != 0 || r.stdout != results[0].stdout || !strings.Contains(r.stdout, "mat_") {
			k.t.Errorf("process %d: exit %d, another token than process 0, or none: %s", i, r.code, r.stderr)
		}
	}
	if n := k.s.Count(flowtest.Refresh); n != 1 {
		k.t.Errorf("%d refreshes reached the server, want 1", n)
	}
	k.t.Logf("%d processes: 1 refresh, %v, %.0f times the %v of one that refreshes alone", len(results), took.Round(time.Millisecond), float64(took)/float64(one), one.Round(time.Millisecond))
}

// readersMeanwhile reads while tokens rotate: what is printed is whole, and a token
// that the server has given.
func readersMeanwhile(k *killing) {
	k.loggedIn(k.s)
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				r := k.run("token")
				if token := strings.TrimSpace(r.stdout); r.code != 0 || !strings.HasPrefix(token, "mat_") || strings.ContainsAny(token, " \n") {
					k.t.Errorf("exit %d, and no whole token: %s", r.code, r.stderr)
				}
			}
		})
	}
	for range 20 {
		k.must(0, "refresh")
	}
	close(done)
	all.Wait()
	k.works()
}

// holderDies kills who holds the lock while its request is at the server.
func (k *killing) holderDies(f flowtest.Fault) {
	k.expired(k.s)
	k.s.Inject(flowtest.Refresh, f)
	cmd, end := k.held(flowtest.Refresh, 0, "token")
	k.signal(cmd, syscall.SIGKILL)
	end()
	began := time.Now()
	k.works()
	if took := time.Since(began); took > 10*time.Second {
		k.t.Errorf("the next had to wait for %s", took)
	}
}

// noLocks is a file system that has none: nothing is sent.
func noLocks(name, f string) fault {
	return fault{name, func(k *killing) {
		k.expired(k.s)
		k.fails(7, k.under(injecting("", f), "token"), "no locks")
		if n := k.s.Count(flowtest.Refresh); n != 0 {
			k.t.Errorf("%d refreshes reached the server", n)
		}
		k.works()
	}}
}

func twoLogins(k *killing) {
	k.expired(k.s)
	stop := k.approving()
	defer stop()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if r := k.run("login", k.s.URL); r.code != 0 {
				k.t.Errorf("exit %d: %s", r.code, r.stderr)
			}
		})
	}
	all.Wait()
	k.works()
	if n := k.s.Succeeded(flowtest.Revoke); n != 2 {
		k.t.Errorf("%d sessions were revoked, want the old one and one of the new", n)
	}
}

// everythingAtOnce runs a logout, a login and refreshes of one session. Who wins
// is open; what is left must work or be gone.
func everythingAtOnce(k *killing) {
	k.expired(k.s)
	stop := k.approving()
	defer stop()
	var all sync.WaitGroup
	for _, args := range [][]string{{"logout"}, {"login", k.s.URL}, {"refresh"}, {"token"}, {"refresh"}, {"token"}} {
		all.Go(func() {
			r := k.run(args...)
			k.quiet(r)
			if r.code != 0 && r.code != 4 {
				k.t.Errorf("%v: exit %d: %s", args, r.code, r.stderr)
			}
		})
	}
	all.Wait()
	list := k.must(0, "list").stdout
	if list == "" {
		return
	}
	k.works()
}
