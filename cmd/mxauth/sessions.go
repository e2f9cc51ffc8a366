package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/login"
	"github.com/mxauth/mxauth/keystore"
)

// sessionJSON is one object of "list --json". Its members are an interface.
type sessionJSON struct {
	Name       string     `json:"name"`
	Server     string     `json:"server"`
	Homeserver string     `json:"homeserver,omitempty"`
	Issuer     string     `json:"issuer"`
	UserID     string     `json:"user_id,omitempty"`
	DeviceID   string     `json:"device_id,omitempty"`
	Scope      string     `json:"scope"`
	Store      string     `json:"store"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	Default    bool       `json:"default"`
	Ended      string     `json:"ended,omitempty"`
}

func (a *app) listCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the sessions; unlocks nothing and asks no server",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			a.json = asJSON
			return a.list(asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "an array of objects")
	return cmd
}

func (a *app) list(asJSON bool) error {
	k, err := a.store()
	if err != nil {
		return err
	}
	entries, err := k.Entries()
	if err != nil && len(entries) == 0 {
		return err
	}
	if err != nil { // one damaged entry does not hide the others
		a.say("mxauth: %s.", err)
	}
	chosen, _ := k.Default() // none, or several, is no error here
	var rows []sessionJSON
	for _, e := range entries {
		if !e.Pending {
			rows = append(rows, row(e, e.ID == chosen.ID))
		}
	}
	if asJSON {
		return a.printJSON(append([]sessionJSON{}, rows...))
	}
	if len(rows) == 0 {
		a.say("No sessions. Log in: mxauth login SERVER")
		return nil
	}
	return a.print(table(rows))
}

func row(e keystore.Entry, chosen bool) sessionJSON {
	r := sessionJSON{Name: e.Name, Server: e.Server, Homeserver: e.Homeserver, Issuer: e.Issuer, UserID: e.UserID,
		DeviceID: e.DeviceID, Scope: e.Scope, Store: string(e.Kind), Default: chosen}
	if !e.Expiry.IsZero() {
		at := e.Expiry.UTC()
		r.ExpiresAt = &at
	}
	if e.Ended != nil {
		r.Ended = e.Ended.Reason
	}
	return r
}

func table(rows []sessionJSON) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tSERVER\tUSER\tDEVICE\tTOKEN\tSTORE") // a Builder takes everything
	for _, r := range rows {
		name := r.Name
		if r.Default {
			name += " *"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", name, r.Server, dash(r.UserID), dash(r.DeviceID), tokenState(r), r.Store)
	}
	_ = w.Flush()
	return b.String()
}

func tokenState(r sessionJSON) string {
	switch {
	case r.Ended != "":
		return "LOGGED OUT"
	case r.ExpiresAt == nil:
		return "-"
	}
	left := time.Until(*r.ExpiresAt)
	switch {
	case left <= 0:
		return "due"
	case left < 2*time.Minute:
		return fmt.Sprintf("%d s", int(left.Seconds()))
	case left < 2*time.Hour:
		return fmt.Sprintf("%d min", int(left.Minutes()))
	}
	return fmt.Sprintf("%d h", int(left.Hours()))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) printJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return a.print(string(b) + "\n")
}

func (a *app) useCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Make a session the one that is meant when none is named",
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: a.sessionNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := a.store()
			if err != nil {
				return err
			}
			a.session = args[0]
			if err := k.Use(cmd.Context(), args[0]); err != nil {
				return err
			}
			a.say("%s is now the default.", args[0])
			return nil
		},
	}
}

func (a *app) renameCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "rename OLD NEW",
		Short:             "Give a session another name",
		Args:              usageArgs(cobra.ExactArgs(2)),
		ValidArgsFunction: a.sessionNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := a.store()
			if err != nil {
				return err
			}
			if err := login.CheckName(args[1]); err != nil {
				return err
			}
			if err := k.Rename(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			a.say("%s is now called %s.", args[0], args[1])
			return nil
		},
	}
}
