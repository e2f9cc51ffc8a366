package main

import (
	"encoding/json"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
)

// A handout is what a consumer gets of a session. Every value came from a server
// once, so it is made by handoutOf alone, which lets no value pass that could
// steer a terminal, end a line or end a C string. What is left is quoted for
// whoever reads it.
type handout struct {
	homeserver, userID, deviceID, scope string
	token                               flow.Secret
	expiry                              time.Time // zero if the server did not say
}

// handoutOf checks the values of a session: printable ASCII, and no blank in the
// token. flow lets nothing else in; a store may have been written to by others.
func handoutOf(s flow.Session) (handout, error) {
	h := handout{homeserver: s.Server.Homeserver, userID: s.UserID, deviceID: s.DeviceID, scope: s.Scope,
		token: s.AccessToken, expiry: s.Expiry}
	for _, v := range []struct {
		name, value string
		least       byte
	}{
		{"homeserver", h.homeserver, '!'}, {"user ID", h.userID, ' '}, {"device ID", h.deviceID, ' '},
		{"scope", h.scope, ' '}, {"access token", h.token.Reveal(), '!'},
	} {
		for i := range len(v.value) {
			if v.value[i] < v.least || v.value[i] > '~' {
				return handout{}, &flow.Error{Kind: flow.KindInvalid, Op: "hand the token over",
					Problem: "the session's " + v.name + " holds a character that no consumer should get"}
			}
		}
	}
	return h, nil
}

// A form is a shape in which "token -o" prints a handout.
type form func(handout) string

func formNamed(name string) (form, error) {
	switch name {
	case "token":
		return tokenForm, nil
	case "json":
		return jsonForm, nil
	case "env":
		return envForm, nil
	case "header":
		return headerForm, nil
	case "curl":
		return curlForm, nil
	}
	return nil, exit.Usagef("no output form %q: token, json, env, header or curl", flow.Clean(name, 40))
}

func tokenForm(h handout) string  { return h.token.Reveal() + "\n" }
func headerForm(h handout) string { return bearer(h) + "\n" }
func curlForm(h handout) string   { return "header = " + curlQuote(bearer(h)) + "\n" }

func bearer(h handout) string { return "Authorization: Bearer " + h.token.Reveal() }

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

func jsonForm(h handout) string {
	t := tokenJSON{AccessToken: h.token.Reveal(), TokenType: "Bearer", Scope: h.scope,
		Homeserver: h.homeserver, UserID: h.userID, DeviceID: h.deviceID}
	if !h.expiry.IsZero() {
		at := h.expiry.UTC().Truncate(time.Second)
		t.ExpiresAt = &at
	}
	b, err := json.Marshal(t)
	if err != nil {
		panic("a token of strings cannot be written as JSON: " + err.Error())
	}
	return string(b) + "\n"
}

func envForm(h handout) string {
	text := ""
	for _, v := range h.environ() {
		text += "export " + v[0] + "=" + shellQuote(v[1]) + "\n"
	}
	return text
}

// environ is what "run" and "-o env" set, as names and values.
func (h handout) environ() [][2]string {
	var set [][2]string
	for _, v := range [][2]string{
		{"MATRIX_HOMESERVER", h.homeserver},
		{"MATRIX_USER_ID", h.userID},
		{"MATRIX_DEVICE_ID", h.deviceID},
		{"MATRIX_ACCESS_TOKEN", h.token.Reveal()},
	} {
		if v[1] != "" {
			set = append(set, v)
		}
	}
	return set
}
