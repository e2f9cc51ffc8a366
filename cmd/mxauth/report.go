package main

import (
	"encoding/json"
	"errors"
	"runtime"
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
	var endless *endlessError
	var unoffered *unofferedError
	var closed *flow.ClosedError
	var unheard *flow.UnheardError
	var store *keystore.Error
	var server *flow.Error
	switch {
	case errors.As(err, &many):
		return "Name one, or set MXAUTH_SESSION, or pick one for good: mxauth use NAME"
	case errors.As(err, &scope):
		return "Make one: mxauth login SERVER --name NAME --scope " + strings.Join(quoteAll(scope.words), " --scope ")
	case errors.As(err, &endless):
		return "Nothing was deleted. End it in the account page, or forget it here: mxauth logout " + shellWord(endless.name) + " --local-only"
	case errors.As(err, &unoffered):
		return unofferedAdvice(unoffered)
	case errors.Is(err, keystore.ErrNotFound):
		return "Log in: mxauth login SERVER" + a.withName()
	case errors.Is(err, keystore.ErrEnded):
		return "Log in again: mxauth login " + a.server() + a.withName()
	case errors.As(err, &store):
		return a.storeAdvice(store)
	case errors.As(err, &closed):
		return closedAdvice(closed)
	case errors.As(err, &unheard):
		return unheardAdvice(unheard)
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

// closedAdvice holds the words that an administrator needs.
func closedAdvice(e *flow.ClosedError) string {
	client := "a public client with the device code grant and refresh tokens, and add --client-id ID"
	if e.Token {
		return "Nothing was stored. It may be used up or expired: ask the administrator for another, or for " + client + "."
	}
	return "Nothing was stored. Ask its administrator for " + client + "; or for an initial access token, and add --initial-token FILE (- for stdin)."
}

// unheardAdvice is for a login that the server may have finished without us.
func unheardAdvice(e *flow.UnheardError) string {
	device := ""
	if e.DeviceID != "" {
		device = " (device " + e.DeviceID + ")"
	}
	return "No token was stored. If you approved it, end it in the account page" + device + ". Then log in again."
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
	return " --name " + shellWord(a.session)
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
		return kept + "For a new one, log in again."
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
		if errors.Is(e, flow.ErrBrowserOnly) {
			return kept + "Log in by browser: mxauth login --browser " + a.server() + a.withName()
		}
		return strings.TrimSpace(kept)
	case flow.KindUsage:
		return "No request was made."
	}
	if errors.Is(e, flow.ErrUnknownAuthority) {
		return kept + a.authorityAdvice()
	}
	return kept + "If it stays so, tell the server's administrator."
}

// authorityAdvice says how an authority of one's own is made known.
func (a *app) authorityAdvice() string {
	if problem := authorityProblem(a.getenv("SSL_CERT_FILE")); problem != "" {
		return "SSL_CERT_FILE " + problem + "."
	}
	switch runtime.GOOS {
	case "darwin", "windows":
		return "If the authority is your own, add it to those that this system trusts."
	}
	return "If the authority is your own, name its PEM file in SSL_CERT_FILE."
}

// storeAdvice says what to do about a store. Where a session is concerned, its
// tokens are where they were, and another store would not have them.
func (a *app) storeAdvice(e *keystore.Error) string {
	kept, missing, next := "Nothing was stored. ", "Choose --store file (sealed, with --key-file PATH or a passphrase) or --store plaintext.", ", or use --store file."
	if a.session != "" {
		kept, missing, next = "Your login is kept. ", "Start the keyring that it lies in, or log in again: mxauth login "+a.server()+a.withName(), ", then try again."
	}
	switch e.Kind {
	case keystore.Missing:
		if a.session != "" && (e.Store == keystore.KindFile || e.Store == keystore.KindPlaintext) { // its file is gone
			return "Log in again: mxauth login " + a.server() + a.withName()
		}
		return kept + missing
	case keystore.Locked:
		return kept + "Unlock the keyring" + next
	case keystore.Frozen:
		return kept + "Restart or unlock the keyring" + next
	case keystore.NoKey:
		return kept + "Give the key with --key-file or MXAUTH_KEY_FILE."
	case keystore.Full:
		return kept + "Make room, then try again."
	case keystore.Future:
		return "It is left as it is. Update mxauth, or name the session that you mean; see: mxauth list"
	}
	return kept + "See: mxauth doctor"
}

func quoteAll(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = shellWord(w)
	}
	return out
}

// shellWord quotes what is pasted into a shell, where it must be.
func shellWord(w string) string {
	if strings.ContainsAny(w, " *'\"$`\\&|;<>()?[]{}#~!") {
		return shellQuote(w)
	}
	return w
}

// oneLine joins several errors, which errors.Join puts one under the other.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
