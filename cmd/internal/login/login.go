// Package login runs one whole login, from the server's name to a stored and
// named session, and tells its steps as events. The screen, the plain lines,
// JSON and the demonstration all read the same events: there is one login, not
// several.
package login

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

// revokeTime bounds the end of a session that a login does not need (any more).
const revokeTime = 20 * time.Second

// A Login says what to log in to, for what, and where to keep it.
type Login struct {
	Agent *flow.Agent
	Store *keystore.Keystore
	Kind  keystore.Kind // prepared, see keystore.Prepare

	Name       string   // of the session; empty: the user ID
	Issuer     string   // log in to this issuer instead of a homeserver
	Scope      []string // presets and scope words; empty: the default
	DeviceID   string   // Matrix device to log in as; empty: a fresh one
	DeviceName string   // shown on the consent page; may be empty
	OtherSite  string   // host of a verification page that the person agreed to, see flow.SiteError
	Client     flow.Client
	Initial    flow.Secret // initial access token for the registration

	// Browser logs in by browser, not with a code. Addresses brings those that
	// a person copied out of a browser elsewhere; nil where nobody can.
	Browser   bool
	Addresses <-chan string
}

// Check finds mistakes before any request is made. server may be empty where
// the screen will ask for it.
func (l *Login) Check(server string) error {
	if l.Issuer == "" && server != "" {
		if err := flow.CheckServer(server); err != nil {
			return err
		}
	}
	want, err := l.request()
	if err != nil {
		return err
	}
	if l.Name == "" && (l.Issuer != "" || !hasAPI(want.Scope)) {
		return exit.Usagef("this login needs a name, because no homeserver will say whose it is: add --name")
	}
	if err := l.checkDevice(want); err != nil {
		return err
	}
	if l.Name == "" {
		return nil
	}
	if err := CheckName(l.Name); err != nil {
		return err
	}
	old, err := l.Store.Find(l.Name)
	if errors.Is(err, keystore.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if server = l.target(server); server != "" && !same(old, server) {
		return exit.Usagef("the session %s is for %s; log it out first, or choose another --name", l.Name, old.Server)
	}
	return nil
}

// checkDevice refuses a device that no scope would carry, and one that another
// session has: two sessions of one device take each other's end-to-end keys.
func (l *Login) checkDevice(want flow.Request) error {
	if l.DeviceID == "" {
		return nil
	}
	if want.DeviceID != l.DeviceID {
		return exit.Usagef("a device was named, and this scope has none")
	}
	entries, err := l.Store.Entries()
	for _, e := range entries {
		if !e.Pending && e.Ended == nil && e.DeviceID == l.DeviceID && e.Name != l.Name && (l.Name != "" || e.Name[0] != '@') {
			return exit.Usagef("the session %s has the device %s: log in again under its name, or log it out first", e.Name, l.DeviceID)
		}
	}
	return err
}

// CheckName refuses names that could not be typed or printed again.
func CheckName(name string) error {
	if name == "" || flow.Clean(name, 100) != name || strings.HasPrefix(name, "-") {
		return exit.Usagef("a session cannot be called %q", flow.Clean(name, 100))
	}
	return nil
}

func (l *Login) target(server string) string {
	if l.Issuer != "" {
		return l.Issuer
	}
	return server
}

// same reports whether what was typed leads to the server of an entry.
func same(e keystore.Entry, typed string) bool {
	typed = strings.TrimRight(strings.TrimSpace(typed), "/")
	if _, server, ok := strings.Cut(typed, ":"); ok && strings.HasPrefix(typed, "@") {
		typed = server
	}
	_, host, isURL := strings.Cut(typed, "://")
	return typed == e.Server || isURL && host == e.Server || typed == e.Homeserver || typed == strings.TrimRight(e.Issuer, "/")
}

func hasAPI(scope string) bool { return (flow.Session{Scope: scope}).HasScope(flow.ScopeAPI) }

// request makes the scope, with a fresh device where none is named.
func (l *Login) request() (flow.Request, error) {
	var want flow.Request
	var err error
	if l.Issuer != "" {
		want, err = flow.IssuerScope(l.Scope)
	} else {
		want, err = flow.HomeserverScope(l.Scope, l.DeviceID)
	}
	want.DeviceName = flow.CleanDeviceName(l.DeviceName)
	want.OtherSite = l.OtherSite
	return want, err
}

// Start begins the login. The channel closes after EventDone or EventError;
// when ctx ends, the login ends, and what the server had already given out is
// revoked. The reader must read to the end.
func (l *Login) Start(ctx context.Context, server string) <-chan flow.Event {
	events := make(chan flow.Event)
	go func() {
		defer close(events)
		a := attempt{Login: l, ctx: ctx, events: events, typed: l.target(server)}
		done, err := a.run()
		if err != nil {
			done = flow.Event{Kind: flow.EventError, Err: err}
		}
		done.Time = time.Now()
		events <- done
	}()
	return events
}

// An attempt is one run of a login.
type attempt struct {
	*Login
	ctx    context.Context
	events chan<- flow.Event
	typed  string // server, Matrix ID or issuer
	want   flow.Request
}

func (a *attempt) tell(e flow.Event) {
	e.Time = time.Now()
	select {
	case a.events <- e:
	case <-a.ctx.Done():
	}
}

func (a *attempt) warn(format string, args ...any) {
	a.tell(flow.Event{Kind: flow.EventWarning, Text: fmt.Sprintf(format, args...)})
}

func (a *attempt) run() (flow.Event, error) {
	if err := a.Check(a.typed); err != nil {
		return flow.Event{}, err
	}
	var err error
	if a.want, err = a.request(); err != nil {
		return flow.Event{}, err
	}
	var sweeping sync.WaitGroup
	sweeping.Go(a.sweep)
	defer sweeping.Wait()
	slot, found, err := a.find()
	if err != nil {
		return flow.Event{}, err
	}
	session, err := a.login(found)
	if err != nil {
		return flow.Event{}, errors.Join(err, a.giveUp(slot, err))
	}
	return a.keep(slot, session)
}

// giveUp forgets a slot, unless the server may have made its session: then the
// device must be known until somebody was told of it, see sweep.
func (a *attempt) giveUp(slot keystore.Entry, why error) error {
	var unheard *flow.UnheardError
	if errors.As(why, &unheard) {
		a.Store.Leave(slot)
		return nil
	}
	return a.Store.Remove(context.WithoutCancel(a.ctx), slot, nil)
}

// find discovers the server and makes a place for the tokens, side by side: both
// must be there before a code is shown, and neither needs the other.
func (a *attempt) find() (keystore.Entry, flow.Server, error) {
	a.tell(flow.Event{Kind: flow.EventDiscover, Name: a.typed})
	var slot keystore.Entry
	var noPlace error
	var reserving sync.WaitGroup
	reserving.Go(func() {
		draft := flow.Session{Server: flow.Server{Name: a.typed}, DeviceID: a.want.DeviceID, Scope: a.want.Scope}
		slot, noPlace = a.Store.Reserve(a.ctx, a.Kind, draft)
	})
	var found flow.Server
	var err error
	looked := &lookups{}
	if a.Issuer != "" {
		found, err = a.Agent.DiscoverIssuer(looked.trace(a.ctx), a.Issuer)
	} else {
		found, err = a.Agent.Discover(looked.trace(a.ctx), a.typed)
	}
	reserving.Wait()
	switch {
	case noPlace != nil:
		return slot, found, noPlace
	case err != nil:
		return slot, found, errors.Join(err, a.Store.Remove(context.WithoutCancel(a.ctx), slot, nil))
	}
	a.tell(flow.Event{Kind: flow.EventServer, Server: found})
	for _, in := range looked.inside() {
		a.warn("%s leads to %s, which is no public address. Stop, if it should not be in your own network.", in.host, in.address)
	}
	return slot, found, nil
}

// login gets a session by the way that was chosen.
func (a *attempt) login(found flow.Server) (flow.Session, error) {
	a.tell(flow.Event{Kind: flow.EventRegister, Server: found})
	if a.Issuer != "" && len(a.Scope) == 0 && !found.OfflineAccess {
		a.want.Scope = "openid" // MAS, for one, refuses offline_access, and needs none
	}
	way := a.approval
	if a.Browser {
		way = a.browser
	}
	session, err := way(found)
	if err != nil {
		return session, err
	}
	if a.ctx.Err() != nil { // approved in the moment of giving up
		a.discard(session)
		return session, context.Cause(a.ctx)
	}
	a.tell(flow.Event{Kind: flow.EventApproved, Server: found})
	return session, nil
}

// browser shows a link and waits for the browser to come back, here or in the
// words of a person.
func (a *attempt) browser(found flow.Server) (flow.Session, error) {
	listener, err := flow.Listen()
	if err != nil {
		return flow.Session{}, err
	}
	client := a.Client
	if a.Issuer != "" && client.ID == "" && found.Registration == "" {
		client = a.keptClient(found)
	}
	client, auth, err := a.Agent.BeginBrowser(a.ctx, found, client, flow.Registration{InitialToken: a.Initial}, a.want, listener.RedirectURI())
	if err != nil {
		return flow.Session{}, errors.Join(err, listener.Close())
	}
	ctx, cancel := context.WithCancel(a.ctx)
	addresses := make(chan string)
	var working sync.WaitGroup
	working.Go(func() { listener.Serve(ctx, auth, addresses) })
	working.Go(func() { forward(ctx, addresses, a.Addresses) })
	defer working.Wait()
	defer cancel()
	a.tell(flow.Event{Kind: flow.EventLink, Server: found, Authorization: auth})
	return a.Agent.WaitBrowser(a.ctx, found, client, auth, addresses, a.events)
}

// forward passes on what comes, until that ends or ctx does.
func forward(ctx context.Context, to chan<- string, from <-chan string) {
	for {
		select {
		case s, ok := <-from:
			if !ok {
				return
			}
			select {
			case to <- s:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// approval shows a code and waits for a person.
func (a *attempt) approval(found flow.Server) (flow.Session, error) {
	client, code, err := a.begin(found)
	if err != nil {
		return flow.Session{}, err
	}
	a.tell(flow.Event{Kind: flow.EventCode, Server: found, Code: code, DeviceName: code.DeviceName})
	return a.Agent.Wait(a.ctx, found, client, code, a.events)
}

// begin asks for a code. A plain issuer's registration is used again for as long
// as the issuer knows it: Keycloak keeps two hundred at most, and an
// administrator's help may have gone into it. Homeservers get a new one each time,
// as the Matrix specification has it.
func (a *attempt) begin(found flow.Server) (flow.Client, flow.Code, error) {
	r := flow.Registration{InitialToken: a.Initial}
	if a.Issuer != "" && a.Client.ID == "" && a.Initial.Empty() {
		if kept := a.keptClient(found); kept.ID != "" {
			client, code, err := a.Agent.Begin(a.ctx, found, kept, r, a.want)
			var e *flow.Error
			if !errors.As(err, &e) || e.Code != "invalid_client" && e.Code != "unauthorized_client" {
				return client, code, err
			}
		}
	}
	return a.Agent.Begin(a.ctx, found, a.Client, r, a.want)
}

// keptClient is the client of the session under the same name, else of any at the
// issuer. An issuer without registration may tie sessions to the client ID: at
// Dex a second login of one person with it ends the first, so there only the name
// counts.
func (a *attempt) keptClient(found flow.Server) flow.Client {
	entries, err := a.Store.Entries()
	if err != nil {
		return flow.Client{} // what is wrong is told where it matters
	}
	var kept flow.Client
	for _, e := range entries {
		switch {
		case e.ClientID == "" || e.Issuer != found.Issuer || e.Homeserver != "":
		case e.Name == a.Name && !e.Pending:
			return flow.Client{ID: e.ClientID}
		case found.Registration != "":
			kept = flow.Client{ID: e.ClientID}
		}
	}
	return kept
}

// discard revokes a session that has no place and that nobody wants.
func (a *attempt) discard(s flow.Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), revokeTime)
	defer cancel()
	if err := a.Agent.Revoke(ctx, s); err != nil {
		a.warn("A session that is not wanted could not be ended: %s. End it in the account page%s.", err, deviceWords(s.DeviceID))
	}
}

func deviceWords(id string) string {
	if id == "" {
		return ""
	}
	return " (device " + id + ")"
}
