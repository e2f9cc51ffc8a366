//go:build linux || netbsd || openbsd

package keystore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"
)

// itemMax is the largest record for one item, in bytes. The Secret Service has
// no limit of its own; this one keeps its file from growing with what is no
// session of a Matrix server.
const itemMax = 32 << 10

// The Secret Service, as far as the probe asks for it.
const (
	secretsName = "org.freedesktop.secrets"
	secretsPath = "/org/freedesktop/secrets"
	collection  = "org.freedesktop.Secret.Collection"
	propertyGet = "org.freedesktop.DBus.Properties.Get"
	busAddress  = "DBUS_SESSION_BUS_ADDRESS"
)

// probeRing reports whether a keyring is there and open, without a prompt and
// without starting a bus. A keyring that the bus would start for anybody who
// asks is started.
//
// It asks over the connection that go-keyring will use, which saves a second
// one. Connecting knows no deadline; see bounded.
func probeRing(ctx context.Context) error {
	conn, err := sessionBus()
	if err != nil {
		return noBus(err)
	}
	err = askLocked(ctx, conn)
	if isCalled(err, "NameHasNoOwner") || isCalled(err, "ServiceUnknown") {
		if err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.StartServiceByName", 0, secretsName, uint32(0)).Err; err != nil {
			return noService(ctx)
		}
		err = askLocked(ctx, conn)
	}
	return locks(ctx, err)
}

// sessionBus returns the connection that go-keyring shares. Where no address is
// given, it is looked for first: go-keyring would start a bus.
func sessionBus() (*dbus.Conn, error) {
	if address := os.Getenv(busAddress); address == "" || address == "autolaunch:" {
		conn, err := dbus.SessionBusPrivateNoAutoStartup() // notes what it finds in the environment
		if err != nil {
			return nil, err
		}
		_ = conn.Close() // nothing was sent
	}
	return dbus.SessionBus()
}

// errShut is what askLocked says of a locked keyring.
var errShut = errors.New("locked")

// askLocked asks both collections that go-keyring may take, at once. The first
// that is there counts.
func askLocked(ctx context.Context, conn *dbus.Conn) error {
	var last error
	calls := []*dbus.Call{locked(ctx, conn, "/collection/login"), locked(ctx, conn, "/aliases/default")}
	for _, call := range calls {
		select {
		case <-call.Done:
		case <-ctx.Done():
			return ctx.Err()
		}
		var value dbus.Variant
		if last = call.Store(&value); last != nil {
			continue
		}
		if shut, ok := value.Value().(bool); ok && shut {
			return errShut
		}
		return nil
	}
	return last
}

func locked(ctx context.Context, conn *dbus.Conn, path string) *dbus.Call {
	object := conn.Object(secretsName, dbus.ObjectPath(secretsPath+path))
	return object.GoWithContext(ctx, propertyGet, dbus.FlagNoAutoStart, make(chan *dbus.Call, 1), collection, "Locked")
}

// locks says what askLocked found.
func locks(ctx context.Context, err error) error {
	var e dbus.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errShut):
		return &Error{Kind: Locked, Store: KindKeyring, Problem: "the keyring is locked"}
	case ctx.Err() != nil:
		return frozen()
	case !errors.As(err, &e), isCalled(err, "NoReply"), isCalled(err, "NameHasNoOwner"):
		return &Error{Kind: Broken, Store: KindKeyring, Problem: "the keyring ended while it was asked", Err: err}
	}
	return &Error{Kind: Missing, Store: KindKeyring, Problem: "the keyring has no default collection, as on a fresh headless box"}
}

// soleItem makes sure that go-keyring's items are one. Another program may have
// made a second one, with attributes of its own beside ours; which of two is
// found then changes from one start of the keyring to the next. The one that is
// found now stays.
func soleItem(account string) error {
	secrets, err := ss.NewSecretService()
	if err != nil {
		return err
	}
	search := map[string]string{"service": service, "username": account}
	for range 2 {
		items, err := secrets.SearchItems(secrets.GetLoginCollection(), search)
		if err != nil || len(items) < 2 {
			return err
		}
		for _, other := range items[1:] {
			if err := secrets.Delete(other); err != nil {
				return err
			}
		}
	}
	return &Error{Kind: Broken, Store: KindKeyring, Problem: "the keyring has several items for one session, and deletes none"}
}

// sync makes what was just written outlast a loss of power: gnome-keyring
// syncs its file and renames it, and does not sync the folder. Where there is no
// such folder, or none for us, another program keeps the items in its own way.
func (*ring) sync() error {
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // as good as not set (XDG Base Directory Specification)
		data = filepath.Join(os.Getenv("HOME"), ".local", "share")
	}
	folder := filepath.Join(data, "keyrings")
	if !filepath.IsAbs(folder) {
		return nil
	}
	err := syncDir(folder)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return fileError(folder, err)
}

// isCalled reports whether an error is one of the bus's own.
func isCalled(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == "org.freedesktop.DBus.Error."+name
}

func noService(ctx context.Context) error {
	if ctx.Err() != nil {
		return frozen()
	}
	return &Error{Kind: Missing, Store: KindKeyring, Problem: "there is no OS keyring here (nothing on the session bus offers one)"}
}

func noBus(err error) error {
	e := &Error{Kind: Missing, Store: KindKeyring, Problem: "there is no OS keyring here (no session bus)"}
	if os.Getenv(busAddress) != "" && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		e.Problem, e.Err = "there is no OS keyring here (the session bus refused the connection)", err
	}
	return e
}

func frozen() error {
	return &Error{Kind: Frozen, Store: KindKeyring, Problem: "the keyring did not answer in time"}
}

// canPrompt reports whether a keyring could ask anybody.
func canPrompt() bool {
	return strings.TrimSpace(os.Getenv("DISPLAY")+os.Getenv("WAYLAND_DISPLAY")) != ""
}
