// Package keystoretest starts real credential stores for tests.
package keystoretest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// patience is how long a daemon may take to start. A busy machine needs
// seconds; what takes longer is broken.
const patience = 30 * time.Second

// password unlocks the keyring of a test.
const password = "a test's password"

// StartSecretService starts a bus and a real, unlocked keyring, both of the
// test's own, and returns the environment under which a child process finds
// them. They end with the test. Where the programs are not installed the test
// is skipped, or fails if CI=true.
func StartSecretService(t testing.TB) []string {
	t.Helper()
	return StartService(t).Env()
}

// A SecretService is gnome-keyring-daemon on a bus of its own, to be broken as a
// test needs it.
type SecretService struct {
	*Bus
	t      testing.TB
	home   string
	mu     sync.Mutex
	daemon *exec.Cmd // nil while it is dead
}

// StartService is StartSecretService for tests that break the service.
func StartService(t testing.TB) *SecretService {
	t.Helper()
	need(t, "gnome-keyring-daemon")
	s := &SecretService{Bus: StartBus(t), t: t, home: t.TempDir()}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Start starts the daemon again after Kill, with the same keyring, unlocked.
func (s *SecretService) Start() {
	s.t.Helper()
	s.start(password)
	s.wait(collectionPath, collectionName, "Locked", func(v any) bool { return v == false })
}

// StartFresh starts the daemon as a headless machine has it that nobody ever
// logged in to: the service is there, a collection is not. It is called after
// Kill, and takes the keyring away.
func (s *SecretService) StartFresh() {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.home, "data")); err != nil {
		s.t.Fatal(err)
	}
	s.start("")
	s.wait(servicePath, serviceName, "Collections", func(v any) bool { return v != nil })
}

func (s *SecretService) start(password string) {
	s.t.Helper()
	args := []string{"--foreground", "--components=secrets", "--control-directory=" + filepath.Join(s.home, "control")}
	if password != "" {
		args = append(args, "--unlock")
	}
	daemon := exec.Command("gnome-keyring-daemon", args...)
	daemon.Env = append(s.Env(), "PATH="+os.Getenv("PATH"), "HOME="+s.home, "XDG_RUNTIME_DIR="+s.home,
		"XDG_DATA_HOME="+filepath.Join(s.home, "data"), "XDG_CONFIG_HOME="+filepath.Join(s.home, "config"),
		"XDG_CACHE_HOME="+filepath.Join(s.home, "cache"))
	daemon.Stdin = strings.NewReader(password)
	daemon.SysProcAttr = withParent()
	if err := daemon.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.daemon = daemon
}

