package main

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
	"github.com/mxauth/mxauth/keystore/keystoretest"
)

// killAll kills at every system call: go test -run Kill -kill.all -timeout 2h
var killAll = flag.Bool("kill.all", false, "kill the binary at every system call, not at some of them")

// A victim is a command that is killed, and what must hold afterwards.
type victim struct {
	name   string
	sample int    // how many kills where not all are asked for
	stores string // where it can be; empty: everywhere
	kill   func(k *killing, at int) trace
	check  func(k *killing, t trace) (lost bool)
}

var victims = []victim{
	{"token with a refresh", 10, "", (*killing).token, (*killing).tokenWorks},
	{"login under the same name", 3, "", (*killing).secondLogin, (*killing).tokenAndNothingLeft},
	{"first login", 2, "", (*killing).firstLogin, (*killing).loginWorks},
	{"store move", 6, "file keyring", (*killing).move, (*killing).tokenWorks},
	{"store rekey", 6, "file", func(k *killing, at int) trace { return k.killedAt(at, "store", "rekey") }, (*killing).tokenWorks},
	{"logout", 6, "", (*killing).logout, (*killing).outOrIn},
}

// rotates reports whether it matters to a victim how strict the server is.
func (v victim) rotates() bool {
	return strings.HasPrefix(v.name, "token") || strings.HasPrefix(v.name, "login")
}

// A tally counts kills.
type tally struct{ points, kills, lost int }

// TestKill kills the real binary before one of its system calls, again and again.
// Whatever was under way, the next "mxauth token" prints a token that works,
// without a login; a killed first login is in nobody's way. Only a server that is
// strict about rotation ends a session, and only if its answer was lost with the
// process that had asked.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	var mu sync.Mutex
	table := map[string]tally{}
	together(executions(), func(e execution) {
		row := fmt.Sprintf("%-10s %-8s %-26s", e.store, e.server, e.name)
		t.Run(strings.Join(strings.Fields(row), " "), func(t *testing.T) {
			got := newKilling(t, killStores[e.store](t), e.server == "strict").all(e.victim)
			t.Logf("%d calls, %d kills, %d lost", got.points, got.kills, got.lost) // a run that is cut off has told that much
			mu.Lock()
			defer mu.Unlock()
			table[row] = got
		})
	})
	t.Log("\n" + tallies(table))
}

// An execution is a victim in one store and at one kind of server.
type execution struct {
	victim
	store, server string
}

func executions() []execution {
	var all []execution
	for _, v := range victims {
		for _, store := range slices.Sorted(maps.Keys(killStores)) {
			for _, server := range []string{"lenient", "strict"} {
				needless := server == "strict" && !v.rotates() && !*killAll
				if !needless && (v.stores == "" || strings.Contains(v.stores, store)) {
					all = append(all, execution{v, store, server})
				}
			}
		}
	}
	return all
}

var killStores = map[string]func(*testing.T) box{
	"plaintext": func(t *testing.T) box { return newBox(t, "MXAUTH_STORE=plaintext") },
	"file":      sealedBox,
	"keyring":   func(t *testing.T) box { return newBox(t, keystoretest.StartSecretService(t)...) },
}

// A killing is a box and a server in which a victim dies many times.
type killing struct {
	box
	s      *flowtest.Server
	strict bool
}

func newKilling(t *testing.T, b box, strict bool) *killing {
	var options []flowtest.Option
	if strict {
		options = append(options, flowtest.WithStrictRotation())
	}
	return &killing{b, startServer(t, options...), strict}
}

// all kills a victim at every point, or at a sample of them. How many points
// there are differs a little from run to run.
func (k *killing) all(v victim) (sum tally) {
	k.t.Helper()
	if v.name != "first login" {
		k.expired(k.s)
	}
	whole := v.kill(k, 0)
	if whole.code != 0 {
		k.t.Fatalf("without a kill: exit %d: %s", whole.code, whole.stderr)
	}
	v.check(k, whole)
	sum.points = whole.points
	step := 1
	if !*killAll {
		step = max(1, whole.points/v.sample)
	}
	for at := 1 + step/2; ; at += step {
		before := k.s.Succeeded(flowtest.Refresh)
		r := v.kill(k, at)
		if !r.killed {
			return sum
		}
		sum.kills++
		if !v.check(k, r) {
			continue
		}
		sum.lost++
		if !k.strict || k.s.Succeeded(flowtest.Refresh) == before {
			k.t.Errorf("killed at call %d of %d: the session is lost", at, whole.points)
		}
		k.expired(k.s)
	}
}

// token kills a refresh. Every token that the server gives is out of date at
// once, so that the next run refreshes too.
func (k *killing) token(at int) trace {
	k.outOfDate()
	return k.killedAt(at, "token")
}

