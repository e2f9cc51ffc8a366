//go:build linux || netbsd || openbsd

package keystore

import (
	"context"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"
)

// quickItem reads the one item that go-keyring made for an account, out of an
// open keyring. It takes two round trips where the probe and go-keyring take
// eight, and cannot lead to a prompt; "mxauth token" does little else. If
// anything is not as usual, it is errUnusual, and the long way tells what.
func quickItem(ctx context.Context, account string) (string, error) {
	conn, err := sessionBus()
	if err != nil {
		return "", errUnusual
	}
	secrets := conn.Object(secretsName, secretsPath)
	attributes := map[string]string{"service": service, "username": account}
	opening := goCall(ctx, secrets, "Service.OpenSession", "plain", dbus.MakeVariant(""))
	search := goCall(ctx, secrets, "Service.SearchItems", attributes)
	var none dbus.Variant
	var session dbus.ObjectPath
	if opened := <-opening.Done; opened.Store(&none, &session) != nil {
		return "", unusual(ctx)
	}
	defer conn.Object(secretsName, session).Go("org.freedesktop.Secret.Session.Close", dbus.FlagNoReplyExpected|dbus.FlagNoAutoStart, nil)
	var open, shut []dbus.ObjectPath
	if found := <-search.Done; found.Store(&open, &shut) != nil || len(open) != 1 || len(shut) != 0 {
		return "", unusual(ctx)
	}
	var secret ss.Secret
	if got := <-goCall(ctx, conn.Object(secretsName, open[0]), "Item.GetSecret", session).Done; got.Store(&secret) != nil {
		return "", unusual(ctx)
	}
	return string(secret.Value), nil
}

// unusual is errUnusual, unless the time is over: the long way would take it once
// more.
func unusual(ctx context.Context) error {
	if ctx.Err() != nil {
		return frozen()
	}
	return errUnusual
}

// goCall sends a call that starts no service. It is done when ctx ends, too.
func goCall(ctx context.Context, object dbus.BusObject, method string, args ...any) *dbus.Call {
	return object.GoWithContext(ctx, "org.freedesktop.Secret."+method, dbus.FlagNoAutoStart, make(chan *dbus.Call, 1), args...)
}
