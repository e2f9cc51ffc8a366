package main

import (
	"strings"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/cmd/internal/login"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

// pickByScope finds the one session whose scope is exactly what was asked for.
func (a *app) pickByScope(k *keystore.Keystore, args, words []string) (keystore.Entry, error) {
	want, err := flow.HomeserverScope(words, "")
	if err != nil {
		return keystore.Entry{}, err
	}
	if len(args) > 0 {
		e, err := a.pick(k, args)
		if err == nil && !login.SameScope(e.Scope, want.Scope) {
			return e, exit.Usagef("the session %s has another scope: %s", e.Name, e.Scope)
		}
		return e, err
	}
	entries, err := k.Entries()
	var fit []keystore.Entry
	for _, e := range entries {
		if !e.Pending && e.Ended == nil && login.SameScope(e.Scope, want.Scope) {
			fit = append(fit, e)
		}
	}
	switch {
	case len(fit) == 1:
		a.session, a.host = fit[0].Name, loginTarget(fit[0])
		return fit[0], nil
	case len(fit) > 1:
		many := &keystore.AmbiguousError{}
		for _, e := range fit {
			many.Names = append(many.Names, e.Name)
		}
		return keystore.Entry{}, many
	case err != nil:
		return keystore.Entry{}, err
	}
	return keystore.Entry{}, &noScopeError{words}
}

// A noScopeError says that no session has exactly this scope. It is a
// keystore.ErrNotFound.
type noScopeError struct{ words []string }

// Error names the scope.
func (e *noScopeError) Error() string {
	return "there is no session with exactly the scope " + flow.Clean(strings.Join(e.words, " "), 200)
}

// Is makes it a keystore.ErrNotFound.
func (e *noScopeError) Is(target error) bool { return target == keystore.ErrNotFound }
