package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

type logoutOptions struct{ all, localOnly bool }

func (a *app) logoutCommand() *cobra.Command {
	var o logoutOptions
	cmd := &cobra.Command{
		Use:   "logout [NAME]",
		Short: "End a session at the server, then forget it",
		Long: "Ends the session at the server, makes sure that it is dead, and forgets it.\n" +
			"Where that cannot be shown, nothing is deleted.",
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.sessionNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.all && len(args) > 0 {
				return exit.Usagef("either a name or --all")
			}
			return a.logout(cmd.Context(), args, o)
		},
	}
	cmd.Flags().BoolVar(&o.all, "all", false, "every session")
	cmd.Flags().BoolVar(&o.localOnly, "local-only", false, "forget it here; the server is not told")
	return cmd
}

func (a *app) logout(ctx context.Context, args []string, o logoutOptions) error {
	k, err := a.store()
	if err != nil {
		return err
	}
	if !o.all {
		e, err := a.pick(k, args)
		if err != nil {
			return err
		}
		return a.logoutOne(ctx, k, e, o)
	}
	entries, first := k.Entries()
	for _, e := range entries {
		a.session, a.host = e.Name, loginTarget(e)
		if err := a.logoutOne(ctx, k, e, o); err != nil {
			if first == nil {
				first = err
				continue
			}
			a.report(err)
		}
	}
	if len(entries) == 0 && first == nil {
		a.say("No sessions.")
	}
	return first
}

func (a *app) logoutOne(ctx context.Context, k *keystore.Keystore, e keystore.Entry, o logoutOptions) error {
	name := e.Name
	if e.Pending {
		name = "an unfinished login at " + e.Server
	}
	if o.localOnly {
		if err := k.Remove(ctx, e, nil); err != nil {
			return err
		}
		if e.Ended == nil {
			a.say("Forgot %s. The server was not told: the session may live on there.", name)
		} else {
			a.say("Forgot %s, which the server had ended.", name)
		}
		return nil
	}
	if err := a.end(ctx, k, e); err != nil {
		return err
	}
	a.say("Logged out %s.", name)
	return nil
}

// end ends a session at its server, then forgets it.
func (a *app) end(ctx context.Context, k *keystore.Keystore, e keystore.Entry) error {
	err := k.Remove(ctx, e, a.agent().Revoke)
	if err != nil && flow.KindOf(err) == flow.KindUnsupported {
		return &endlessError{err, e.Name}
	}
	return err
}

// An endlessError says that a server offers no way to end the session of this
// name from here.
type endlessError struct {
	error
	name string
}

// Unwrap returns what flow said.
func (e *endlessError) Unwrap() error { return e.error }
