package keystoretest

import (
	"errors"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/zalando/go-keyring"
)

// TestStartService stores an item, and finds it again after a crash of the
// daemon: the keyring is a real one.
func TestStartService(t *testing.T) {
	s := StartService(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", s.Address)
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Cleanup(func() { // go-keyring's own, which it keeps
		if conn, err := dbus.SessionBus(); err == nil {
			_ = conn.Close()
		}
	})
	if err := keyring.Set("service", "user", "secret"); err != nil {
		t.Fatal(err)
	}
	s.Unlock()
	if got, err := keyring.Get("service", "user"); got != "secret" || err != nil {
		t.Errorf("after a crash: %q, %v", got, err)
	}
	s.Lock()
	if _, err := keyring.Get("service", "user"); err == nil {
		t.Error("a locked keyring gives out secrets")
	}
	s.Kill()
	s.StartFresh()
	if _, err := keyring.Get("service", "user"); err == nil || errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("a keyring without a collection: %v", err)
	}
}
