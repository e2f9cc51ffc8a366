package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mxauth/mxauth/flow"
)

// The inputs under testdata/fuzz are those that broke something once.

// FuzzHandout: whatever a store holds, what is handed over is one line for each
// value, and every form gives its reader the value that went in.
func FuzzHandout(f *testing.F) {
	for _, s := range []string{"mat_abc", `a"b\c'd$e` + "`f", "a\nb", "", "a b", "\x1b[31m", "x';id;'"} {
		f.Add(s, "@alice:example.org")
		f.Add("mat_abc", s)
	}
	f.Fuzz(func(t *testing.T, token, user string) {
		h, err := handoutOf(flow.Session{AccessToken: flow.NewSecret(token), UserID: user, DeviceID: "DEV'$", Scope: user, Server: flow.Server{Homeserver: "https://example.org"}})
		if err != nil {
			if len(token) > 20 && strings.Contains(err.Error(), token) {
				t.Errorf("the error shows the token: %v", err)
			}
			return
		}
		for name, made := range map[string]form{"token": tokenForm, "json": jsonForm, "header": headerForm, "curl": curlForm, "env": envForm, "file": envFile} {
			text := made(h)
			lines := strings.Count(text, "\n")
			if name != "env" && name != "file" && lines != 1 || !strings.HasSuffix(text, "\n") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r > '~' }) {
				t.Errorf("%s: %q", name, text)
			}
		}
		var j tokenJSON
		if err := json.Unmarshal([]byte(jsonForm(h)), &j); err != nil || j.AccessToken != token || j.UserID != user {
			t.Errorf("%q: %+v, %v", jsonForm(h), j, err)
		}
		want := h.environ()
		for i, l := range strings.Split(strings.TrimSuffix(envForm(h), "\n"), "\n") {
			if name, value, _ := strings.Cut(strings.TrimPrefix(l, "export "), "="); name != want[i][0] || unquoteShell(value) != want[i][1] {
				t.Errorf("a shell reads %q for %q", l, want[i])
			}
		}
		for i, l := range strings.Split(strings.TrimSuffix(envFile(h), "\n"), "\n") {
			if name, value, _ := strings.Cut(l, "="); name != want[i][0] || unquoteDouble(value, "\\\"$`") != want[i][1] {
				t.Errorf("%q for %q", l, want[i])
			}
		}
		if value := strings.TrimSuffix(strings.TrimPrefix(curlForm(h), "header = "), "\n"); unquoteDouble(value, `\"`) != "Authorization: Bearer "+token {
			t.Errorf("curl reads %q", value)
		}
	})
}

// unquoteShell reads one word as a POSIX shell does (section 2.2 of its grammar),
// and stops at what would be a second word, an expansion or a command.
func unquoteShell(s string) string {
	out := ""
	for i := 0; i < len(s); {
		switch s[i] {
		case '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return "open quote"
			}
			out, i = out+s[i+1:i+1+end], i+end+2
		case '\\':
			if i+1 == len(s) {
				return "open escape"
			}
			out, i = out+s[i+1:i+2], i+2
		default:
			return "unquoted"
		}
	}
	return out
}

// unquoteDouble reads a double-quoted word in which a backslash escapes some
// characters, and none of those stands alone.
func unquoteDouble(s, special string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "no quotes"
	}
	out, s := "", s[1:len(s)-1]
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && strings.IndexByte(special, s[i+1]) >= 0:
			i++
			out += s[i : i+1]
		case strings.IndexByte(special, s[i]) >= 0:
			return "unescaped"
		default:
			out += s[i : i+1]
		}
	}
	return out
}

