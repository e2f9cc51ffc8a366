package keystore

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/mxauth/mxauth/keystore/keystoretest"
)

// ringPlaces are the keyrings that the contract is checked against. They are on
// buses of their own, and as go-keyring keeps one connection, only one at a time
// is in use: the tests of one must end before the next begins.
func ringPlaces() map[string]func(testing.TB) place {
	open := func(t testing.TB, dir string) *Keystore { return openStore(t, Options{Dir: dir}) }
	return map[string]func(testing.TB) place{
		"gnome-keyring": func(t testing.TB) place {
			useBus(t, keystoretest.StartService(t).Bus)
			return place{KindKeyring, open}
		},
		"fake Secret Service": func(t testing.TB) place {
			startFake(t)
			return place{KindKeyring, open}
		},
		"fake Secret Service, the long way": func(t testing.TB) place {
			startFake(t).set(func(f *fakeRing) { f.slow = true })
			return place{KindKeyring, open}
		},
	}
}

// useBus makes this process use a bus. go-keyring keeps one connection, which is
// closed with the test so that the next test connects anew; such tests cannot
// run in parallel, and t.Setenv sees to that.
func useBus(t testing.TB, bus *keystoretest.Bus) {
	t.Helper()
	useAddress(t, bus.Address)
}

func useAddress(t testing.TB, address string) {
	t.Helper()
	forgetBus()
	t.Setenv(busAddress, address)
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Cleanup(forgetBus)
}

// forgetBus closes go-keyring's connection, if there is one.
func forgetBus() {
	if conn, err := sessionBus(); err == nil {
		_ = conn.Close() // so that it is not used again
	}
}

// A fakeRing is a Secret Service that misbehaves as it is told. It is a store of
// its own kind for the contract, too: its default collection is not called
// login.
type fakeRing struct {
	conn *dbus.Conn

	mu     sync.Mutex
	items  map[dbus.ObjectPath]*fakeItem
	made   int
	locked bool
	prompt prompting
	slow   bool                     // what quickItem wants fails
	onGet  func(*fakeItem)          // called once, after a secret was read
	forget bool                     // CreateItem stores nothing, and says that it did
	hold   map[string]chan struct{} // methods wait here before they take effect
	calls  map[string]int
}

// A prompting is what a fakeRing does where it may ask a person.
type prompting int

const (
	noPrompt  prompting = iota
	dismissed           // the person closes the window; nothing takes effect
	stuck               // the window stays
)

const (
	fakeCollection = dbus.ObjectPath(secretsPath + "/collection/Default")
	fakeAlias      = dbus.ObjectPath(secretsPath + "/aliases/default")
	fakeSession    = dbus.ObjectPath(secretsPath + "/session/1")
	fakePrompt     = dbus.ObjectPath(secretsPath + "/prompt/1")
)

// startFake puts a fakeRing on a bus of its own, which this process uses.
func startFake(t testing.TB) *fakeRing {
	t.Helper()
	bus := keystoretest.StartBus(t)
	useBus(t, bus)
	return serveFake(t, bus)
}

