package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

type runOptions struct {
	need
	scope []string
}

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [NAME] -- COMMAND [ARGUMENT...]",
		Short: "Run a command with the session in its environment",
		Long: "Runs a command with MATRIX_HOMESERVER, MATRIX_USER_ID, MATRIX_DEVICE_ID and\n" +
			"MATRIX_ACCESS_TOKEN in its environment. It gets stdin, stdout, stderr and the\n" +
			"signals, and its exit code is mxauth's (128+n if signal n ended it). No shell\n" +
			"stands between.\n\n" +
			"A command gets one token and no other: one that runs for longer than that\n" +
			"lives is told of. --min-ttl asks for a token that lasts, within what the\n" +
			"server gives; see token --follow for what runs for hours.",
		Example: "  mxauth run bot -- python3 report.py\n" +
			"  mxauth run bot --min-ttl 4m -- ./backup --all",
		ValidArgsFunction: a.sessionNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			switch {
			case dash < 0 || dash == len(args):
				return exit.Usagef("which command? mxauth run [NAME] -- COMMAND")
			case dash > 1:
				return exit.Usagef("run takes one name before --")
			}
			o.exact = cmd.Flags().Changed("min-ttl")
			return a.runWith(cmd.Context(), args[:dash], args[dash:], o)
		},
	}
	o.flag(cmd.Flags())
	cmd.Flags().StringArrayVar(&o.scope, "scope", nil, "take the session with exactly this scope; repeatable")
	return cmd
}

// runWith gets the token, runs the command to its end, and returns how it ended.
func (a *app) runWith(ctx context.Context, args, command []string, o runOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	program, err := exec.LookPath(command[0]) // before a refresh that a typing error would waste
	if err != nil {
		return exit.Usagef("cannot run %q: %w", flow.Clean(command[0], 100), bareLookup(err))
	}
	k, err := a.store()
	if err != nil {
		return err
	}
	e, err := a.choose(k, args, o.scope)
	if err != nil {
		return err
	}
	s, err := a.fresh(ctx, k, e, o.need)
	if err != nil {
		return err
	}
	h, err := handoutOf(s)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	cmd := exec.Command(program, command[1:]...) // #nosec G204 -- what the user asked for; it gets the signals, and ends by itself
	cmd.Args[0] = command[0]
	cmd.Env = append(withoutSession(os.Environ()), assignments(h)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out, a.err
	return a.watch(cmd, k, e, s)
}

// watch runs the command and tells whether its token lasted.
func (a *app) watch(cmd *exec.Cmd, k *keystore.Keystore, e keystore.Entry, s flow.Session) error {
	signals := catchSignals()
	defer signals.stop()
	if err := cmd.Start(); err != nil {
		return exit.Usagef("cannot run %q: %w", flow.Clean(cmd.Args[0], 100), bareLookup(err))
	}
	signals.passTo(cmd.Process)
	outlived := a.tellAt(s, cmd.Args[0])
	err := cmd.Wait()
	if !outlived() {
		a.tellReplaced(k, e, s, cmd.Args[0])
	}
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return err
	}
	return childStatus(cmd.ProcessState)
}

// tellAt tells when the token runs out while the command is running. The returned
// function ends that, and reports whether it was told.
func (a *app) tellAt(s flow.Session, command string) (told func() bool) {
	if s.Expiry.IsZero() {
		return func() bool { return false }
	}
	t := time.AfterFunc(time.Until(s.Expiry), func() {
		a.say("mxauth: the token of %s has run out, and a running command gets no other. For what runs this long: mxauth token --follow.", flow.Clean(command, 100))
	})
	return func() bool { return !t.Stop() }
}

// tellReplaced tells, after the command, that its token died before its time:
// another process has refreshed the session meanwhile. What cannot be read then
// is no concern of the command's.
func (a *app) tellReplaced(k *keystore.Keystore, e keystore.Entry, s flow.Session, command string) {
	now, err := k.Find(e.Name)
	switch {
	case err != nil:
		return
	case now.Ended != nil:
		a.say("mxauth: the session %s ended while %s ran.", e.Name, flow.Clean(command, 100))
		return
	case now.Updated.Equal(e.Updated), now.Expiry.Equal(s.Expiry): // the second: it was we who refreshed
		return
	}
	a.say("mxauth: another process refreshed %s while %s ran, and with that its token was dead. Give each consumer a session of its own: mxauth login %s --name NAME",
		e.Name, flow.Clean(command, 100), loginTarget(e))
}

// childStatus is how the command ended, as mxauth ends.
func childStatus(p *os.ProcessState) error {
	if p.Success() {
		return nil
	}
	if n := signalOf(p); n > 0 {
		return &exit.StatusError{Code: 128 + n}
	}
	return &exit.StatusError{Code: p.ExitCode()}
}

// bareLookup drops the name that the error repeats.
func bareLookup(err error) error {
	var lookup *exec.Error
	var path *os.PathError
	switch {
	case errors.As(err, &lookup):
		return lookup.Err
	case errors.As(err, &path):
		return path.Err
	}
	return err
}

// assignments are the variables of a handout.
func assignments(h handout) []string {
	var set []string
	for _, v := range h.environ() {
		set = append(set, fmt.Sprintf("%s=%s", v[0], v[1]))
	}
	return set
}

// withoutSession drops what only mxauth should read, and what was said of another
// session: a command must not find one session's user beside another's token.
func withoutSession(env []string) []string {
	var out []string
	for _, v := range withoutOurs(env) {
		name, _, _ := strings.Cut(v, "=")
		if runtime.GOOS == "windows" {
			name = strings.ToUpper(name)
		}
		switch name {
		case "MATRIX_HOMESERVER", "MATRIX_USER_ID", "MATRIX_DEVICE_ID", "MATRIX_ACCESS_TOKEN":
		default:
			out = append(out, v)
		}
	}
	return out
}
