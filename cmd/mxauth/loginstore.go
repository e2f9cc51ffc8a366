package main

import (
	"context"
	"io"
	"strings"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/keystore"
)

// prepareStore chooses where the tokens go (flag, environment, keyring) and gets
// what that store needs, before a screen takes the terminal. Where nobody chose
// and the keyring cannot be used, a person is asked; never is another store taken
// silently.
func (a *app) prepareStore(ctx context.Context, k *keystore.Keystore, o loginOptions) (keystore.Kind, error) {
	chosen := o.store
	if chosen == "" {
		chosen = a.getenv("MXAUTH_STORE")
	}
	if chosen != "" {
		kind, err := keystore.ParseKind(chosen)
		if err != nil {
			return "", &exit.UsageError{Err: err}
		}
		return kind, k.Prepare(ctx, kind)
	}
	err := k.Prepare(ctx, keystore.KindKeyring)
	if err == nil || o.json || !a.attended() || ctx.Err() != nil {
		return keystore.KindKeyring, err
	}
	kind, err := a.askStore(err)
	if err != nil {
		return "", err
	}
	return kind, k.Prepare(ctx, kind)
}

// askStore offers the other stores to a person whose keyring cannot be used.
func (a *app) askStore(problem error) (keystore.Kind, error) {
	a.say("%s.", upper(problem.Error()))
	a.say("Where shall the tokens be kept?\n  1  in a file sealed with a passphrase or --key-file\n  2  in a plain file that only you can read\n  q  nowhere: stop here")
	for {
		_, _ = io.WriteString(a.err, "1, 2 or q: ")
		line, err := readLine(a.in)
		switch strings.TrimSpace(line) {
		case "1":
			return keystore.KindFile, nil
		case "2":
			return keystore.KindPlaintext, nil
		case "q":
			return "", problem
		}
		if err != nil {
			return "", problem
		}
	}
}

// readLine reads up to a newline, byte by byte, so that nothing after it is
// taken from whoever reads stdin next.
func readLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := r.Read(b)
		if n > 0 && b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[:n]...)
		if err != nil || len(line) > 4096 {
			return string(line), err
		}
	}
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
