package keystore

import (
	"fmt"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// A Kind is a kind of store.
type Kind string

// The kinds.
const (
	KindKeyring   Kind = "keyring"   // Secret Service, macOS Keychain, Windows Credential Manager
	KindFile      Kind = "file"      // sealed with age
	KindPlaintext Kind = "plaintext" // mode 0600, nothing more
)

// ParseKind reads the name of a kind as a user writes it.
func ParseKind(name string) (Kind, error) {
	switch k := Kind(name); k {
	case KindKeyring, KindFile, KindPlaintext:
		return k, nil
	}
	return "", fmt.Errorf("no store is called %q: keyring, file or plaintext", flow.Clean(name, 40))
}

// Words names the kind in a sentence: "the OS keyring".
func (k Kind) Words() string {
	switch k {
	case KindKeyring:
		return "the OS keyring"
	case KindFile:
		return "a sealed file"
	case KindPlaintext:
		return "a plain file"
	}
	return "an unknown store"
}

// An Entry is what is known of a session without unlocking it. It is what lies
// in sessions/ID.json. What repeats the tokens' record (scope, expiry, device)
// is a copy as of the last time they changed.
type Entry struct {
	ID         string    `json:"id"`                  // of the slot; stays when the name changes
	Name       string    `json:"name,omitzero"`       // empty while Pending
	Kind       Kind      `json:"store"`               // where the tokens are
	Also       Kind      `json:"also,omitzero"`       // where a copy may lie that a move left when it was interrupted
	Account    string    `json:"account"`             // of the keyring item: "STORE/ID"
	Server     string    `json:"server"`              // as the user knows it
	Homeserver string    `json:"homeserver,omitzero"` // base URL; empty for a plain issuer
	Issuer     string    `json:"issuer,omitzero"`
	ClientID   string    `json:"client_id,omitzero"` // of a public client at a plain issuer, for the next login there
	UserID     string    `json:"user_id,omitzero"`
	DeviceID   string    `json:"device_id,omitzero"`
	Scope      string    `json:"scope,omitzero"`
	Expiry     time.Time `json:"expiry,omitzero"`  // of the access token; zero if the server did not say
	Created    time.Time `json:"created"`          // the login
	Updated    time.Time `json:"updated,omitzero"` // the last change of the tokens; zero: none were stored
	Ended      *Ended    `json:"ended,omitempty"`  // not nil: the server ended the session, or it is logged out

	// Pending: the login is not finished, or another one took its name. It is
	// hidden from Find and Default; see Abandoned.
	Pending bool `json:"-"`
}

// Ended says when and why a session ended.
type Ended struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"` // OAuth error code, or a few words
}

// now is the time as it is written down: by the wall clock, in UTC.
func now() time.Time { return time.Now().UTC().Round(0) }

// with returns e with the copies of what a session holds brought up to date.
func (e Entry) with(s flow.Session) Entry {
	e.Server, e.Homeserver, e.Issuer = s.Server.Name, s.Server.Homeserver, s.Server.Issuer
	e.ClientID = ""
	if !s.Server.Matrix() && s.Client.Secret.Empty() {
		e.ClientID = s.Client.ID
	}
	e.DeviceID, e.Scope, e.Expiry = s.DeviceID, s.Scope, s.Expiry
	e.Updated = now()
	return e
}