func (k *killing) outOfDate() {
	for k.s.Injected(flowtest.Refresh) < 8 {
		k.s.Inject(flowtest.Refresh, flowtest.Edit(func(members map[string]any) { members["expires_in"] = 0 }))
	}
}

// secondLogin kills a login that takes the place of a session.
func (k *killing) secondLogin(at int) trace {
	stop := k.approving()
	defer stop()
	return k.killedAt(at, "login", "--json", k.s.URL)
}

// firstLogin is secondLogin with a box as it comes from the shop.
func (k *killing) firstLogin(at int) trace {
	k.run("logout", "--all") // of the kill before; there may be nothing
	return k.secondLogin(at)
}

// move moves the session there and back.
func (k *killing) move(at int) trace {
	to := "plaintext"
	if found, _ := filepath.Glob(k.state("sessions", "*.plain")); len(found) > 0 { // the pattern is good
		to = map[bool]string{true: "file", false: "keyring"}[slices.Contains(k.env, "MXAUTH_STORE=file")]
	}
	return k.killedAt(at, "store", "move", "@alice:"+k.s.ServerName, to)
}

// logout kills a logout of a session that is there again each time.
func (k *killing) logout(at int) trace {
	if k.must(0, "list").stdout == "" {
		k.expired(k.s)
	}
	return k.killedAt(at, "logout")
}

// outOrIn wants a session that works, or one that is dead, at the server too.
func (k *killing) outOrIn(trace) (lost bool) {
	k.t.Helper()
	k.outOfDate()
	r := k.run("token")
	if r.code == 0 && k.accepts(r.stdout) {
		return false
	}
	if alive := k.s.Succeeded(flowtest.Revoke) == 0; r.code != 4 || alive {
		k.t.Errorf("exit %d, and the session lives: %t: %s", r.code, alive, r.stderr)
	}
	k.run("logout") // what is left of it; there may be nothing
	k.s.ForgetRequests()
	return false
}

// approving approves every login until it is stopped.
func (k *killing) approving() (stop func()) {
	end := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
			}
			for _, code := range k.s.Pending() {
				_ = k.s.Approve(code, "alice") // its login may have been killed
			}
		}
	})
	return func() { close(end); running.Wait() }
}

// tokenWorks asks for a token, without a login, and uses it.
func (k *killing) tokenWorks(trace) (lost bool) {
	k.t.Helper()
	k.outOfDate()
	r := k.run("token")
	if r.code == 4 {
		return true
	}
	if r.code != 0 || !k.accepts(r.stdout) {
		k.t.Errorf("the next token: exit %d, and it does not work: %s", r.code, r.stderr)
	}
	return false
}

// accepts uses a token at the homeserver.
func (k *killing) accepts(token string) bool {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.t.Context(), http.MethodGet, k.s.URL+"/_matrix/client/v3/account/whoami", nil)
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	resp, err := k.s.Client().Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// tokenAndNothingLeft is tokenWorks, and looks for what killed logins left when
// one has lived. Most kills leave a slot, and clearing many of them takes a login
// longer than the next kill gives it, so that is done for every few.
func (k *killing) tokenAndNothingLeft(t trace) (lost bool) {
	k.t.Helper()
	if lost := k.tokenWorks(t); lost || len(k.locks()) < 4 {
		return lost
	}
	k.loggedIn(k.s)
	if left := k.locks(); len(left) != 1 {
		k.t.Errorf("after a login that lived there are %d lock files, want one", len(left))
	}
	return false
}

// locks are the lock files of sessions: the first thing that a login makes, and
// the last that goes.
func (k *killing) locks() []string {
	found, _ := filepath.Glob(k.state("sessions", "*.lock")) // the pattern is good
	return found
}

// loginWorks logs in after a killed first login, and looks for what it left.
func (k *killing) loginWorks(trace) (lost bool) {
	k.t.Helper()
	k.loggedIn(k.s)
	if r := k.run("token"); r.code != 0 || !k.accepts(r.stdout) {
		k.t.Errorf("the login after: exit %d, and its token does not work: %s", r.code, r.stderr)
	}
	if lines := strings.Count(k.must(0, "list").stdout, "\n"); lines != 2 {
		k.t.Errorf("after a login list has %d lines, want a head and one session", lines)
	}
	return false
}

func tallies(table map[string]tally) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %-8s %-26s %6s %6s %6s\n", "store", "server", "killed", "calls", "kills", "lost")
	for _, row := range slices.Sorted(maps.Keys(table)) {
		sum := table[row]
		fmt.Fprintf(&b, "%s %6d %6d %6d\n", row, sum.points, sum.kills, sum.lost)
	}
	return b.String()
}
