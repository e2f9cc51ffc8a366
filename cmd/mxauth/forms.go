package main

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// forms are the shapes in which a token is handed over. Every value in them
// came from a server once, so every value is quoted for whoever reads it.
func forms() map[string]func(flow.Session) string {
	return map[string]func(flow.Session) string{
		"token":  func(s flow.Session) string { return s.AccessToken.Reveal() + "\n" },
		"header": func(s flow.Session) string { return "Authorization: Bearer " + s.AccessToken.Reveal() + "\n" },
		"curl": func(s flow.Session) string {
			return "header = " + curlQuote("Authorization: Bearer "+s.AccessToken.Reveal()) + "\n"
		},
		"json": jsonForm,
		"env":  envForm,
	}
}

// tokenJSON is the output of "token -o json". Its members are an interface.
type tokenJSON struct {
	AccessToken string     `json:"access_token"`
	TokenType   string     `json:"token_type"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	Scope       string     `json:"scope"`
	Homeserver  string     `json:"homeserver,omitempty"`
	UserID      string     `json:"user_id,omitempty"`
	DeviceID    string     `json:"device_id,omitempty"`
}

func jsonForm(s flow.Session) string {
	t := tokenJSON{AccessToken: s.AccessToken.Reveal(), TokenType: "Bearer", Scope: s.Scope,
		Homeserver: s.Server.Homeserver, UserID: s.UserID, DeviceID: s.DeviceID}
	if !s.Expiry.IsZero() {
		at := s.Expiry.UTC().Truncate(time.Second)
		t.ExpiresAt = &at
	}
	b, err := json.Marshal(t)
	if err != nil {
		panic("a token of strings cannot be written as JSON: " + err.Error())
	}
	return string(b) + "\n"
}

func envForm(s flow.Session) string {
	var b strings.Builder
	for _, v := range [][2]string{
		{"MATRIX_HOMESERVER", s.Server.Homeserver},
		{"MATRIX_USER_ID", s.UserID},
		{"MATRIX_DEVICE_ID", s.DeviceID},
		{"MATRIX_ACCESS_TOKEN", s.AccessToken.Reveal()},
	} {
		if v[1] != "" {
			b.WriteString("export " + v[0] + "=" + shellQuote(v[1]) + "\n")
		}
	}
	return b.String()
}

// shellQuote quotes for every POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// curlQuote quotes for curl's configuration files.
func curlQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
