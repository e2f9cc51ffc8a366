package main

import (
	"context"
	"errors"
	"os"

	"golang.org/x/term"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

// isTerminal asks the kernel, not the terminal.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// attended reports whether a person can be asked something.
func (a *app) attended() bool { return isTerminal(a.in) && isTerminal(a.err) }

// askPassphrase reads the sealed file's passphrase without echo.
func (a *app) askPassphrase(ctx context.Context, confirm bool) (flow.Secret, error) {
	if a.hushed.Load() {
		return flow.Secret{}, &keystore.Error{Kind: keystore.NoKey, Store: keystore.KindFile,
			Problem: "the sealed file needs its passphrase, which cannot be asked for on this screen"}
	}
	ask := func(prompt string) (flow.Secret, error) {
		_, _ = a.err.WriteString(prompt)
		b, err := term.ReadPassword(int(a.in.Fd()))
		_, _ = a.err.WriteString("\n")
		return flow.NewSecret(string(b)), err
	}
	first, err := ask("Passphrase of the sealed file: ")
	if err != nil || !confirm {
		return first, err
	}
	second, err := ask("The same again: ")
	if err == nil && !first.Equal(second) {
		err = errors.New("the two passphrases differ")
	}
	if err == nil {
		err = ctx.Err()
	}
	return first, err
}