// wait asks for a property until it is as it should be.
func (s *SecretService) wait(path dbus.ObjectPath, of, name string, ready func(any) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		var v dbus.Variant
		err := s.conn.Object(busName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, of, name).Store(&v)
		if err == nil && ready(v.Value()) {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("gnome-keyring-daemon is not ready after %s: %v", patience, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// PID returns the daemon's process ID.
func (s *SecretService) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.daemon.Process.Pid
}

// Lock locks the keyring. Nobody can unlock it, for there is no display.
func (s *SecretService) Lock() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var locked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	call := s.conn.Object(busName, servicePath).CallWithContext(ctx, serviceName+".Lock", 0, []dbus.ObjectPath{collectionPath})
	if err := call.Store(&locked, &prompt); err != nil || len(locked) != 1 {
		s.t.Fatalf("the keyring does not lock: %v %v", locked, err)
	}
}

// Unlock unlocks the keyring as its owner does at the next login: the daemon is
// started anew.
func (s *SecretService) Unlock() {
	s.t.Helper()
	s.Kill()
	s.Start()
}

// Stop freezes the daemon: it is there and does not answer. Cont thaws it.
func (s *SecretService) Stop() { s.signal(freeze) }

// Cont lets a frozen daemon go on.
func (s *SecretService) Cont() { s.signal(thaw) }

func (s *SecretService) signal(sig os.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.daemon.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Kill ends the daemon at once, and returns when it is off the bus. It does
// nothing to a dead one.
func (s *SecretService) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.daemon == nil {
		return
	}
	_ = s.daemon.Process.Kill() // it may have died by itself
	_ = s.daemon.Wait()         // it was killed: that is no news
	s.daemon = nil
	for s.owned() {
		time.Sleep(time.Millisecond)
	}
}

// AddItem stores an item beside mxauth's, as another program would: with the
// attributes that mxauth looks for, and one of its own that keeps the two apart.
func (s *SecretService) AddItem(service, username, secret string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var none dbus.Variant
	var session, item, prompt dbus.ObjectPath
	err := s.conn.Object(busName, servicePath).CallWithContext(ctx, serviceName+".OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&none, &session)
	if err != nil {
		s.t.Fatal(err)
	}
	properties := map[string]dbus.Variant{
		itemName + ".Label":      dbus.MakeVariant("another program's"),
		itemName + ".Attributes": dbus.MakeVariant(map[string]string{"service": service, "username": username, "other": "true"}),
	}
	value := struct {
		Session           dbus.ObjectPath
		Parameters, Value []byte
		ContentType       string
	}{session, []byte{}, []byte(secret), "text/plain"}
	err = s.conn.Object(busName, collectionPath).CallWithContext(ctx, collectionName+".CreateItem", 0, properties, value, false).Store(&item, &prompt)
	if err != nil {
		s.t.Fatal(err)
	}
}

// The names of the Secret Service.
const (
	busName        = "org.freedesktop.secrets"
	servicePath    = dbus.ObjectPath("/org/freedesktop/secrets")
	collectionPath = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	serviceName    = "org.freedesktop.Secret.Service"
	collectionName = "org.freedesktop.Secret.Collection"
	itemName       = "org.freedesktop.Secret.Item"
)

// A Bus is a dbus-daemon of a test. Nothing is on it, and it starts nothing but
// what Offer told it.
type Bus struct {
	Address  string
	services string     // a folder of what it may start
	conn     *dbus.Conn // the test's own
	daemon   *exec.Cmd
}

// StartBus starts a bus without a keyring. It ends with the test.
func StartBus(t testing.TB) *Bus {
	t.Helper()
	need(t, "dbus-daemon")
	// Not t.TempDir: the address of a socket has room for some 100 bytes.
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	b := &Bus{services: filepath.Join(dir, "services")}
	config := filepath.Join(dir, "bus.conf")
	err = os.WriteFile(config, fmt.Appendf(nil, busConfig, filepath.Join(dir, "bus"), b.services), 0o600)
	if err == nil {
		err = os.Mkdir(b.services, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.daemon = exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1")
	b.daemon.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir}
	b.daemon.SysProcAttr = withParent()
	out, err := b.daemon.StdoutPipe()
	if err == nil {
		err = b.daemon.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon said no address: %v", err)
	}
	b.Address = strings.TrimSpace(line)
	if b.conn, err = dbus.Connect(b.Address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.conn.Close() }) // the bus may be dead already
	return b
}

// busConfig is a bus that everybody who reaches its socket may use.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <servicedir>%s</servicedir>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

// Env is the environment of a child process that shall use this bus, and that no
// prompt can reach.
func (b *Bus) Env() []string {
	return []string{"DBUS_SESSION_BUS_ADDRESS=" + b.Address, "DISPLAY=", "WAYLAND_DISPLAY="}
}

// Offer lets the bus start a keyring by a command when somebody asks for one.
func (b *Bus) Offer(t testing.TB, command string) {
	t.Helper()
	text := "[D-BUS Service]\nName=" + busName + "\nExec=" + command + "\n"
	err := os.WriteFile(filepath.Join(b.services, busName+".service"), []byte(text), 0o600)
	if err == nil {
		err = b.conn.BusObject().Call("org.freedesktop.DBus.ReloadConfig", 0).Err
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Freeze stops the bus itself: it accepts connections and says nothing.
func (b *Bus) Freeze() { _ = b.daemon.Process.Signal(freeze) }

// Kill ends the bus at once.
func (b *Bus) Kill() {
	_ = b.daemon.Process.Kill() // it may have been killed before
	_ = b.daemon.Wait()
}

// owned reports whether somebody offers a keyring on the bus.
func (b *Bus) owned() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var owned bool
	err := b.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, busName).Store(&owned)
	return err == nil && owned
}

// need skips a test that cannot run here.
func need(t testing.TB, program string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the Secret Service is tested on Linux")
	}
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	case errors.Is(err, exec.ErrNotFound):
		t.Skipf("%s is not installed", program)
	default:
		t.Fatal(err)
	}
}