// FuzzSetJSON: setting members keeps the others, and reads no file that means two
// things.
func FuzzSetJSON(f *testing.F) {
	for _, s := range []string{"", " ", "{}", `{"a":1,"user":"x"}`, `{"a":{"b":[1,2]},"a":2}`, "[]", "{\"a\":\"\xff\"}", `{"tok\u0065n":"old"}`, "{} {}"} {
		f.Add([]byte(s), "mat_abc")
	}
	f.Fuzz(func(t *testing.T, old []byte, value string) {
		if !utf8.ValidString(value) {
			t.Skip()
		}
		out, err := setJSON(old, []member{{name: "token", value: value}, {name: "user", value: "new", keep: true}})
		if err != nil {
			return
		}
		var before, after map[string]any
		if err := json.Unmarshal(out, &after); err != nil || after["token"] != value {
			t.Fatalf("%q became %q: %v", old, out, err)
		}
		if len(bytes.TrimSpace(old)) > 0 {
			if err := json.Unmarshal(old, &before); err != nil {
				t.Fatalf("%q was taken: %v", old, err)
			}
		}
		for name, v := range before {
			if got, there := after[name]; name != "token" && (!there || !same(got, v)) {
				t.Errorf("%q: member %q is %v now", old, name, got)
			}
		}
		if again, err := setJSON(out, []member{{name: "token", value: value}}); err != nil || !bytes.Equal(again, out) {
			t.Errorf("%q the second time: %q, %v", out, again, err)
		}
	})
}

func same(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// FuzzSetYAML: lines that are not set stay, and the value is there once.
func FuzzSetYAML(f *testing.F) {
	for _, s := range []string{"", "# c\ntoken: x\nuser: y\n", "a:\n  - b\n", "token:\n  x\n", "token: [a,\nb]\n", "a: 'b\ntoken: c'\n", "---\na: b\n", "token: x\ntoken: y\n", "token: |\n  x\nb: c\n"} {
		f.Add(s, "mat_abc")
	}
	f.Fuzz(func(t *testing.T, old, value string) {
		out, err := setYAML([]byte(old), []member{{name: "token", value: value}})
		if err != nil {
			return
		}
		line := "token: " + jsonQuote(value)
		var kept []string
		found := 0
		for _, l := range strings.Split(strings.TrimRight(string(out), "\n"), "\n") {
			if l == line {
				found++
			} else {
				kept = append(kept, l)
			}
		}
		for _, l := range strings.Split(strings.TrimRight(old, "\n"), "\n") {
			if l != "" && !strings.HasPrefix(l, "token:") && l != line && !slices.Contains(kept, l) {
				t.Errorf("%q lost %q", old, l)
			}
		}
		if found != 1 {
			t.Errorf("%q became %q", old, out)
		}
	})
}

// FuzzChildEnvironment: a command finds the variables of one session, each once,
// and none of mxauth's own.
func FuzzChildEnvironment(f *testing.F) {
	for _, s := range []string{"PATH=/bin\x00MATRIX_USER_ID=@old:x", "MXAUTH_KEY_COMMAND=pass x\x00=C:=x", "MATRIX_ACCESS_TOKEN", "A=b=c\x00A=d\x00\x00"} {
		f.Add(s)
	}
	h := handout{homeserver: "https://example.org", userID: "@new:example.org", token: flow.NewSecret("mat_new")}
	f.Fuzz(func(t *testing.T, environ string) {
		before := strings.Split(environ, "\x00")
		after := append(withoutSession(before), assignments(h)...)
		count := map[string]int{}
		for _, v := range after {
			name, value, _ := strings.Cut(v, "=")
			count[name]++
			if strings.HasPrefix(name, "MXAUTH_") || name == "CREDENTIALS_DIRECTORY" && strings.Contains(v, "=") || strings.HasPrefix(name, "MATRIX_") && name == "MATRIX_DEVICE_ID" || name == "MATRIX_USER_ID" && value != h.userID {
				t.Errorf("%q came through", v)
			}
		}
		for _, v := range h.environ() {
			if count[v[0]] != 1 {
				t.Errorf("%s stands there %d times", v[0], count[v[0]])
			}
		}
		for _, v := range before {
			name, _, _ := strings.Cut(v, "=")
			if !strings.HasPrefix(name, "MXAUTH_") && !strings.HasPrefix(name, "MATRIX_") && name != "CREDENTIALS_DIRECTORY" && !slices.Contains(after, v) {
				t.Errorf("%q is gone", v)
			}
		}
	})
}
