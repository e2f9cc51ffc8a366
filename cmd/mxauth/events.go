package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/cmd/internal/login"
	"github.com/mxauth/mxauth/flow"
)

// eventLine is one line of "login --json". Its members are an interface.
type eventLine struct {
	Event      flow.EventKind `json:"event"`
	Time       time.Time      `json:"time"`
	Server     string         `json:"server,omitempty"`
	Issuer     string         `json:"issuer,omitempty"`
	UserCode   string         `json:"user_code,omitempty"`
	URI        string         `json:"verification_uri,omitempty"`
	Complete   string         `json:"verification_uri_complete,omitempty"`
	Link       string         `json:"authorization_uri,omitempty"`
	Redirect   string         `json:"redirect_uri,omitempty"`
	Expires    *time.Time     `json:"expires_at,omitempty"`
	DeviceID   string         `json:"device_id,omitempty"`
	DeviceName string         `json:"device_name,omitempty"`
	Retry      *time.Time     `json:"retry_at,omitempty"`
	Text       string         `json:"text,omitempty"`
	Name       string         `json:"name,omitempty"`
	UserID     string         `json:"user_id,omitempty"`
	Exit       *int           `json:"exit,omitempty"`
	Error      string         `json:"error,omitempty"`
}

// loginJSON prints every event as it comes.
func (a *app) loginJSON(ctx context.Context, l *login.Login, server string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var last flow.Event
	var broken error
	for e := range l.Start(ctx, server) {
		last = e
		if broken != nil {
			continue
		}
		if broken = a.printEvent(e); broken != nil { // nobody reads the code any more
			cancel(broken)
		}
	}
	if broken != nil {
		return broken
	}
	return last.Err
}

// printEvent prints one line.
func (a *app) printEvent(e flow.Event) error {
	line, err := json.Marshal(jsonEvent(e))
	if err != nil {
		return err
	}
	return a.print(string(line) + "\n")
}

func jsonEvent(e flow.Event) eventLine {
	l := eventLine{Event: e.Kind, Time: e.Time.UTC().Round(time.Millisecond), Text: e.Text}
	switch e.Kind {
	case flow.EventDiscover:
		l.Server = e.Name
	case flow.EventServer, flow.EventRegister, flow.EventAnswered, flow.EventApproved:
		l.Server, l.Issuer = e.Server.Name, e.Server.Issuer
	case flow.EventCode:
		expires := e.Code.Expiry.UTC().Round(time.Second)
		l.Server, l.Issuer = e.Server.Name, e.Server.Issuer
		l.UserCode, l.URI, l.Complete, l.Expires = e.Code.UserCode, e.Code.VerificationURI, e.Code.VerificationURIComplete, &expires
		l.DeviceID, l.DeviceName = e.Code.DeviceID, e.DeviceName
	case flow.EventLink:
		expires := e.Authorization.Expiry.UTC().Round(time.Second)
		l.Server, l.Issuer = e.Server.Name, e.Server.Issuer
		l.Link, l.Redirect, l.Expires, l.DeviceID = e.Authorization.URI, e.Authorization.RedirectURI, &expires, e.Authorization.DeviceID
	case flow.EventOffline:
		retry := e.Retry.UTC().Round(time.Millisecond)
		l.Retry, l.Error = &retry, errorText(e.Err)
	case flow.EventDone:
		l.Name, l.UserID, l.Server = e.Name, e.UserID, e.Server.Name
	case flow.EventError:
		code := exit.Code(e.Err)
		l.Exit, l.Error = &code, errorText(e.Err)
	}
	return l
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
