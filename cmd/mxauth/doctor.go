package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

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

	err error
}

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [SERVER]",
		Short: "Check the keyring, the state directory and a server, and say what to do",
		Args:  usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.doctor(cmd.Context(), args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "an array of objects")
	return cmd
}

// doctor prints every check, and ends with the code of the first that failed.
func (a *app) doctor(ctx context.Context, args []string, asJSON bool) error {
	k, err := a.store()
	if err != nil {
		return err
	}
	checks := []check{a.checkStateDir(k), a.checkStore(ctx, k)}
	checks = append(checks, a.checkSessions(k)...)
	if len(args) > 0 {
		checks = append(checks, a.checkServer(ctx, args[0])...)
	}
	if asJSON {
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

func (a *app) checkStateDir(k *keystore.Keystore) check {
	c := check{Name: "state directory", Found: k.Dir()}
	info, err := os.Stat(k.Dir())
	switch {
	case errors.Is(err, os.ErrNotExist):
		c.OK, c.Found = true, c.Found+" (made at the first login)"
	case err != nil:
		c.err, c.Found = err, err.Error()
	case !info.IsDir():
		c.err, c.Advice = errors.New("not a directory"), "Move the file away, or set MXAUTH_STATE_DIR."
	default:
		c.OK = true
	}
	return c
}

func (a *app) checkStore(ctx context.Context, k *keystore.Keystore) check {
	kind := keystore.KindKeyring
	if name := a.getenv("MXAUTH_STORE"); name != "" {
		var err error
		if kind, err = keystore.ParseKind(name); err != nil {
			return check{Name: "store", Found: err.Error(), Advice: "Set MXAUTH_STORE to keyring, file or plaintext.", err: &exit.UsageError{Err: err}}
		}
	}
	c := check{Name: "store", OK: true, Found: kind.Words() + " is ready"}
	if err := k.Probe(ctx, kind); err != nil {
		c = check{Name: "store", Found: err.Error(), Advice: a.advice(err), err: err}
	}
	return c
}

func (a *app) checkSessions(k *keystore.Keystore) []check {
	entries, err := k.Entries()
	var out []check
	for _, e := range entries {
		switch {
		case e.Pending:
			out = append(out, check{Name: "unfinished login", OK: true, Found: e.Server + ", stored but never named",
				Advice: "It is ended at the next login."})
		case e.Ended != nil:
			out = append(out, check{Name: "session " + e.Name, Found: "ended by the server (" + e.Ended.Reason + ")",
				Advice: "Log in again: mxauth login " + e.Server, err: keystore.ErrEnded})
		default:
			out = append(out, check{Name: "session " + e.Name, OK: true, Found: "kept in " + e.Kind.Words()})
		}
	}
	if err != nil {
		out = append(out, check{Name: "session list", Found: err.Error(), err: err})
	}
	return out
}

func (a *app) checkServer(ctx context.Context, name string) []check {
	s, err := a.agent().Discover(ctx, name)
	if err != nil {
		return []check{{Name: "server " + name, Found: err.Error(), Advice: a.advice(err), err: err}}
	}
	out := []check{{Name: "server " + s.Name, OK: true, Found: fmt.Sprintf("homeserver %s, issuer %s", s.Homeserver, s.Issuer)}}
	device := check{Name: "device login", OK: true, Found: "offered"}
	if err := s.CheckDeviceLogin(false); err != nil {
		device = check{Name: "device login", Found: err.Error(), err: err}
	}
	return append(out, device)
}
