package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// holds is what a cell says where all is as a user would wish. The other words
// are explained in docs/servers.md.
const (
	holds     = "holds"
	loginOver = "login over" // the server ends the session, and mxauth says so
	answered  = "answered"   // the old refresh token brings tokens again
	noOAuth   = "no OAuth"
	noWay     = "no way" // the server, or this test, has no means
)

// TestServers runs the real binary through one suite at every server that can be
// had here, real ones and flowtest's personalities alike, and holds what it sees
// against the matrix in docs/servers.md. With -v it prints the matrix.
func TestServers(t *testing.T) {
	if testing.Short() {
		t.Skip("many logins of another process, which the race detector does not see")
	}
	m := readMatrix(t)
	t.Cleanup(func() { t.Logf("what the servers did, and mxauth with them:\n%s", m) })
	for _, row := range m.rows {
		server, _, _ := strings.Cut(row, ":")
		if !slices.ContainsFunc(contenders, func(c contender) bool { return c.name == server }) {
			t.Errorf("docs/servers.md has a row %q, which is no server that is tried", row)
		}
	}
	for _, c := range contenders {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for way, to := range c.start(t) {
				m.run(t, rowName(c.name, way), to)
			}
		})
	}
}

// run fills a row.
func (m *matrix) run(t *testing.T, row string, to target) {
	tries := trials
	if to.legacy {
		tries = map[string]func(trial){"refused": trial.refused}
	}
	for name, try := range tries {
		t.Run(row+"/"+name, func(t *testing.T) {
			t.Parallel()
			see := func(column, cell string) {
				t.Helper()
				m.see(t, row, column, cell)
			}
			try(trial{newBox(t, "MXAUTH_STORE=plaintext"), to, stretchTo(t, to), m.columns, see})
		})
	}
}

// A trial is one binary, one server, and what lies between them.
type trial struct {
	box
	to      target
	wire    *wire
	columns []string
	cell    func(column, seen string)
}

// trials fill the columns of the matrix. Each has a login of its own, because
// servers end logins.
var trials = map[string]func(trial){
	"life":        trial.life,
	"lost answer": trial.lostAnswer,
	"replay":      trial.replay,
	"denied":      trial.denied,
	"expired":     trial.expired,
}

// args are those of login.
func (r trial) args() []string {
	if r.to.issuer != "" {
		return append([]string{"--issuer", r.wire.near.Replace(r.to.issuer), "--name", "ci"}, r.to.args...)
	}
	return append([]string{r.wire.near.Replace(r.to.homeserver)}, r.to.args...)
}

// logIn logs in with somebody who decides about the code.
func (r trial) logIn(decide func(browser, event)) (event, int) {
	r.t.Helper()
	return r.login(func(e event) {
		if r.to.complete != (e.Complete != "") && !r.to.unknown {
			r.t.Errorf("a link that holds the code: %t, want %t", e.Complete != "", r.to.complete)
		}
		e.URI, e.Complete = r.wire.far.Replace(e.URI), r.wire.far.Replace(e.Complete)
		if decide != nil {
			decide(newBrowser(r.t), e)
		}
	}, r.args()...)
}

// approved is a login that must go well.
func (r trial) approved() event {
	r.t.Helper()
	done, code := r.logIn(r.to.approve)
	if code != 0 || done.Event != "done" || r.to.user != "" && done.UserID != r.to.user {
		r.t.Fatalf("login: exit %d, %+v", code, done)
	}
	return done
}

// life is a session from its login to its logout.
func (r trial) life() {
	registration := r.registration()
	done := r.approved()
	r.cell("registration", registration)
	if got := strings.TrimSpace(r.must(0, "whoami").stdout); got != done.UserID || got == "" {
		r.t.Fatalf("whoami: %q, login said %q", got, done.UserID)
	}
	r.cell("login", holds)
	first := r.must(0, "token")
	if strings.Count(first.stdout, "\n") != 1 || first.stderr != "" {
		r.t.Fatalf("token printed %d lines, and said %q", strings.Count(first.stdout, "\n"), first.stderr)
	}
	before := r.wire.count()
	if r.must(0, "token").stdout != first.stdout || r.wire.count() != before {
		r.t.Fatalf("a fresh token was not simply printed: %d requests", r.wire.count()-before)
	}
	r.cell("token", holds)
	seen := map[string]bool{first.stdout: true}
	for range 3 { // rotation goes on and on
		r.must(0, "refresh")
		seen[r.must(0, "token").stdout] = true
		r.must(0, "whoami")
	}
	if len(seen) != 4 {
		r.t.Fatalf("three refreshes brought %d new tokens", len(seen)-1)
	}
	r.cell("rotation", holds)
	r.cell("logout", r.logout())
}

// refused is all that can be had from a server without OAuth: a named answer that
// says what it offers, and what its administrator would have to do.
func (r trial) refused() {
	done, code := r.logIn(nil)
	if code != 6 || !strings.Contains(done.Error, "m.login.password") || !strings.Contains(done.Error, "administrator") {
		r.t.Fatalf("a login without OAuth: exit %d, %+v", code, done)
	}
	r.nothing()
	for _, column := range r.columns {
		r.cell(column, noOAuth)
	}
}

