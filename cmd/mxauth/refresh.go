package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

func (a *app) refreshCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "refresh [NAME]",
		Short: "Rotate the tokens now, for servers that end idle sessions",
		Long: "Rotates the tokens of one session, or of --all. The access token before dies\n" +
			"with it: whoever still uses it must ask again.",
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.sessionNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := a.store()
			if err != nil {
				return err
			}
			if all {
				return a.refreshAll(cmd.Context(), k)
			}
			e, err := a.pick(k, args)
			if err != nil {
				return err
			}
			return a.refreshOne(cmd.Context(), k, e)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every session that is not ended")
	return cmd
}

func (a *app) refreshOne(ctx context.Context, k *keystore.Keystore, e keystore.Entry) error {
	_, err := k.Update(ctx, e, a.refresh)
	if err == nil {
		a.say("Refreshed %s.", e.Name)
	}
	return err
}

// refreshAll goes on after a failure, tells each, and returns the first.
func (a *app) refreshAll(ctx context.Context, k *keystore.Keystore) error {
	entries, first := k.Entries()
	if len(entries) == 0 && first == nil {
		return keystore.ErrNotFound
	}
	for _, e := range entries {
		if e.Pending || e.Ended != nil || ctx.Err() != nil {
			continue
		}
		a.session, a.host = e.Name, loginTarget(e)
		if err := a.refreshOne(ctx, k, e); err != nil {
			if first == nil {
				first = err
				continue
			}
			a.report(err)
		}
	}
	return errors.Join(first, ctx.Err())
}

func (a *app) whoamiCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "whoami [NAME]",
		Short:             "Ask the server whose session this is",
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.sessionNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.json = asJSON
			return a.whoami(cmd.Context(), args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "an object with user_id and device_id")
	return cmd
}

func (a *app) whoami(ctx context.Context, args []string, asJSON bool) error {
	k, err := a.store()
	if err != nil {
		return err
	}
	e, err := a.pick(k, args)
	if err != nil {
		return err
	}
	s, err := a.fresh(ctx, k, e, need{ttl: 5 * time.Second})
	if err != nil {
		return err
	}
	who, err := a.agent().WhoAmI(ctx, s)
	if flow.KindOf(err) == flow.KindEnded {
		// The token may have been revoked behind our back: one refresh tells.
		if s, err = k.Update(ctx, e, a.refresh); err == nil {
			who, err = a.agent().WhoAmI(ctx, s)
		}
	}
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(struct {
			UserID   string `json:"user_id"`
			DeviceID string `json:"device_id,omitempty"`
			Username string `json:"username,omitempty"`
		}{who.UserID, who.DeviceID, who.Name})
	}
	return a.print(who.UserID + "\n")
}
