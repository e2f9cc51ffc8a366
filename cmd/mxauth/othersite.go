package main

import (
	"errors"
	"io"
	"strings"

	"github.com/mxauth/mxauth/cmd/internal/login"
	"github.com/mxauth/mxauth/flow"
)

// withOtherSite runs a login. Where it ends because the page to open belongs to
// another site than the server, a person is shown both and asked; after a yes it
// runs once more, and takes a page of that one host. With nobody to ask it stays
// an error.
func (a *app) withOtherSite(l *login.Login, run func() error) error {
	err := run()
	var other *flow.SiteError
	if !errors.As(err, &other) || !a.attended() || !a.askSite(other) {
		return err
	}
	l.OtherSite = other.Host()
	return run()
}

// isOtherSite tells the error that is asked about.
func isOtherSite(err error) bool {
	var other *flow.SiteError
	return errors.As(err, &other)
}

// askSite asks whether to go on. Anything but a yes is a no.
func (a *app) askSite(other *flow.SiteError) bool {
	a.say("This server wants you to approve the login at a page of another site:\n  page    %s\n  server  %s\n"+
		"Whoever owns the page can take the login over. Go on only if you know that they belong together.",
		flow.Clean(other.Page, 2048), flow.Clean(other.Issuer, 2048))
	_, _ = io.WriteString(a.err, "Go on? y/N: ") // a terminal that is gone gives no answer either
	line, err := readLine(a.in)
	return err == nil && strings.EqualFold(strings.TrimSpace(line), "y")
}
