package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/cmd/internal/login"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

type tokenOptions struct {
	minTTL time.Duration
	exact  bool // --min-ttl was given: it counts beyond half of the token's life
	output string
	scope  []string
}

func (a *app) tokenCommand() *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use:   "token [NAME]",
		Short: "Print an access token, refreshed if it is about to expire",
		Long: "Prints an access token that is good for at least --min-ttl. A refresh ends the\n" +
			"token before it, so it happens only when it must. One session serves one\n" +
			"consumer: give each bot a login of its own.",
		Example: "  curl -H \"$(mxauth token -o header)\" https://matrix.example.org/_matrix/client/v3/account/whoami\n" +
			"  eval \"$(mxauth token -o env)\"",
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.sessionNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.exact = cmd.Flags().Changed("min-ttl")
			a.json = o.output == "json"
			return a.token(cmd.Context(), args, o)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.minTTL, "min-ttl", time.Minute, "least life that the token must have left (default never more than half of its life)")
	f.StringVarP(&o.output, "output", "o", "token", "token, json, env, header, or curl (a config for curl -K -)")
	f.StringArrayVar(&o.scope, "scope", nil, "take the session with exactly this scope; repeatable")
	return cmd
}

func (a *app) token(ctx context.Context, args []string, o tokenOptions) error {
	form, ok := forms()[o.output]
	if !ok {
		return exit.Usagef("no output form %q: token, json, env, header or curl", o.output)
	}
	if o.minTTL < 0 {
		return exit.Usagef("--min-ttl cannot be negative")
	}
	k, err := a.store()
	if err != nil {
		return err
	}
	var e keystore.Entry
	if len(o.scope) > 0 {
		e, err = a.pickByScope(k, args, o.scope)
	} else {
		e, err = a.pick(k, args)
	}
	if err != nil {
		return err
	}
	s, err := a.fresh(ctx, k, e, o)
	if err != nil {
		return err
	}
	return a.print(form(s))
}

// young is how old a token may be that counts as new where no token lives as long
// as --min-ttl asks: processes that start together must not end each other's.
const young = 10 * time.Second

// enough reports whether a token need not be refreshed.
func (o tokenOptions) enough(s flow.Session) bool {
	now := time.Now()
	if !o.exact {
		return s.FreshFor(now, o.minTTL)
	}
	life, age := s.Expiry.Sub(s.Issued), now.Sub(s.Issued)
	return s.Lasts(now, o.minTTL) || life < o.minTTL && age < min(young, life/2) && s.Lasts(now, 0)
}

// fresh returns a session whose token may be used. When the server cannot be
// asked for a new token and the old one still lives, that one is good enough.
func (a *app) fresh(ctx context.Context, k *keystore.Keystore, e keystore.Entry, o tokenOptions) (flow.Session, error) {
	s, err := k.Fresh(ctx, e, a.refresh, o.enough)
	if err != nil {
		if flow.KindOf(err) != flow.KindTemporary || !s.Lasts(time.Now(), 5*time.Second) {
			return s, err
		}
		a.say("mxauth: %s. The token is good for another %s.", err, time.Until(s.Expiry).Round(time.Second))
		return s, nil
	}
	if o.exact && !s.Expiry.IsZero() && !s.Lasts(time.Now(), o.minTTL) {
		a.say("mxauth: %s gives tokens for %s only.", e.Server, s.Expiry.Sub(s.Issued).Round(time.Second))
	}
	return s, nil
}

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
		a.session, a.host = fit[0].Name, fit[0].Server
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
