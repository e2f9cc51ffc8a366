package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/keystore"
)

// A check is one thing that doctor looked at. In JSON its members are an
// interface.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"`

	err error // why it is not OK
}

type doctorOptions struct{ json bool }

func (a *app) doctorCommand() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [SERVER]",
		Short: "Check the keyring, the state directory, the sessions and their servers, and say what to do",
		Long: "Checks the state directory, the store, every session, the proxy and authorities\n" +
			"that the environment names, and SERVER: discovery, device login, scopes and the\n" +
			"clock. Without SERVER it is the servers of the sessions. It changes nothing,\n" +
			"asks nobody, and sends no token anywhere. The exit code is that of the first\n" +
			"check that failed.",
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.json = o.json
			return a.doctor(cmd.Context(), args, o)
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "an array of objects")
	return cmd
}

// doctor prints every check, and ends with the code of the first that failed.
func (a *app) doctor(ctx context.Context, args []string, o doctorOptions) error {
	k, err := a.store()
	if err != nil {
		return err
	}
	store := a.checkStore(ctx, k)
	checks := []check{a.checkStateDir(ctx, k), store}
	entries, err := k.Entries()
	checks = append(checks, a.checkSessions(ctx, k, entries)...)
	if err != nil {
		checks = append(checks, a.failed("session list", err, "The other sessions are not harmed. Log in again for the one that is damaged."))
	}
	checks = append(checks, a.checkNetwork()...)
	checks = append(checks, a.checkServers(ctx, doctorTargets(args, entries), entries)...)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if o.json {
		err = a.printJSON(checks)
	} else {
		err = a.print(doctorText(checks))
	}
	if err != nil {
		return err
	}
	for _, c := range checks {
		if !c.OK {
			return &unwellError{c}
		}
	}
	return nil
}

// failed is a check that failed, with one line of advice.
func (a *app) failed(name string, err error, advice string) check {
	if advice == "" {
		advice = "Run it again with -vv, and report what it says."
	}
	return check{Name: name, Found: oneLine(err), Advice: advice, err: err}
}

// An unwellError carries the first failed check, for its exit code.
type unwellError struct{ check }

// Error names the check.
func (e *unwellError) Error() string { return e.Name + " is not in order" }

// Unwrap returns the reason.
func (e *unwellError) Unwrap() error { return e.err }

func doctorText(checks []check) string {
	var b strings.Builder
	for _, c := range checks {
		mark := "ok"
		if !c.OK {
			mark = "!!"
		}
		b.WriteString("[" + mark + "] " + c.Name + ": " + c.Found + "\n")
		if c.Advice != "" {
			b.WriteString("     " + c.Advice + "\n")
		}
	}
	return b.String()
}

// checkStateDir looks whether the directory is there, ours, and can be written.
func (a *app) checkStateDir(ctx context.Context, k *keystore.Keystore) check {
	const name = "state directory"
	if _, err := os.Stat(k.Dir()); errors.Is(err, os.ErrNotExist) {
		return check{Name: name, OK: true, Found: k.Dir() + " (made at the first login)"}
	}
	if err := k.Probe(ctx, keystore.KindPlaintext); err != nil { // plain files need the directory and nothing else
		return a.failed(name, err, "Give it back to the user that mxauth runs as, mode 0700, or set MXAUTH_STATE_DIR.")
	}
	return check{Name: name, OK: true, Found: k.Dir()}
}

// checkStore looks at the store that a login would use.
func (a *app) checkStore(ctx context.Context, k *keystore.Keystore) check {
	kind := keystore.KindKeyring
	if name := a.getenv("MXAUTH_STORE"); name != "" {
		var err error
		if kind, err = keystore.ParseKind(name); err != nil {
			return a.failed("store", &exit.UsageError{Err: err}, "Set MXAUTH_STORE to keyring, file or plaintext.")
		}
	}
	if err := k.Probe(ctx, kind); err != nil {
		return a.failed("store", err, a.advice(err))
	}
	found := kind.Words() + " is ready"
	if source := k.KeySource(); kind == keystore.KindFile && source != keystore.NoKeySource {
		found += ", its key comes from the " + string(source)
	}
	return check{Name: "store", OK: true, Found: found}
}

// checkSessions looks whether each session is alive, as far as that is known
// here, and whether its tokens can be read.
func (a *app) checkSessions(ctx context.Context, k *keystore.Keystore, entries []keystore.Entry) []check {
	defer a.hush()() // nobody is asked for a passphrase
	keyring := error(nil)
	if usesKeyring(entries) {
		keyring = k.Probe(ctx, keystore.KindKeyring) // nobody is asked to unlock it either
	}
	var out []check
	for _, e := range entries {
		name := "session " + e.Name
		switch {
		case e.Pending:
			out = append(out, check{Name: "unfinished login", OK: true, Found: e.Server + ", stored but never named", Advice: "It is ended at the next login."})
		case e.Ended != nil:
			out = append(out, check{Name: name, Found: "ended (" + e.Ended.Reason + ")", Advice: "Log in again: mxauth login " + loginTarget(e) + " --name " + shellQuote(e.Name), err: keystore.ErrEnded})
		case e.Kind == keystore.KindKeyring && keyring != nil:
			out = append(out, a.failed(name, keyring, a.advice(keyring)))
		default:
			out = append(out, a.checkTokens(ctx, k, e))
		}
	}
	return out
}

func usesKeyring(entries []keystore.Entry) bool {
	for _, e := range entries {
		if e.Kind == keystore.KindKeyring && !e.Pending && e.Ended == nil {
			return true
		}
	}
	return false
}

// checkTokens reads a session. One that only a passphrase opens is left closed.
func (a *app) checkTokens(ctx context.Context, k *keystore.Keystore, e keystore.Entry) check {
	name, where := "session "+e.Name, "kept in "+e.Kind.Words()
	if e.Also != "" {
		err := &keystore.Error{Kind: keystore.Broken, Store: e.Also, Problem: "a move was interrupted, and a copy may lie in " + e.Also.Words()}
		return a.failed(name, err, "Move it again: mxauth store move "+shellQuote(e.Name)+" "+string(e.Kind))
	}
	if e.Kind == keystore.KindFile && k.KeySource() == keystore.KeyFromPassphrase {
		return check{Name: name, OK: true, Found: where + ", not opened: it needs a passphrase"}
	}
	s, err := k.Get(ctx, e)
	if err != nil {
		return a.failed(name, err, a.advice(err))
	}
	found := where
	switch {
	case s.Expiry.IsZero():
	case s.Lasts(time.Now(), 0):
		found += ", token good until " + clockTime(s.Expiry)
	default:
		found += ", its next token is due"
	}
	return check{Name: name, OK: true, Found: found}
}
