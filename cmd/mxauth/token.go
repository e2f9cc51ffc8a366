package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/keystore"
)

type tokenOptions struct {
	need
	output string
	scope  []string
	follow bool
	write  string // format of the file that is written instead of stdout
}

func (a *app) tokenCommand() *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use:   "token [NAME] [--write FORMAT PATH]",
		Short: "Print an access token, refreshed if it is about to expire",
		Long: "Prints an access token that is good for at least --min-ttl. A refresh ends the\n" +
			"token before it, so it happens only when it must, and as late as --min-ttl\n" +
			"lets it. One session serves one consumer: give each bot a login of its own.\n\n" +
			"With --follow it goes on: each new token is printed when it comes. With --write\n" +
			"the token goes into a file as a program reads it, mode 0600, replaced in one\n" +
			"step; what else the file holds is kept. FORMAT is one of:\n\n" + formatHelp(),
		Example: "  curl -H \"$(mxauth token -o header)\" https://matrix.example.org/_matrix/client/v3/account/whoami\n" +
			"  eval \"$(mxauth token -o env)\"\n" +
			"  mxauth token bot --write matrix-commander ~/.config/matrix-commander/credentials.json",
		Args:              usageArgs(cobra.MaximumNArgs(2)),
		ValidArgsFunction: a.sessionNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.json = o.output == "json"
			o.exact = cmd.Flags().Changed("min-ttl")
			if o.write != "" && cmd.Flags().Changed("output") {
				return exit.Usagef("either --write or --output")
			}
			return a.token(cmd.Context(), args, o)
		},
	}
	f := cmd.Flags()
	o.flag(f)
	f.StringVarP(&o.output, "output", "o", "token", "token, json, env, header, or curl (a config for curl -K -)")
	f.StringArrayVar(&o.scope, "scope", nil, "take the session with exactly this scope; repeatable")
	f.BoolVarP(&o.follow, "follow", "f", false, "go on, and hand over each new token as it comes")
	f.StringVar(&o.write, "write", "", "write the file PATH in this FORMAT, instead of stdout")
	return cmd
}

func (a *app) token(ctx context.Context, args []string, o tokenOptions) error {
	deliver, args, err := a.delivery(args, o)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	k, err := a.store()
	if err != nil {
		return err
	}
	e, err := a.choose(k, args, o.scope)
	if err != nil {
		return err
	}
	if o.follow {
		return a.follow(ctx, k, e, o, deliver)
	}
	s, err := a.fresh(ctx, k, e, o.need)
	if err != nil {
		return err
	}
	h, err := handoutOf(s)
	if err != nil {
		return err
	}
	return deliver(h)
}

// delivery tells where tokens go: to stdout in a form, or into a file whose path
// is the last argument. It returns what is left of the arguments.
func (a *app) delivery(args []string, o tokenOptions) (func(handout) error, []string, error) {
	if o.write == "" {
		if len(args) > 1 {
			return nil, nil, exit.Usagef("token takes one name")
		}
		form, err := formNamed(o.output)
		return func(h handout) error { return a.print(form(h)) }, args, err
	}
	format, err := formatNamed(o.write)
	if err != nil {
		return nil, nil, err
	}
	if len(args) == 0 {
		return nil, nil, exit.Usagef("--write %s needs the PATH of the file", o.write)
	}
	path := args[len(args)-1]
	return func(h handout) error { return a.writeFormat(format, path, h) }, args[:len(args)-1], nil
}

// choose finds the session by its name or by its scope.
func (a *app) choose(k *keystore.Keystore, args, scope []string) (keystore.Entry, error) {
	if len(scope) > 0 {
		return a.pickByScope(k, args, scope)
	}
	return a.pick(k, args)
}
