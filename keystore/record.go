package keystore

import (
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mxauth/mxauth/flow"
)

// formatVersion is the newest format of records and of the state directory that
// is understood here.
const formatVersion = 1

// A record is a session as it is stored. It exists beside flow.Session because
// a flow.Secret never shows itself, and because names on disk must not change
// when a field is renamed. Whose session it is stands in the Entry: it is asked
// with the tokens, when the record is durable already.
type record struct {
	Version int          `json:"version"`
	Server  serverRecord `json:"server"`
	Client  clientRecord `json:"client"`

	DeviceID   string `json:"device_id,omitzero"`
	DeviceName string `json:"device_name,omitzero"`
	Scope      string `json:"scope"`

	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token"`
	Issued       time.Time `json:"issued,omitzero"`
	Expiry       time.Time `json:"expiry,omitzero"`
}

type serverRecord struct {
	Name          string   `json:"name"`
	Homeserver    string   `json:"homeserver,omitzero"`
	Issuer        string   `json:"issuer"`
	Device        string   `json:"device,omitzero"`
	Token         string   `json:"token"`
	Registration  string   `json:"registration,omitzero"`
	Revocation    string   `json:"revocation,omitzero"`
	Authorization string   `json:"authorization,omitzero"`
	Userinfo      string   `json:"userinfo,omitzero"`
	Account       string   `json:"account,omitzero"`
	Actions       []string `json:"actions,omitempty"`
	OfflineAccess bool     `json:"offline_access,omitzero"`
	PKCE          bool     `json:"pkce,omitzero"`
	NamesIssuer   bool     `json:"names_issuer,omitzero"`
}

type clientRecord struct {
	ID     string `json:"id"`
	Secret string `json:"secret,omitzero"`
	Basic  bool   `json:"basic,omitzero"`
}

// encode makes the bytes of a session. The same session gives the same bytes.
func encode(s flow.Session) ([]byte, error) {
	b, err := json.Marshal(record{
		Version:  formatVersion,
		Server:   serverRecord(s.Server),
		Client:   clientRecord{ID: s.Client.ID, Secret: s.Client.Secret.Reveal(), Basic: s.Client.Basic},
		DeviceID: s.DeviceID, DeviceName: s.DeviceName, Scope: s.Scope,
		AccessToken: s.AccessToken.Reveal(), RefreshToken: s.RefreshToken.Reveal(),
		Issued: s.Issued, Expiry: s.Expiry,
	}, json.Deterministic(true))
	if err != nil {
		// The library's words may quote a value, and the values are secrets.
		return nil, &Error{Kind: Broken, Problem: "the session cannot be written as JSON"}
	}
	return b, nil
}

// decode reads what encode made. Names are matched exactly and duplicates are
// refused.
func decode(b []byte) (flow.Session, error) {
	if err := checkVersion(b); err != nil {
		return flow.Session{}, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return flow.Session{}, &Error{Kind: Broken, Problem: "the stored session is damaged"}
	}
	if r.AccessToken == "" || r.RefreshToken == "" {
		// To ask a server with nothing would look like the end of the session.
		return flow.Session{}, &Error{Kind: Broken, Problem: "the stored session lacks a token"}
	}
	return flow.Session{
		Server:   flow.Server(r.Server),
		Client:   flow.Client{ID: r.Client.ID, Secret: flow.NewSecret(r.Client.Secret), Basic: r.Client.Basic},
		DeviceID: r.DeviceID, DeviceName: r.DeviceName, Scope: r.Scope,
		AccessToken: flow.NewSecret(r.AccessToken), RefreshToken: flow.NewSecret(r.RefreshToken),
		Issued: r.Issued, Expiry: r.Expiry,
	}, nil
}
