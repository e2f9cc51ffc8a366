package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

// failure is an error in JSON, on stderr. Its members are an interface.
type failure struct {
	Error     string `json:"error"`
	Code      string `json:"code"`
	Exit      int    `json:"exit"`
	Retryable bool   `json:"retryable"`
	Host      string `json:"host,omitempty"`
	Hint      string `json:"hint,omitempty"`
}

// report writes the error: what happened, and what to do next.
func (a *app) report(err error) {
	code := exit.Code(err)
	var signal *exit.SignalError
	var status *exit.StatusError
	if errors.As(err, &signal) || errors.As(err, &status) {
		return // whoever sent it knows, or the command told
	}
	hint := a.advice(err)
	if !a.json {
		var told *toldError
		if !errors.As(err, &told) {
			a.say("mxauth: %s.", oneLine(err))
		}
		if hint != "" {
			a.say("%s", hint)
		}
		return
	}
	f := failure{Error: oneLine(err), Code: codeName(err, code), Exit: code, Retryable: exit.Retryable(code), Hint: hint}
	var server *flow.Error
	if errors.As(err, &server) {
		f.Host = server.Host
	}
	line, jsonErr := json.Marshal(f)
	if jsonErr != nil {
		line = []byte(err.Error())
	}
	a.say("%s", line)
}

func codeName(err error, code int) string {
	var server *flow.Error
	if errors.As(err, &server) {
		if server.Code != "" {
			return server.Code
		}
		return server.Kind.String()
	}
	names := map[int]string{exit.Usage: "usage", exit.Denied: "denied", exit.Ended: "ended", exit.Temporary: "temporary",
		exit.Refused: "refused", exit.Store: "store", exit.Busy: "busy"}
	if n, ok := names[code]; ok {
		return n
	}
	return "bug"
}

// advice says whether the login is kept and what to do, in one line.
func (a *app) advice(err error) string {
	var many *keystore.AmbiguousError
	var scope *noScopeError
	var unoffered *unofferedError
	var store *keystore.Error
	var server *flow.Error
	switch {
	case errors.As(err, &many):
		return "Name one, or set MXAUTH_SESSION, or pick one for good: mxauth use NAME"
	case errors.As(err, &scope):
		return "Make one: mxauth login SERVER --name NAME --scope " + strings.Join(quoteAll(scope.words), " --scope ")
	case errors.As(err, &unoffered):
		return unofferedAdvice(unoffered)
	case errors.Is(err, keystore.ErrNotFound):
		return "Log in: mxauth login SERVER" + a.withName()
	case errors.Is(err, keystore.ErrEnded):
		return "Log in again: mxauth login " + a.server() + a.withName()
	case errors.As(err, &store):
		return a.storeAdvice(store)
	case errors.As(err, &server):
		return a.serverAdvice(server)
	}
	if errors.Is(err, exit.ErrOutput) {
		return "Your login is kept."
	}
	switch exit.Code(err) {
	case exit.Usage:
		return "Help: mxauth --help"
	case exit.Busy:
		return "Your login is kept. Try again."
	}
	return ""
}

func unofferedAdvice(e *unofferedError) string {
	if len(e.offered) == 0 {
		return "Nothing was changed. Its website may have one."
	}
	return "Nothing was changed. It offers: " + strings.Join(e.offered, ", ")
}

func (a *app) server() string {
	if a.host != "" {
		return a.host
	}
	return "SERVER"
}

func (a *app) withName() string {
	if a.session == "" || a.session[0] == '@' {
		return ""
	}
	return " --name " + a.session
}

func (a *app) serverAdvice(e *flow.Error) string {
	kept := "Nothing was stored. "
	if a.session != "" {
		kept = "Your login is kept. "
	}
	switch e.Kind {
	case flow.KindDeclined:
		return kept + "If that was a mistake, log in again."
	case flow.KindExpired:
		return kept + "For a new code, log in again."
	case flow.KindEnded:
		if a.session == "" {
			return "Log in again."
		}
		return "Log in again: mxauth login " + a.server() + a.withName()
	case flow.KindTemporary:
		if e.RetryAfter > 0 {
			return kept + "Try again in " + e.RetryAfter.Round(time.Second).String() + "."
		}
		return kept + "Try again in a moment."
	case flow.KindUnsupported:
		if a.session != "" {
			return fmt.Sprintf("Nothing was deleted. End it in the account page, or forget it here: mxauth logout %s --local-only", a.session)
		}
		return kept
	case flow.KindUsage:
		return "No request was made."
	}
	return kept + "If it stays so, tell the server's administrator."
}

// storeAdvice says what to do about a store. Where a session is concerned, its
// tokens are where they were, and another store would not have them.
func (a *app) storeAdvice(e *keystore.Error) string {
	if a.session == "" {
		switch e.Kind {
		case keystore.Missing:
			return "Nothing was stored. Choose --store file (sealed, with --key-file PATH or a passphrase) or --store plaintext."
		case keystore.Locked:
			return "Nothing was stored. Unlock the keyring, or use --store file."
		case keystore.Frozen:
			return "Nothing was stored. Restart or unlock the keyring, or use --store file."
		case keystore.NoKey:
			return "Nothing was stored. Give the key with --key-file or MXAUTH_KEY_FILE."
		case keystore.Full:
			return "Nothing was stored. Make room, then try again."
		}
		return "Nothing was stored. See: mxauth doctor"
	}
	switch e.Kind {
	case keystore.Missing:
		return "Your login is kept where it was. Start the keyring it lies in, or log in again: mxauth login " + a.server() + a.withName()
	case keystore.Locked:
		return "Your login is kept. Unlock the keyring, then try again."
	case keystore.Frozen:
		return "Your login is kept. Restart or unlock the keyring, then try again."
	case keystore.NoKey:
		return "Your login is kept. Give the key with --key-file or MXAUTH_KEY_FILE."
	case keystore.Full:
		return "Your login is kept. Make room, then try again."
	}
	return "Your login is kept. See: mxauth doctor"
}

func quoteAll(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w
		if strings.ContainsAny(w, " *'\"$`\\&|;<>()?[]#~") { // it is pasted into a shell
			out[i] = shellQuote(w)
		}
	}
	return out
}

// oneLine joins several errors, which errors.Join puts one under the other.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
