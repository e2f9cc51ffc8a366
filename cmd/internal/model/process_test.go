package model

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/login"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
	"github.com/mxauth/mxauth/keystore/keystoretest/disk"
)

// What goes wrong in an operation of a process.
var (
	errKilled  = errors.New("the process was killed")
	errRefused = errors.New("connection refused")
	errCut     = errors.New("connection reset")
)

// A process runs commands of mxauth, one after the other: the shipped code of
// login, flow and keystore. What it does to the disk and over the network are
// its steps, and before each of them the world decides who goes on.
type process struct {
	w      *world
	name   string
	disk   *disk.Process
	ctx    context.Context
	cancel func() // so that a killed process does not go on for long
	script []string

	at         int // which command it runs
	dead, done bool
	err        error  // of the last command
	seen       uint64 // a hash of all that it has learned
	did        []string
}

func newProcess(w *world, name string, script ...string) *process {
	p := &process{w: w, name: name, script: script}
	p.disk = &disk.Process{Disk: w.disk, Before: p.before, After: p.after}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	disk.Mount(name, p.disk)
	return p
}

func (p *process) before(op disk.Op) error { return p.w.step(p, op.Name, op.Path) }

func (p *process) after(op disk.Op, result string) { p.learn(op.Name + " " + op.Path + " " + result) }

func (p *process) learn(what string) {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s", p.seen, what) // a hash takes everything
	p.seen = h.Sum64()
}

// run runs the commands to their ends.
func (p *process) run() {
	for i, command := range p.script {
		p.began(command)
		p.seen, p.at = uint64(i), i // a new process knows nothing
		err := p.command(command)
		if p.dead {
			break // nobody hears of it
		}
		p.disk.End()
		p.err = err
		p.w.note("%s: %s: %v", p.name, command, err)
		p.learn(command)
		p.did = append(p.did, fmt.Sprintf("%s: %v", command, err))
		p.w.ran(p, command, err)
	}
	p.done = true
}

// command is one run of mxauth, with a Keystore of its own.
func (p *process) command(name string) error {
	ctx := p.ctx
	k, err := keystore.Open(keystore.Options{Dir: "/" + p.name + "/state", Warn: p.told})
	if err != nil {
		return err
	}
	if name == "login" {
		return p.login(ctx, k)
	}
	e, err := k.Find(session)
	if err != nil {
		return err
	}
	switch name {
	case "token":
		return p.token(ctx, k, e)
	case "refresh":
		_, err = k.Update(ctx, e, p.agent().Refresh)
		return err
	case "logout":
		return k.Remove(ctx, e, p.agent().Revoke)
	case "move":
		_, err = k.Move(ctx, e, otherKind(e.Kind))
		return err
	}
	panic("no such command: " + name)
}

// began notes a logout, however it will end.
func (p *process) began(command string) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.out = p.w.out || command == "logout"
}

// told hears what a person is told.
func (p *process) told(what string) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if !p.dead {
		p.w.told += what
	}
}

// session is what it is called.
const session = "bot"

func (p *process) agent() *flow.Agent { return &flow.Agent{HTTP: &http.Client{Transport: p}} }

// token is "mxauth token", and a use of what it prints.
func (p *process) token(ctx context.Context, k *keystore.Keystore, e keystore.Entry) error {
	refresh := p.agent().Refresh
	if p.w.tooSoon {
		refresh = p.useBeforeStore
	}
	s, err := k.Fresh(ctx, e, refresh, func(s flow.Session) bool { return s.FreshFor(disk.Now(), time.Minute) })
	if err != nil {
		return err
	}
	_, err = p.agent().WhoAmI(ctx, s)
	if flow.KindOf(err) == flow.KindEnded {
		return nil // another process has refreshed since
	}
	return err
}

// useBeforeStore is the mistake that everybody makes.
func (p *process) useBeforeStore(ctx context.Context, s flow.Session) (flow.Session, error) {
	next, err := p.agent().Refresh(ctx, s)
	if err == nil {
		_, err = p.agent().WhoAmI(ctx, next)
	}
	return next, err
}

func (p *process) login(ctx context.Context, k *keystore.Keystore) error {
	if err := k.Prepare(ctx, p.w.kind()); err != nil {
		return err
	}
	l := &login.Login{Agent: p.agent(), Store: k, Kind: p.w.kind(), Name: session}
	var err error
	for e := range l.Start(ctx, "https://hs.test") {
		err = e.Err
		if e.Kind == flow.EventWarning {
			p.told(e.Text)
		}
	}
	return err
}

// RoundTrip takes a request to the server. Its way there and its way back are
// two steps.
func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	form := url.Values{}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, _ = url.ParseQuery(string(body)) // a registration is JSON, and not looked at
	}
	what := endpoint(r.URL.Path, form)
	if err := p.w.step(p, "send", what); errors.Is(err, errUnwell) {
		return response(answer{status: 503, body: "<html>"}), nil
	} else if err != nil {
		return nil, err
	}
	_, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a := p.w.server.handle(p, what, form, bearer)
	p.w.note("  %s: %s%s%s -> %d %s", what, form.Get("refresh_token"), form.Get("token"), bearer, a.status, a.gives())
	err := p.w.step(p, "answer", what)
	if t := p.w.server.byRefresh(form.Get("refresh_token")); t != nil && t.flying == p {
		t.flying = nil
	}
	if err == nil {
		err = r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	if a.pair != nil {
		a.pair.arrived = p
	}
	p.learn(a.body)
	return response(a), nil
}

// errUnwell stands for an answer of 503.
var errUnwell = errors.New("503")

func response(a answer) *http.Response {
	return &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(a.body))}
}

func endpoint(path string, form url.Values) string {
	switch {
	case strings.HasSuffix(path, "/whoami"):
		return "whoami"
	case strings.HasSuffix(path, "/auth_metadata"):
		return "metadata"
	case strings.HasPrefix(path, "/.well-known"):
		return "well-known"
	case path == "/token" && form.Get("grant_type") == "refresh_token":
		return "refresh"
	case path == "/token":
		return "poll"
	}
	return strings.TrimPrefix(path, "/")
}