// registration is how a client comes to be. Where it takes an administrator, a
// login without their help must say so.
func (r trial) registration() string {
	r.t.Helper()
	if r.to.closed == "" {
		return holds
	}
	closed := r
	closed.to.args = nil
	got := closed.must(6, append([]string{"login", "--plain"}, closed.args()...)...)
	if !strings.Contains(got.stderr, "administrator") || !strings.Contains(got.stderr, r.to.args[0]) {
		r.t.Fatalf("a login without what the administrator gives: %q", got.stderr)
	}
	return r.to.closed
}

func (r trial) logout() string {
	r.t.Helper()
	r.must(0, "logout")
	if gone := r.must(4, "token"); !strings.Contains(gone.stderr, "mxauth login") {
		r.t.Fatalf("after the logout: %q", gone.stderr)
	}
	if left, err := filepath.Glob(filepath.Join(r.dir, "state", "sessions", "*.json")); err != nil || len(left) != 0 {
		r.t.Fatalf("the logout left %v, %v", left, err)
	}
	if tokens, code := r.wire.again(r.wire.next()); tokens || code != "invalid_grant" {
		r.t.Fatalf("after the logout the server answers the newest refresh token, tokens: %t, error: %q", tokens, code)
	}
	return holds
}

// lostAnswer loses the tokens of a refresh on the way: the server has consumed
// what mxauth still holds.
func (r trial) lostAnswer() {
	r.approved()
	first := r.must(0, "token").stdout
	r.wire.loseNext()
	got := r.run("refresh")
	if n := len(r.wire.refreshed()); n != 2 {
		r.t.Fatalf("%d requests, want one whose answer was lost, and one more", n)
	}
	if got.code == 0 {
		if r.must(0, "token").stdout == first {
			r.t.Fatal("the refresh brought nothing")
		}
		r.must(0, "whoami")
		r.must(0, "refresh")
		r.cell("lost answer", holds)
		return
	}
	r.cell("lost answer", r.over(got))
}

// over is what mxauth must say of a session that the server has ended.
func (r trial) over(got result) string {
	r.t.Helper()
	if got.code != 4 || !strings.Contains(got.stderr, "ended this session") || !strings.Contains(got.stderr, "Log in again: mxauth login ") {
		r.t.Fatalf("the session ended: exit %d, %q", got.code, got.stderr)
	}
	before := r.wire.count()
	if again := r.must(4, "token"); !strings.Contains(again.stderr, "Log in again: mxauth login ") || r.wire.count() != before {
		r.t.Fatalf("after the end of the session: %q, %d requests", again.stderr, r.wire.count()-before)
	}
	return loginOver
}

// replay sends the first refresh token again when its successor is in use, as a
// thief would, or a copy of the session. What the server does about it is its
// own affair; mxauth goes on, or says that it cannot.
func (r trial) replay() {
	r.approved()
	r.must(0, "refresh")
	r.must(0, "whoami")
	if r.to.later != nil {
		r.to.later()
	}
	tokens, code := r.wire.again(r.wire.refreshed()[0])
	if !tokens && code == "" {
		r.t.Fatal("the server gave neither tokens nor an error")
	}
	got := r.run("refresh")
	switch {
	case got.code != 0:
		r.cell("replay", r.over(got))
	case tokens:
		r.cell("replay", answered)
	default:
		r.cell("replay", holds)
	}
	if got.code == 0 {
		r.must(0, "whoami")
	}
}

// denied has the person say no.
func (r trial) denied() {
	if r.to.deny == nil {
		r.cell("denied", noWay)
		return
	}
	done, code := r.logIn(r.to.deny)
	if code != 3 || done.Event != "error" || !strings.Contains(done.Error, "declined or refused") {
		r.t.Fatalf("a login that was declined: exit %d, %+v", code, done)
	}
	r.nothing()
	r.cell("denied", holds)
}

// expired lets the code run out.
func (r trial) expired() {
	if r.to.hasty == nil {
		r.cell("expired", noWay)
		return
	}
	hasty := r
	hasty.to = *r.to.hasty
	if hasty.to.issuer != r.to.issuer {
		hasty.wire = stretchTo(r.t, hasty.to)
	}
	done, code := hasty.logIn(hasty.to.approve)
	if code != 3 || done.Event != "error" || !strings.Contains(done.Error, "expired") {
		r.t.Fatalf("a login whose code ran out: exit %d, %+v", code, done)
	}
	r.nothing()
	r.cell("expired", holds)
}

// nothing makes sure that no login was kept.
func (r trial) nothing() {
	r.t.Helper()
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(r.must(0, "list", "--json").stdout), &list); err != nil || len(list) != 0 {
		r.t.Errorf("%d sessions, want none (%v)", len(list), err)
	}
}