func serveFake(t testing.TB, bus *keystoretest.Bus) *fakeRing {
	t.Helper()
	conn, err := dbus.Connect(bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the bus may be gone first
	f := &fakeRing{conn: conn, items: map[dbus.ObjectPath]*fakeItem{}, hold: map[string]chan struct{}{}, calls: map[string]int{}}
	f.export(t, f, secretsPath, "org.freedesktop.Secret.Service")
	f.export(t, fakeProperties{f}, secretsPath, "org.freedesktop.DBus.Properties")
	for _, path := range []dbus.ObjectPath{fakeCollection, fakeAlias} {
		f.export(t, fakeItems{f}, path, collection)
		f.export(t, fakeProperties{f}, path, "org.freedesktop.DBus.Properties")
	}
	f.export(t, fakeSessions{f}, fakeSession, "org.freedesktop.Secret.Session")
	f.export(t, fakePrompts{f}, fakePrompt, "org.freedesktop.Secret.Prompt")
	if reply, err := conn.RequestName(secretsName, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("the bus has a keyring already: %v, %v", reply, err)
	}
	return f
}

func (f *fakeRing) export(t testing.TB, v any, path dbus.ObjectPath, name string) {
	t.Helper()
	if err := f.conn.Export(v, path, name); err != nil {
		t.Fatal(err)
	}
}

// set changes how the service behaves from now on.
func (f *fakeRing) set(change func(*fakeRing)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// enter counts a call, and holds it if it shall be late.
func (f *fakeRing) enter(method string) {
	f.mu.Lock()
	f.calls[method]++
	hold := f.hold[method]
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
}

func (f *fakeRing) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// values returns what the items hold.
func (f *fakeRing) values() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var values []string
	for _, item := range f.items {
		values = append(values, string(item.value))
	}
	return values
}

// OpenSession is the service's.
func (f *fakeRing) OpenSession(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	f.enter("OpenSession")
	return dbus.MakeVariant(""), fakeSession, nil
}

// Unlock is the service's.
func (f *fakeRing) Unlock(objects []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.enter("Unlock")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked {
		return nil, fakePrompt, nil
	}
	return objects, "/", nil
}

// SearchItems is the service's.
func (f *fakeRing) SearchItems(attributes map[string]string) (open, shut []dbus.ObjectPath, fault *dbus.Error) {
	f.enter("Service.SearchItems")
	f.mu.Lock()
	slow, locked := f.slow, f.locked
	f.mu.Unlock()
	if slow {
		return nil, nil, dbus.MakeFailedError(errors.New("not today"))
	}
	found, fault := fakeItems{f}.SearchItems(attributes)
	if locked {
		return nil, found, fault
	}
	return found, nil, fault
}

type fakeProperties struct{ f *fakeRing }

func (p fakeProperties) Get(_, name string) (dbus.Variant, *dbus.Error) {
	p.f.enter("Get " + name)
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	switch name {
	case "Collections":
		return dbus.MakeVariant([]dbus.ObjectPath{fakeCollection}), nil
	case "Locked":
		return dbus.MakeVariant(p.f.locked), nil
	}
	return dbus.Variant{}, dbus.MakeFailedError(fmt.Errorf("no property %s", name))
}

type fakeSessions struct{ f *fakeRing }

func (s fakeSessions) Close() *dbus.Error {
	s.f.enter("Close")
	return nil
}

type fakePrompts struct{ f *fakeRing }

func (p fakePrompts) Prompt(string) *dbus.Error {
	p.f.enter("Prompt")
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	if p.f.prompt == stuck {
		return nil
	}
	unlocked := p.f.prompt != dismissed
	if unlocked {
		p.f.locked = false
	}
	go func() { // after the reply, as a window takes its time
		_ = p.f.conn.Emit(fakePrompt, "org.freedesktop.Secret.Prompt.Completed", !unlocked, dbus.MakeVariant([]dbus.ObjectPath{fakeAlias}))
	}()
	return nil
}

type fakeSecret struct {
	Session           dbus.ObjectPath
	Parameters, Value []byte
	ContentType       string
}

// fakeItems is the collection.
type fakeItems struct{ f *fakeRing }

func (c fakeItems) SearchItems(attributes map[string]string) ([]dbus.ObjectPath, *dbus.Error) {
	c.f.enter("SearchItems")
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	found := []dbus.ObjectPath{}
	for _, path := range slices.Sorted(maps.Keys(c.f.items)) {
		if item := c.f.items[path]; item.has(attributes) {
			found = append(found, path)
		}
	}
	return found, nil
}

func (c fakeItems) CreateItem(properties map[string]dbus.Variant, secret fakeSecret, replace bool) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	c.f.enter("CreateItem")
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if c.f.prompt == dismissed || c.f.prompt == stuck {
		return "/", fakePrompt, nil
	}
	var attributes map[string]string
	if err := properties["org.freedesktop.Secret.Item.Attributes"].Store(&attributes); err != nil {
		return "/", "/", dbus.MakeFailedError(err)
	}
	if c.f.forget {
		return fakeCollection + "/0", "/", nil
	}
	for path, item := range c.f.items {
		if replace && maps.Equal(item.attributes, attributes) {
			item.value = secret.Value
			return path, "/", nil
		}
	}
	return c.f.add(attributes, secret.Value), "/", nil
}

// add is called under the lock.
func (f *fakeRing) add(attributes map[string]string, value []byte) dbus.ObjectPath {
	f.made++
	path := dbus.ObjectPath(fmt.Sprintf("%s/%03d", fakeCollection, f.made))
	item := &fakeItem{f: f, path: path, attributes: attributes, value: value}
	f.items[path] = item
	_ = f.conn.Export(item, path, "org.freedesktop.Secret.Item") // fails for a bad path only
	return path
}

type fakeItem struct {
	f          *fakeRing
	path       dbus.ObjectPath
	attributes map[string]string
	value      []byte
}

func (i *fakeItem) has(attributes map[string]string) bool {
	for k, v := range attributes {
		if i.attributes[k] != v {
			return false
		}
	}
	return true
}

// GetSecret is the item's.
func (i *fakeItem) GetSecret(session dbus.ObjectPath) (fakeSecret, *dbus.Error) {
	i.f.enter("GetSecret")
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	value := i.value
	if i.f.onGet != nil {
		i.f.onGet(i)
		i.f.onGet = nil
	}
	return fakeSecret{session, []byte{}, value, "text/plain"}, nil
}

// Delete is the item's.
func (i *fakeItem) Delete() (dbus.ObjectPath, *dbus.Error) {
	i.f.enter("Delete")
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	if i.f.prompt == dismissed {
		return fakePrompt, nil
	}
	delete(i.f.items, i.path)
	_ = i.f.conn.Export(nil, i.path, "org.freedesktop.Secret.Item") // the same path
	return "/", nil
}
