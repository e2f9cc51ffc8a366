package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/build"
	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/cmd/internal/login"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/flow/flowtest"
	"github.com/mxauth/mxauth/keystore"
	"github.com/mxauth/mxauth/tui"
)

// patience is how long the demo waits for a person to approve, before it does
// so itself.
const patience = 12 * time.Second

// A demo is one login and what comes after it.
type demo struct {
	server *flowtest.Server
	agent  *flow.Agent
	store  *keystore.Keystore
	dir    string
	screen bool
}

// newDemo makes a state directory with a sealed file in it: the user's keyring
// is never touched.
func newDemo(server *flowtest.Server, plain bool) (*demo, error) {
	dir, err := os.MkdirTemp("", "mxdemo-")
	if err != nil {
		return nil, err
	}
	store, err := keystore.Open(keystore.Options{Dir: filepath.Join(dir, "state"), KeyFile: filepath.Join(dir, "key")})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &demo{server: server, store: store, dir: dir,
		agent:  &flow.Agent{HTTP: flow.NewHTTPClient(), Version: build.Version()},
		screen: !plain && tui.Usable(os.Stdin, os.Stderr, nil)}, nil
}

func (d *demo) remove() {
	if err := os.RemoveAll(d.dir); err != nil {
		say("mxdemo: %v", err)
	}
}

// run logs in, prints the token, and shows what a rotation does.
func (d *demo) run(ctx context.Context) error {
	if err := d.store.Prepare(ctx, keystore.KindFile); err != nil {
		return err
	}
	say("A homeserver in a box is at %s. This logs in to it.", d.server.URL)
	name, err := d.login(ctx)
	if err != nil {
		return err
	}
	e, err := d.store.Find(name)
	if err != nil {
		return err
	}
	s, err := d.store.Get(ctx, e)
	if err != nil {
		return err
	}
	say("\nThe access token, as \"mxauth token\" prints it:")
	if _, err := fmt.Println(s.AccessToken.Reveal()); err != nil {
		return fmt.Errorf("%w: %w", exit.ErrOutput, err)
	}
	who, err := d.agent.WhoAmI(ctx, s)
	if err != nil {
		return err
	}
	say("It belongs to %s, device %s,\nand is good until %s.", who.UserID, who.DeviceID, s.Expiry.Local().Format("15:04:05"))
	return d.rotate(ctx, e, s)
}

// rotate refreshes once and lets the server say which token lives.
func (d *demo) rotate(ctx context.Context, e keystore.Entry, before flow.Session) error {
	after, err := d.store.Update(ctx, e, d.agent.Refresh)
	if err != nil {
		return err
	}
	if after.AccessToken.Equal(before.AccessToken) {
		return errors.New("the refresh brought the same token again")
	}
	if _, err := d.agent.WhoAmI(ctx, after); err != nil {
		return err
	}
	say("One refresh: a new access token and a new refresh token, stored before they\nwere used. The homeserver takes the new one.")
	say("\nNow your own server:  go run ./cmd/mxauth login SERVER")
	return nil
}

// login runs the real login; only the approval is done for people who do not.
func (d *demo) login(ctx context.Context) (string, error) {
	l := &login.Login{Agent: d.agent, Store: d.store, Kind: keystore.KindFile, DeviceName: "mxdemo"}
	start := func(ctx context.Context, server string) <-chan flow.Event {
		return d.helped(ctx, l.Start(ctx, server))
	}
	if !d.screen {
		last, err := tui.Lines(ctx, os.Stderr, start(ctx, d.server.URL), tui.LinesOptions{})
		return last.Name, err
	}
	r, err := tui.Login(ctx, tui.LoginOptions{Server: d.server.URL, Start: start})
	if r.Plain != nil {
		defer r.Plain.Cancel()
		last, err := tui.Lines(ctx, os.Stderr, r.Plain.Events, tui.LinesOptions{Seen: r.Plain.Seen})
		return last.Name, err
	}
	if errors.Is(err, tui.ErrQuit) {
		err = &exit.SignalError{Signal: syscall.SIGINT}
	}
	return r.Done.Name, err
}

// helped passes the events on and approves a code that nobody has approved
// after a while, and says so.
func (d *demo) helped(ctx context.Context, events <-chan flow.Event) <-chan flow.Event {
	out := make(chan flow.Event)
	wait := patience
	if !d.screen {
		wait = time.Second // nobody is there to open the page
	}
	go func() {
		defer close(out)
		var alarm <-chan time.Time
		var code flow.Code
		for {
			select {
			case e, ok := <-events:
				if !ok {
					return
				}
				if e.Kind == flow.EventCode {
					code, alarm = e.Code, time.After(wait)
				}
				out <- e
			case <-alarm:
				alarm = nil
				if err := d.server.Approve(code.UserCode, "alice"); err == nil {
					out <- flow.Event{Kind: flow.EventWarning, Time: time.Now(), Text: "Nobody has approved it, so the demo does it now, as alice."}
				}
			case <-ctx.Done():
				for e := range events { // the login ends by itself
					out <- e
				}
				return
			}
		}
	}()
	return out
}
