package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/cmd/internal/login"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
	"github.com/mxauth/mxauth/tui"
)

type loginOptions struct {
	server     string
	name       string
	scope      []string
	store      string
	plain, qr  bool
	browser    bool
	json       bool
	issuer     string
	clientID   string
	initial    string
	deviceID   string
	deviceName string
	nameGiven  bool // --device-name was given, perhaps empty
}

func (a *app) loginCommand() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login [SERVER | @USER:SERVER | URL]",
		Short: "Log in with a code or QR code that you approve on another device",
		Example: "  mxauth login matrix.org\n" +
			"  mxauth login example.org --name deploybot\n" +
			"  mxauth login --issuer https://id.example.org --name ci\n" +
			"  mxauth login --browser example.org",
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.server = args[0]
			}
			o.nameGiven = cmd.Flags().Changed("device-name")
			a.json = o.json
			return a.login(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "what to call the session (default: the user ID)")
	f.StringArrayVar(&o.scope, "scope", nil, "matrix, synapse-admin, mas-admin, identity, or a full scope; repeatable (default: matrix)")
	f.StringVar(&o.store, "store", "", "keyring, file (sealed) or plaintext (default: MXAUTH_STORE, or keyring)")
	f.BoolVar(&o.plain, "plain", false, "plain lines instead of a screen")
	f.BoolVar(&o.qr, "qr", false, "a QR code among the plain lines too")
	f.BoolVar(&o.json, "json", false, "one JSON event a line on stdout")
	f.BoolVar(&o.browser, "browser", false, "log in by a browser on this machine, not with a code; elsewhere, paste the address that the browser ends on (a line on stdin)")
	f.StringVar(&o.issuer, "issuer", "", "log in to this OpenID issuer instead of a homeserver (needs --name)")
	f.StringVar(&o.clientID, "client-id", "", "use this client ID instead of registering")
	f.StringVar(&o.initial, "initial-token", "", "file with an initial access token for the registration; - for stdin")
	f.StringVar(&o.deviceID, "device-id", "", "log in as this Matrix device, for a program whose end-to-end keys are tied to it (default: a new one)")
	f.StringVar(&o.deviceName, "device-name", "", "what to show to the person who approves (default: the host's name); empty shows none")
	return cmd
}

func (a *app) login(ctx context.Context, o loginOptions) error {
	screen := !o.json && !o.plain && tui.Usable(a.in, a.err, nil)
	l, err := a.readyLogin(ctx, o, screen)
	switch {
	case err != nil && o.json:
		return errors.Join(err, a.printEvent(flow.Event{Kind: flow.EventError, Time: time.Now(), Err: err}))
	case err != nil:
		return err
	case screen:
		return a.loginScreen(ctx, l, o)
	}
	l.Browser = o.browser
	if o.browser && o.initial != "-" { // stdin is not used up
		var done func()
		l.Addresses, done = a.typedLines()
		defer done()
	}
	if o.json {
		return a.loginJSON(ctx, l, o.server)
	}
	return a.withOtherSite(l, func() error {
		_, err := tui.Lines(ctx, a.err, l.Start(ctx, o.server), tui.LinesOptions{QR: o.qr, Browser: o.browser, Paste: l.Addresses != nil, OpenURL: a.opener()})
		return err
	})
}

// readyLogin does what comes before the first request and before a screen: the
// options are checked, and the store is opened.
func (a *app) readyLogin(ctx context.Context, o loginOptions, screen bool) (*login.Login, error) {
	k, err := a.store()
	if err != nil {
		return nil, err
	}
	l, err := a.newLogin(k, o)
	if err != nil {
		return nil, err
	}
	if o.server == "" && o.issuer == "" && !screen {
		return nil, exit.Usagef("which server? mxauth login SERVER")
	}
	if err := l.Check(o.server); err != nil {
		return nil, err
	}
	a.host = o.server
	if _, err := k.Find(o.name); err == nil { // an error says whether it is kept
		a.session = o.name
	}
	l.Kind, err = a.prepareStore(ctx, k, o)
	return l, err
}

func (a *app) newLogin(k *keystore.Keystore, o loginOptions) (*login.Login, error) {
	if o.issuer != "" && o.server != "" {
		return nil, exit.Usagef("either a server or --issuer")
	}
	l := &login.Login{Agent: a.agent(), Store: k, Name: o.name, Issuer: o.issuer, Scope: o.scope,
		DeviceID: o.deviceID, DeviceName: deviceName(o), Client: flow.Client{ID: o.clientID}}
	if o.initial != "" {
		var err error
		if l.Initial, err = a.readSecret(o.initial); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// loginScreen runs a login on the screen.
func (a *app) loginScreen(ctx context.Context, l *login.Login, o loginOptions) error {
	return a.withOtherSite(l, func() error { return a.onScreen(ctx, l, o) })
}

func (a *app) onScreen(ctx context.Context, l *login.Login, o loginOptions) error {
	server := o.server
	if o.issuer != "" {
		server = o.issuer
	}
	speak := a.hush()
	r, err := tui.Login(ctx, tui.LoginOptions{Input: a.in, Output: a.err, Server: server, Start: l.Start,
		Browser: byBrowser(l), InBrowser: o.browser, OpenURL: a.opener(), Leave: isOtherSite})
	speak()
	if r.Plain != nil { // the person chose plain lines: the same login goes on
		defer r.Plain.Cancel()
		byBrowser := r.Plain.Paste != nil
		if byBrowser {
			lines, done := a.typedLines()
			defer done()
			go r.Plain.Paste(lines)
		}
		_, err = tui.Lines(ctx, a.err, r.Plain.Events, tui.LinesOptions{Seen: r.Plain.Seen, QR: o.qr, Browser: byBrowser, Paste: byBrowser, OpenURL: a.opener()})
		return err
	}
	switch {
	case errors.Is(err, tui.ErrQuit):
		return &exit.SignalError{Signal: syscall.SIGINT}
	case err != nil && r.Told:
		return &toldError{err}
	}
	return err
}

// byBrowser begins the same login by browser.
func byBrowser(l *login.Login) func(context.Context, string, <-chan string) <-chan flow.Event {
	return func(ctx context.Context, server string, addresses <-chan string) <-chan flow.Event {
		other := *l
		other.Browser, other.Addresses = true, addresses
		return other.Start(ctx, server)
	}
}

// A toldError was told on the screen already: only what to do next is missing.
type toldError struct{ error }

// Unwrap returns the error that was told.
func (e *toldError) Unwrap() error { return e.error }

// deviceName is what the person who approves reads: the host's short name, and
// the session's name where one was given, so that two bots on one host can be
// told apart.
func deviceName(o loginOptions) string {
	if o.nameGiven {
		return o.deviceName
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	host, _, _ = strings.Cut(host, ".")
	return strings.TrimSpace(host + " " + o.name)
}

// readSecret reads one line from a file, or from stdin for "-".
func (a *app) readSecret(path string) (flow.Secret, error) {
	var b []byte
	var err error
	if path == "-" {
		b, err = io.ReadAll(io.LimitReader(a.in, 64<<10))
	} else {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return flow.Secret{}, &exit.UsageError{Err: err}
	}
	s := strings.TrimSpace(string(b))
	if s == "" || flow.Clean(s, len(s)) != s || strings.Contains(s, " ") {
		return flow.Secret{}, exit.Usagef("%s holds no usable token", path)
	}
	return flow.NewSecret(s), nil
}
