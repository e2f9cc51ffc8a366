package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/keystore"
)

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Move a session to another store, or give the sealed files a new key",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.storeMoveCommand(), a.storeRekeyCommand())
	return cmd
}

func (a *app) storeMoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "move NAME STORE",
		Short: "Move a session to another store: keyring, file (sealed) or plaintext",
		Long: "Copies the tokens to the other store, reads them back, and only then empties the\n" +
			"old place. The server is not asked, the session stays what it is, and whoever\n" +
			"uses it meanwhile finds it. Interrupted, it is run again.",
		Example: "  mxauth store move bot file --key-file ~/.config/mxauth.key",
		Args:    usageArgs(cobra.ExactArgs(2)),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return []string{"keyring", "file", "plaintext"}, cobra.ShellCompDirectiveNoFileComp
			}
			return a.sessionNames(cmd, args, typed)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.storeMove(cmd.Context(), args[0], args[1]) },
	}
}

func (a *app) storeMove(ctx context.Context, name, store string) error {
	to, err := keystore.ParseKind(store)
	if err != nil {
		return &exit.UsageError{Err: err}
	}
	k, err := a.store()
	if err != nil {
		return err
	}
	e, err := a.pick(k, []string{name})
	if err != nil {
		return err
	}
	if err := k.Prepare(ctx, to); err != nil { // the key of the sealed files may have to be made
		return err
	}
	now, err := k.Move(ctx, e, to)
	switch {
	case err != nil && now.Kind == to && e.Kind != to:
		a.say("The tokens of %s are in %s now, but a copy is left in %s. Run it again to remove that.", e.Name, to.Words(), e.Kind.Words())
		return err
	case err != nil:
		return err
	case e.Kind == to:
		a.say("%s is in %s already.", e.Name, to.Words())
		return nil
	}
	a.say("%s is in %s now, and not in %s any more.", e.Name, to.Words(), e.Kind.Words())
	return nil
}

type rekeyOptions struct {
	file       string
	passphrase bool
}

func (a *app) storeRekeyCommand() *cobra.Command {
	var o rekeyOptions
	cmd := &cobra.Command{
		Use:   "rekey",
		Short: "Give the sealed files a new key",
		Long: "Makes a new key and seals every sealed file with it. Without an option the new\n" +
			"key takes the place of the old one, in the key file or under a new passphrase.\n" +
			"The place of the new key opens everything at every moment: interrupted, it is\n" +
			"run again with that place. What the old key sealed elsewhere, in a backup say,\n" +
			"it goes on opening.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.storeRekey(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "new-key-file", "", "put the new key into this file")
	f.BoolVar(&o.passphrase, "passphrase", false, "put the new key under a passphrase")
	return cmd
}

func (a *app) storeRekey(ctx context.Context, o rekeyOptions) error {
	if o.file != "" && o.passphrase {
		return exit.Usagef("either --new-key-file or --passphrase")
	}
	k, err := a.store()
	if err != nil {
		return err
	}
	source := k.KeySource()
	outside := source == keystore.KeyFromCommand || source == keystore.KeyFromCredential
	switch {
	case o.file == "" && !o.passphrase && outside:
		return exit.Usagef("the key comes from a %s, which mxauth cannot change: give --new-key-file or --passphrase", source)
	case o.passphrase && !a.attended():
		return exit.Usagef("--passphrase needs a terminal, where it can be typed")
	case o.file != "":
		if o.file, err = filepath.Abs(o.file); err != nil {
			return &exit.UsageError{Err: err}
		}
		a.say("The new key goes into %s. From now on it is the one to give.", o.file)
	}
	n, err := k.Rekey(ctx, keystore.NewKey{File: o.file, Passphrase: o.passphrase})
	if err != nil {
		return err
	}
	a.say("Sealed files with a new key: %d.", n)
	a.sayKeyPlace(o, source)
	return nil
}

// sayKeyPlace says what has to be told to mxauth from now on, where that is not
// what it was before.
func (a *app) sayKeyPlace(o rekeyOptions, before keystore.KeySource) {
	switch {
	case o.file != "":
		a.say("Give the key with --key-file %s or MXAUTH_KEY_FILE. The former key is of no use here any more.", shellQuote(o.file))
	case o.passphrase && before != keystore.KeyFromPassphrase:
		a.say("The key is under the passphrase now. Take away MXAUTH_KEY_FILE, MXAUTH_KEY_COMMAND or the credential: they would be asked first.")
	}
}
