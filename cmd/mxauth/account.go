package main

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
	"github.com/mxauth/mxauth/tui"
)

type accountOptions struct {
	session  string
	qr, json bool
}

func (a *app) accountCommand() *cobra.Command {
	var o accountOptions
	cmd := &cobra.Command{
		Use:   "account [ACTION]",
		Short: "Print the link to the account page at the server, or to a part of it",
		Long: "Prints the link to the account page, or to the part of it that ACTION names:\n\n" + actionHelp() + "\n\n" +
			"Only what the server offers is printed. Nothing is opened.",
		Example:           "  mxauth account device --session bot\n  mxauth account devices --qr",
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: actionNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.json = o.json
			return a.account(cmd.Context(), args, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.session, "session", "", "the session in question (default: as for token)")
	f.BoolVar(&o.qr, "qr", false, "draw the link as a QR code too")
	f.BoolVar(&o.json, "json", false, "an object with url and the links to every part that is offered")
	_ = cmd.RegisterFlagCompletionFunc("session", a.sessionNames) // it fails for a flag that is not there
	return cmd
}

// An action is a part of the account page (MSC4191), by the name that people
// type.
type action struct {
	name, about string
	device      bool     // it is about this session's device
	advertised  []string // as servers have called it, the newest first
}

func actions() []action {
	return []action{
		{"profile", "name, picture, e-mail", false, []string{"org.matrix.profile"}},
		{"devices", "the list of devices", false, []string{"org.matrix.devices_list", "org.matrix.sessions_list"}},
		{"device", "this session's device", true, []string{"org.matrix.device_view", "org.matrix.session_view"}},
		{"end-device", "to remove this session's device", true, []string{"org.matrix.device_delete", "org.matrix.session_end", "session_end"}},
		{"reset-keys", "to reset the account's cross-signing keys", false, []string{"org.matrix.cross_signing_reset"}},
		{"deactivate", "to deactivate the account", false, []string{"org.matrix.account_deactivate"}},
	}
}

func actionHelp() string {
	var lines []string
	for _, x := range actions() {
		lines = append(lines, "  "+x.name+strings.Repeat(" ", 12-len(x.name))+x.about)
	}
	return strings.Join(lines, "\n")
}

func actionNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if len(args) == 0 {
		for _, x := range actions() {
			names = append(names, x.name+"\t"+x.about)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// accountJSON is the output of "account --json". Its members are an interface.
type accountJSON struct {
	Session string            `json:"session"`
	URL     string            `json:"url"`   // what was asked for
	Links   map[string]string `json:"links"` // by action, those that the server offers
}

func (a *app) account(ctx context.Context, args []string, o accountOptions) error {
	if o.qr && o.json {
		return exit.Usagef("either --qr or --json")
	}
	var want action
	if len(args) > 0 {
		all := actions()
		i := slices.IndexFunc(all, func(x action) bool { return x.name == args[0] })
		if i < 0 {
			return exit.Usagef("the account page has no part %q: profile, devices, device, end-device, reset-keys or deactivate", flow.Clean(args[0], 40))
		}
		want = all[i]
	}
	k, err := a.store()
	if err != nil {
		return err
	}
	var name []string
	if o.session != "" {
		name = []string{o.session}
	}
	e, err := a.pick(k, name)
	if err != nil {
		return err
	}
	server, err := a.accountServer(ctx, k, e)
	if err != nil {
		return err
	}
	return a.printAccount(e, server, want, o)
}

// accountServer returns what the server said at the login. Of a session that is
// over that is not to be had, and the server is asked.
func (a *app) accountServer(ctx context.Context, k *keystore.Keystore, e keystore.Entry) (flow.Server, error) {
	s, err := k.Get(ctx, e)
	switch {
	case !errors.Is(err, keystore.ErrEnded):
		return s.Server, err
	case e.Homeserver != "":
		return a.agent().Discover(ctx, e.Homeserver)
	}
	return a.agent().DiscoverIssuer(ctx, e.Issuer)
}

func (a *app) printAccount(e keystore.Entry, server flow.Server, want action, o accountOptions) error {
	if want.device && e.DeviceID == "" {
		return exit.Usagef("the session %s has no device", e.Name)
	}
	links := accountLinks(server, e.DeviceID)
	link := server.Account
	if want.name != "" {
		link = links[want.name]
	}
	switch {
	case link == "":
		return newUnoffered(e.Server, want, links)
	case o.json:
		return a.printJSON(accountJSON{Session: e.Name, URL: link, Links: links})
	case o.qr:
		symbol, err := tui.QRCode(a.out, link, nil)
		if err != nil {
			a.say("No QR code: %s.", err)
		}
		return a.print(symbol + link + "\n")
	}
	return a.print(link + "\n")
}

// accountLinks are the parts of the account page that a server offers for a
// device, which may be none.
func accountLinks(s flow.Server, device string) map[string]string {
	links := map[string]string{}
	page, err := flow.ParseAddress(s.Account)
	if err != nil { // none
		return links
	}
	for _, x := range actions() {
		for _, name := range x.advertised {
			if !slices.Contains(s.Actions, name) || x.device && device == "" {
				continue
			}
			links[x.name] = withAction(*page, name, x.device, device)
			break
		}
	}
	return links
}

// withAction adds the action to what the address has as its query already.
func withAction(page url.URL, name string, about bool, device string) string {
	add := url.Values{"action": {name}}
	if about {
		add.Set("device_id", device)
	}
	if page.RawQuery != "" {
		page.RawQuery += "&"
	}
	page.RawQuery += add.Encode()
	return page.String()
}

// An unofferedError says that a server has no such page. It is a flow.Error of
// KindUnsupported.
type unofferedError struct {
	error
	offered []string // what there is instead
}

// Unwrap returns the flow.Error.
func (e *unofferedError) Unwrap() error { return e.error }

func newUnoffered(host string, want action, links map[string]string) error {
	problem := host + " names no account page"
	if want.name != "" {
		problem = host + " offers no link to " + want.name
	}
	e := &unofferedError{error: &flow.Error{Kind: flow.KindUnsupported, Op: "link to the account page", Host: host, Problem: problem}}
	for _, x := range actions() {
		if links[x.name] != "" {
			e.offered = append(e.offered, x.name)
		}
	}
	return e
}
