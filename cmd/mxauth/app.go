package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/build"
	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

// app is what every command gets: the streams, the environment and the global
// flags. Nothing in it is made before a command needs it.
type app struct {
	in, out, err *os.File
	getenv       func(string) string

	stateDir string // --state-dir
	keyFile  string // --key-file
	verbose  int    // -v

	json    bool // the command was asked for JSON: errors are JSON too
	session string
	host    string // of the server in question, for what to do next

	hushed atomic.Bool // a screen has the terminal: nothing else may write there
}

// run is the program: arguments to exit code.
func run(ctx context.Context, args []string, a *app) int {
	root := a.root(args)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if err != nil && errors.Is(err, context.Canceled) && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		a.report(err)
	}
	return exit.Code(err)
}

// root makes the command that args are for. "token" runs in every script, so the
// others are not made for it.
func (a *app) root(args []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:           "mxauth",
		Short:         "Log in to Matrix from a terminal and hand out fresh access tokens",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       build.Version(),
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return a.home(cmd) },
	}
	cmd.SetVersionTemplate("mxauth {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exit.UsageError{Err: err} })
	f := cmd.PersistentFlags()
	f.StringVar(&a.stateDir, "state-dir", "", "where sessions are listed (default: MXAUTH_STATE_DIR, or the user's state directory)")
	f.StringVar(&a.keyFile, "key-file", "", "key of the sealed file store (default: MXAUTH_KEY_FILE)")
	f.CountVarP(&a.verbose, "verbose", "v", "say on stderr what is done; twice for every request")
	if len(args) > 0 && args[0] == "token" {
		cmd.CompletionOptions.DisableDefaultCmd = true
		cmd.AddCommand(a.tokenCommand())
		return cmd
	}
	cmd.AddCommand(
		a.loginCommand(), a.tokenCommand(), a.runCommand(), a.listCommand(), a.useCommand(), a.renameCommand(),
		a.refreshCommand(), a.whoamiCommand(), a.accountCommand(), a.logoutCommand(), a.storeCommand(), a.doctorCommand(),
		a.versionCommand(), manCommand(),
	)
	return cmd
}

// usageArgs makes a usage error of what cobra says about arguments.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &exit.UsageError{Err: err}
		}
		return nil
	}
}

// store opens the sessions.
func (a *app) store() (*keystore.Keystore, error) {
	dir := a.stateDir
	if dir == "" {
		var err error
		if dir, err = keystore.DefaultDir(a.getenv); err != nil {
			return nil, &exit.UsageError{Err: err}
		}
	}
	key := a.keyFile
	if key == "" {
		key = a.getenv("MXAUTH_KEY_FILE")
	}
	o := keystore.Options{
		Dir:            dir,
		KeyFile:        key,
		KeyCommand:     a.getenv("MXAUTH_KEY_COMMAND"),
		CredentialsDir: a.getenv("CREDENTIALS_DIRECTORY"),
		Interactive:    a.attended(),
		Waiting:        func(what string) { a.say("%s", what) },
		Warn:           func(what string) { a.say("mxauth: %s.", oneLine(errors.New(what))) },
	}
	if o.Interactive {
		o.Passphrase = a.askPassphrase
	}
	return keystore.Open(o)
}

// agent makes the one HTTP client.
func (a *app) agent() *flow.Agent {
	g := &flow.Agent{HTTP: flow.NewHTTPClient(), Version: build.Version()}
	if a.verbose > 1 {
		g.Log = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return g
}

// refresh is the agent's, told to whoever wants to know (-v). The agent is made
// when it is needed: most tokens are printed without it.
func (a *app) refresh(ctx context.Context, s flow.Session) (flow.Session, error) {
	a.detail("Refreshing the token at %s.", s.Server.Name)
	return a.agent().Refresh(ctx, s)
}

// say tells the person something; a stderr that is gone is nobody to tell.
func (a *app) say(format string, args ...any) {
	if !a.hushed.Load() {
		_, _ = fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// hush keeps everything but a screen from the terminal, until speak is called.
func (a *app) hush() (speak func()) {
	a.hushed.Store(true)
	return func() { a.hushed.Store(false) }
}

// detail is say for -v.
func (a *app) detail(format string, args ...any) {
	if a.verbose > 0 {
		a.say(format, args...)
	}
}

// print writes a result to stdout, whole or with an error.
func (a *app) print(s string) error {
	if _, err := a.out.WriteString(s); err != nil {
		return fmt.Errorf("%w: %w", exit.ErrOutput, err)
	}
	return nil
}

// pick finds the session that a command is about: by name, by MXAUTH_SESSION,
// by "use", or the only one.
func (a *app) pick(k *keystore.Keystore, args []string) (keystore.Entry, error) {
	name := a.getenv("MXAUTH_SESSION")
	if len(args) > 0 {
		name = args[0]
	}
	var e keystore.Entry
	var err error
	if name != "" {
		a.session = name
		e, err = k.Find(name)
	} else {
		e, err = k.Default()
	}
	if err != nil {
		return e, err
	}
	a.session, a.host = e.Name, loginTarget(e)
	return e, nil
}

// sessionNames completes the names of sessions.
func (a *app) sessionNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	k, err := a.store()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	entries, err := k.Entries()
	if err != nil && len(entries) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, e := range entries {
		if !e.Pending {
			names = append(names, e.Name+"\t"+strings.TrimSpace(e.Server))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
