package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
	"github.com/mxauth/mxauth/tui"
)

// home is "mxauth" alone: the sessions screen on a terminal, help elsewhere.
func (a *app) home(cmd *cobra.Command) error {
	if !tui.Usable(a.in, a.err, nil) {
		return cmd.Help()
	}
	k, err := a.store()
	if err != nil {
		return err
	}
	o := tui.SessionsOptions{Input: a.in, Output: a.err, Actions: &sessionActions{a, k}, OpenURL: a.opener()}
	for {
		speak := a.hush()
		r, err := tui.Sessions(cmd.Context(), o)
		speak()
		if err != nil || !r.Login {
			return err
		}
		o.Selected = r.Selected
		o.Note, err = a.loginFromHome(cmd.Context(), k, r.Again.ID)
		if err != nil {
			return err
		}
	}
}

// loginFromHome runs a login between two looks at the sessions, and says in a
// sentence what came of it. An error ends the program.
func (a *app) loginFromHome(ctx context.Context, k *keystore.Keystore, again string) (string, error) {
	var o loginOptions
	if again != "" {
		e, err := entryByID(k, again)
		if err != nil {
			return upper(err.Error()) + ".", nil
		}
		o = sameLogin(e)
	}
	l, err := a.readyLogin(ctx, o, true)
	if err == nil {
		err = a.loginScreen(ctx, l, o)
	}
	var signal *exit.SignalError
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.As(err, &signal): // the person left the login, not the sessions
		return "", nil
	case err != nil:
		return upper(oneLine(err)) + ".", nil
	}
	return "", nil
}

// sameLogin asks for a session like an older one, under its name.
func sameLogin(e keystore.Entry) loginOptions {
	o := loginOptions{server: loginTarget(e), store: string(e.Kind), scope: scopeWords(e.Scope)}
	if e.Homeserver == "" {
		o.server, o.issuer = "", e.Issuer
	}
	if e.Name != e.UserID {
		o.name = e.Name
	}
	return o
}

// loginTarget is what to give to login for the server of a session. A server
// without TLS, on this machine, is found by its address only.
func loginTarget(e keystore.Entry) string {
	switch {
	case e.Homeserver == "" && e.Issuer != "":
		return "--issuer " + shellWord(e.Issuer)
	case strings.HasPrefix(e.Homeserver, "http://"):
		return e.Homeserver
	}
	return e.Server
}

// scopeWords are the words that ask for a scope again, with a fresh device.
func scopeWords(scope string) []string {
	var api, device bool
	var words []string
	for _, w := range strings.Fields(scope) {
		switch {
		case w == flow.ScopeAPI:
			api = true
		case strings.HasPrefix(w, flow.ScopeDevice):
			device = true
		default:
			words = append(words, w)
		}
	}
	switch {
	case device:
		words = append(words, "matrix")
	case api:
		words = append(words, flow.ScopeAPI)
	}
	return words
}

// sessionActions is what the sessions screen works on.
type sessionActions struct {
	app   *app
	store *keystore.Keystore
}

func (s *sessionActions) List(context.Context) ([]tui.SessionRow, error) {
	entries, err := s.store.Entries()
	chosen, _ := s.store.Default() // none, or several, is no error here
	var rows []tui.SessionRow
	for _, e := range entries {
		if e.Pending {
			continue
		}
		row := tui.SessionRow{ID: e.ID, Name: e.Name, UserID: e.UserID, Server: e.Server, DeviceID: e.DeviceID, Scope: e.Scope,
			Store: e.Kind.Words(), Created: e.Created, Updated: e.Updated, Expiry: e.Expiry, Default: e.ID == chosen.ID}
		if e.Ended != nil {
			row.Ended, row.EndedAt = e.Ended.Reason, e.Ended.At
		}
		rows = append(rows, row)
	}
	return rows, err
}

func (s *sessionActions) Use(ctx context.Context, id string) error {
	e, err := entryByID(s.store, id)
	if err != nil {
		return err
	}
	return s.store.Use(ctx, e.Name)
}

func (s *sessionActions) Refresh(ctx context.Context, id string) error {
	e, err := entryByID(s.store, id)
	if err == nil {
		_, err = s.store.Update(ctx, e, s.app.agent().Refresh)
	}
	return s.advised(e, err)
}

func (s *sessionActions) Logout(ctx context.Context, id string) error {
	e, err := entryByID(s.store, id)
	if err == nil {
		err = s.app.end(ctx, s.store, e)
	}
	return s.advised(e, err)
}

// AccountLink leads to the device where the server has a page for that, else to
// the account page itself.
func (s *sessionActions) AccountLink(ctx context.Context, id string) (string, error) {
	e, err := entryByID(s.store, id)
	if err != nil {
		return "", err
	}
	server, err := s.app.accountServer(ctx, s.store, e)
	if err != nil {
		return "", s.advised(e, err)
	}
	links := accountLinks(server, e.DeviceID)
	if link := cmp.Or(links["device"], server.Account); link != "" {
		return link, nil
	}
	return "", newUnoffered(e.Server, action{}, links)
}

// advised adds to an error what the command line would say under it.
func (s *sessionActions) advised(e keystore.Entry, err error) error {
	if err == nil {
		return nil
	}
	about := app{session: e.Name, host: loginTarget(e)}
	if hint := about.advice(err); hint != "" {
		return fmt.Errorf("%w. %s", err, strings.TrimSuffix(hint, "."))
	}
	return err
}

// entryByID finds a session whose name may have changed.
func entryByID(k *keystore.Keystore, id string) (keystore.Entry, error) {
	entries, err := k.Entries()
	for _, e := range entries {
		if e.ID == id {
			return e, nil
		}
	}
	return keystore.Entry{}, errors.Join(&keystore.NotFoundError{}, err)
}
