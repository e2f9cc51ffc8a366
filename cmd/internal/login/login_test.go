package login

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/flow/flowtest"
	"github.com/mxauth/mxauth/keystore"
)

// A stage is a server in memory and a store in a temporary directory.
type stage struct {
	t      *testing.T
	server *flowtest.Server
	store  *keystore.Keystore
}

// onStage runs a test in virtual time.
func onStage(t *testing.T, f func(*testing.T, stage)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store, err := keystore.Open(keystore.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		f(t, stage{t, flowtest.New(), store})
	})
}

func (s stage) login() *Login {
	return &Login{Agent: &flow.Agent{HTTP: s.server.Client(), Version: "1.2.3"}, Store: s.store, Kind: keystore.KindPlaintext}
}

// run logs in, approved by user, and returns the warnings and the last event.
func (s stage) run(l *Login, typed, user string) (warnings []string, last flow.Event) {
	for e := range l.Start(s.t.Context(), typed) {
		last = e
		switch e.Kind {
		case flow.EventCode:
			if err := s.server.Approve(e.Code.UserCode, user); err != nil {
				s.t.Error(err)
			}
		case flow.EventWarning:
			warnings = append(warnings, e.Text)
		}
	}
	return warnings, last
}

func (s stage) names() (names []string) {
	entries, err := s.store.Entries()
	if err != nil {
		s.t.Error(err)
	}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names
}

func TestLogin(t *testing.T) {
	onStage(t, func(t *testing.T, s stage) {
		warnings, last := s.run(s.login(), "@alice:example.test", "alice")
		if last.Kind != flow.EventDone || last.Name != "@alice:example.test" || len(warnings) > 0 {
			t.Fatalf("%+v, %q", last, warnings)
		}
		e, err := s.store.Find(last.Name)
		if err != nil {
			t.Fatal(err)
		}
		session, err := s.store.Get(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if who, err := s.login().Agent.WhoAmI(t.Context(), session); err != nil || who.DeviceID != e.DeviceID {
			t.Errorf("the stored token is of device %q, %v; the entry's is %q", who.DeviceID, err, e.DeviceID)
		}
	})
}

// TestWrongPerson names one person and has another approve.
func TestWrongPerson(t *testing.T) {
	onStage(t, func(t *testing.T, s stage) {
		_, last := s.run(s.login(), "@alice:example.test", "root")
		if exit.Code(last.Err) != exit.Refused || !strings.Contains(last.Err.Error(), "@root:example.test") {
			t.Errorf("%v", last.Err)
		}
		if s.server.Succeeded(flowtest.Revoke) != 1 || len(s.names()) > 0 {
			t.Errorf("%d revocations, sessions %q", s.server.Succeeded(flowtest.Revoke), s.names())
		}
	})
}

// TestHomeserverOnlyHalfUp cannot ask whose session it is. The login stands.
func TestHomeserverOnlyHalfUp(t *testing.T) {
	onStage(t, func(t *testing.T, s stage) {
		s.server.Inject(flowtest.WhoAmI, flowtest.Status(503), flowtest.Status(503), flowtest.Status(500))
		warnings, last := s.run(s.login(), "example.test", "alice")
		if last.Kind != flow.EventDone || len(warnings) != 1 || !strings.HasPrefix(last.Name, "example.test-") {
			t.Errorf("%+v, %q", last, warnings)
		}
	})
}

// TestNarrowerScope is granted less than it asked for, which is kept and said.
func TestNarrowerScope(t *testing.T) {
	onStage(t, func(t *testing.T, s stage) {
		s.server.Inject(flowtest.Poll, flowtest.Edit(func(all map[string]any) { all["scope"] = flow.ScopeAPI }))
		l := s.login()
		l.Name = "bot"
		warnings, last := s.run(l, "example.test", "alice")
		if last.Kind != flow.EventDone || len(warnings) == 0 || !strings.Contains(warnings[0], "left out") {
			t.Errorf("%+v, %q", last, warnings)
		}
	})
}

// TestInterruptedLogin stops a login while it waits: nothing may stay, neither
// here nor at the server.
func TestInterruptedLogin(t *testing.T) {
	onStage(t, func(t *testing.T, s stage) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var last flow.Event
		for e := range s.login().Start(ctx, "example.test") {
			last = e
			if e.Kind == flow.EventCode {
				time.AfterFunc(time.Minute, func() { cancel(why) })
			}
		}
		if last.Kind != flow.EventError || !errors.Is(last.Err, why) || len(s.names()) > 0 {
			t.Errorf("%+v, sessions %q", last, s.names())
		}
	})
}

// TestFormerSessionStaysUntilItIsEnded replaces a session while the server does
// not end the old one. The next login must try again.
func TestFormerSessionStaysUntilItIsEnded(t *testing.T) {
	onStage(t, func(t *testing.T, s stage) {
		s.run(s.login(), "example.test", "alice")
		s.server.Inject(flowtest.Revoke, flowtest.Status(503))
		warnings, last := s.run(s.login(), "example.test", "alice")
		if last.Kind != flow.EventDone || len(warnings) != 1 || !strings.Contains(warnings[0], "could not be ended") {
			t.Fatalf("%+v, %q", last, warnings)
		}
		if left, err := s.store.Abandoned(); len(left) != 1 || err != nil {
			t.Errorf("%d sessions wait to be ended, %v", len(left), err)
		}
		warnings, _ = s.run(s.login(), "example.test", "alice")
		if left, err := s.store.Abandoned(); len(left) != 0 || err != nil || len(warnings) != 2 {
			t.Errorf("%d sessions wait to be ended, %v, %q", len(left), err, warnings)
		}
		if s.server.Succeeded(flowtest.Revoke) != 2 {
			t.Errorf("%d sessions were ended, want both old ones", s.server.Succeeded(flowtest.Revoke))
		}
	})
}

// TestUnfinishedLogin finds what a killed login leaves: a slot that nobody has
// locked. It is said which device may stand at the server.
func TestUnfinishedLogin(t *testing.T) {
	elsewhere := t.TempDir()
	onStage(t, func(t *testing.T, s stage) {
		s.run(s.login(), "example.test", "alice") // makes the directory
		other, err := keystore.Open(keystore.Options{Dir: elsewhere})
		if err != nil {
			t.Fatal(err)
		}
		draft := flow.Session{Server: flow.Server{Name: "example.test"}, DeviceID: "OLDDEVICE234"}
		e, err := other.Reserve(t.Context(), keystore.KindPlaintext, draft)
		if err != nil {
			t.Fatal(err)
		}
		slot := filepath.Join("sessions", e.ID+".json")
		b, err := os.ReadFile(filepath.Join(elsewhere, slot))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.store.Dir(), slot), b, 0o600); err != nil {
			t.Fatal(err)
		}
		warnings, _ := s.run(s.login(), "example.test", "alice")
		if !strings.Contains(strings.Join(warnings, " "), "OLDDEVICE234") || len(s.names()) != 1 {
			t.Errorf("%q, sessions %q", warnings, s.names())
		}
	})
}
