package keystore

import (
	"os"
	"path/filepath"
)

// A KeySource says where the key of the sealed files comes from.
type KeySource string

// The sources, in the order in which they are looked at.
const (
	NoKeySource       KeySource = ""
	KeyFromFile       KeySource = "key file"
	KeyFromCommand    KeySource = "key command"
	KeyFromCredential KeySource = "systemd credential" // #nosec G101 -- what it is called
	KeyFromPassphrase KeySource = "passphrase"
)

// KeySource returns where the key of the sealed files would be taken from. It
// reads no key, runs no command and asks nobody.
func (k *Keystore) KeySource() KeySource {
	there := func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}
	switch {
	case k.opts.KeyFile != "" && there(k.opts.KeyFile):
		return KeyFromFile
	case k.opts.KeyCommand != "":
		return KeyFromCommand
	case k.opts.CredentialsDir != "" && there(filepath.Join(k.opts.CredentialsDir, "mxauth.key")):
		return KeyFromCredential
	case there(k.identityPath()):
		return KeyFromPassphrase
	}
	return NoKeySource
}
