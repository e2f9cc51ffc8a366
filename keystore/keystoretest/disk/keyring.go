package disk

import (
	"errors"
	"path"
	"syscall"
	"time"
)

// This file is a keyring as github.com/zalando/go-keyring reaches one, behind the
// names of that package. It keeps its items on the Disk as gnome-keyring does:
// each write is a new file, synced and renamed, and the folder is synced by
// nobody. It answers in the order in which it is asked, so what a killed process
// had asked for is done before anybody else is answered.

// What go-keyring says.
var (
	ErrNotFound            = errors.New("secret not found in keyring")
	ErrUnsupportedPlatform = errors.New("unsupported platform")
	ErrSetDataTooBig       = errors.New("data passed to Set was too big")
)

// What Before returns for a call of the keyring that goes wrong in a way of its
// own. Any other error is the keyring's answer, and nothing was done.
var (
	ErrDismissed = errors.New("dismissed") // it reports success, and nothing was done
	ErrLate      = errors.New("late")      // it is done, and the answer comes when nobody waits for it any more
)

// Late is how late such an answer is: later than one call is waited for, and
// sooner than a process gives up storing.
const Late = 4 * time.Second

// KeyringDir is where the items lie.
const KeyringDir = "/keyring"

// item finds who asks, and the path of an item on their disk. Every user of a Disk
// has a state directory; service is that of who asks, which makes it known.
func item(service, account string) (*Process, string) {
	p, _ := user(service)
	return p, KeyringDir + "/" + path.Base(account)
}

// ask begins a call; done tells that it ends with err, whatever would be done.
func (p *Process) ask(op, at string) (late, done bool, err error) {
	switch err := p.begin(op, at); {
	case errors.Is(err, ErrDismissed):
		return false, true, nil
	case errors.Is(err, ErrLate):
		return true, false, nil
	case err != nil:
		return false, true, err
	}
	return false, false, nil
}

// Get is keyring.Get.
func Get(service, account string) (string, error) {
	p, at := item(service, account)
	late, done, err := p.ask("ring get", at)
	if done {
		return "", err
	}
	n := p.Disk.find(at)
	if late {
		time.Sleep(Late)
	}
	if n == nil {
		p.end("ring get", at, "none")
		return "", ErrNotFound
	}
	p.end("ring get", at, string(n.data))
	return string(n.data), nil
}

// Set is keyring.Set.
func Set(service, account, value string) error {
	p, at := item(service, account)
	late, done, err := p.ask("ring set", at)
	if done {
		return err
	}
	folder := p.Disk.root.names[path.Base(KeyringDir)]
	if folder == nil {
		folder = p.Disk.make(true)
		p.Disk.root.names[path.Base(KeyringDir)] = folder
		p.Disk.root.sync()
	}
	n := p.Disk.make(false)
	n.data = []byte(value)
	n.sync()
	folder.names[path.Base(at)] = n
	if late {
		time.Sleep(Late)
	}
	return nil
}

// Delete is keyring.Delete.
func Delete(service, account string) error {
	p, at := item(service, account)
	late, done, err := p.ask("ring delete", at)
	if done {
		return err
	}
	err = ErrNotFound
	if folder := p.Disk.find(KeyringDir); folder != nil && folder.names[path.Base(at)] != nil {
		delete(folder.names, path.Base(at))
		err = nil
	}
	if late {
		time.Sleep(Late)
	}
	p.end("ring delete", at, errorText(err))
	return err
}

func errorText(err error) string {
	if err == nil {
		return "done"
	}
	return err.Error()
}

// ErrGone is the answer of a keyring that has ended.
var ErrGone = syscall.EPIPE
