package main

import (
	"slices"
	"strings"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
)

// A format is a file that a consumer reads its credentials from. To teach mxauth
// another one is to add a line to the table.
type format struct {
	name  string // as --write takes it
	about string // what reads it
	needs string // values that must be there, as letters: h homeserver, u user, d device

	// write makes the file. old is what stands there now, nil if nothing does.
	write func(old []byte, h handout) ([]byte, error)
}

// formats is the table. Sources: the programs themselves, in the versions that
// the pages under docs name.
func formats() []format {
	return []format{
		{"token", "the token and a newline, for whatever reads a secret from a file", "", plainFile(tokenForm)},
		{"draupnir", "Draupnir's --access-token-path", "", plainFile(tokenForm)},
		{"json", "one object, as -o json prints it", "", plainFile(jsonForm)},
		{"curl", "a configuration for curl -K PATH", "", plainFile(curlForm)},
		{"env", "MATRIX_… variables, for a shell's \".\" and systemd's EnvironmentFile=", "", plainFile(envFile)},
		{"matrix-nio", "the credentials.json of matrix-nio's examples", "hud", jsonFile(nioMembers)},
		{"matrix-commander", "matrix-commander's credentials.json", "hud", jsonFile(commanderMembers)},
		{"synadm", "synadm's synadm.yaml", "hu", yamlFile(synadmMembers)},
	}
}

// formatNamed finds a format.
func formatNamed(name string) (format, error) {
	all := formats()
	if i := slices.IndexFunc(all, func(f format) bool { return f.name == name }); i >= 0 {
		return all[i], nil
	}
	var names []string
	for _, f := range all {
		names = append(names, f.name)
	}
	return format{}, exit.Usagef("no file format %q: %s", flow.Clean(name, 40), strings.Join(names, ", "))
}

// formatHelp lists the formats.
func formatHelp() string {
	var lines []string
	for _, f := range formats() {
		lines = append(lines, "  "+f.name+strings.Repeat(" ", 18-len(f.name))+f.about)
	}
	return strings.Join(lines, "\n")
}

// fits reports whether the session has what the consumer needs.
func (f format) fits(h handout) error {
	for _, v := range []struct{ letter, name, value string }{
		{"h", "homeserver", h.homeserver}, {"u", "user ID", h.userID}, {"d", "device", h.deviceID},
	} {
		if strings.Contains(f.needs, v.letter) && v.value == "" {
			return exit.Usagef("a %s file needs a %s, which this session does not have", f.name, v.name)
		}
	}
	return nil
}

// plainFile is a file that holds nothing but the handout.
func plainFile(text form) func([]byte, handout) ([]byte, error) {
	return func(_ []byte, h handout) ([]byte, error) { return []byte(text(h)), nil }
}

// A member is one value in a file that has others.
type member struct {
	name, value string
	keep        bool // one that is there already stays: it is the owner's choice
}

func jsonFile(members func(handout) []member) func([]byte, handout) ([]byte, error) {
	return func(old []byte, h handout) ([]byte, error) { return setJSON(old, members(h)) }
}

func yamlFile(members func(handout) []member) func([]byte, handout) ([]byte, error) {
	return func(old []byte, h handout) ([]byte, error) { return setYAML(old, members(h)) }
}

func envFile(h handout) string {
	text := ""
	for _, v := range h.environ() {
		text += v[0] + "=" + envFileQuote(v[1]) + "\n"
	}
	return text
}

func nioMembers(h handout) []member {
	return []member{
		{name: "homeserver", value: h.homeserver},
		{name: "user_id", value: h.userID},
		{name: "device_id", value: h.deviceID},
		{name: "access_token", value: h.token.Reveal()},
	}
}

// commanderMembers has a room: without one matrix-commander does not start.
func commanderMembers(h handout) []member {
	return append(nioMembers(h), member{name: "room_id", keep: true})
}

// synadmMembers leaves the address alone, where there is one: Synapse's admin
// API is often reached on another than clients use.
func synadmMembers(h handout) []member {
	return []member{
		{name: "user", value: h.userID, keep: true},
		{name: "token", value: h.token.Reveal()},
		{name: "base_url", value: h.homeserver, keep: true},
		{name: "format", value: "yaml", keep: true},
	}
}
