package main

import (
	"encoding/json"
	"strings"
)

// shellQuote quotes for every POSIX shell: between single quotes nothing has a
// meaning but the quote itself.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// envFileQuote quotes for files that a shell sources and that systemd reads as
// an EnvironmentFile. Both know the same four escapes between double quotes;
// systemd does not know the shell's way to put a quote between single ones.
func envFileQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(s) + `"`
}

// curlQuote quotes for curl's configuration files.
func curlQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// jsonQuote quotes for JSON, and so for YAML: a JSON string is a double-quoted
// scalar there, with the same escapes.
func jsonQuote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("a string cannot be written as JSON: " + err.Error())
	}
	return string(b)
}
