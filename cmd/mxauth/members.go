package main

import (
	"bytes"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// What a file must be so that one member can be set and the others kept.
var (
	errNoObject = errors.New("it is not a JSON object")
	errNotPlain = errors.New("it is not a plain list of YAML keys")
)

// setJSON sets members of a JSON object and keeps the others as they are, in
// their order. old may be empty.
func setJSON(old []byte, members []member) ([]byte, error) {
	type pair struct{ name, value string }
	var pairs []pair
	at := map[string]int{}
	add := func(name, value string) { at[name] = len(pairs); pairs = append(pairs, pair{name, value}) }
	if len(bytes.TrimSpace(old)) > 0 {
		if err := readObject(old, add); err != nil {
			return nil, err
		}
	}
	for _, m := range members {
		i, there := at[m.name]
		switch {
		case !there:
			add(m.name, jsonQuote(m.value))
		case !m.keep:
			pairs[i].value = jsonQuote(m.value)
		}
	}
	text, before := "", "{\n  "
	for _, p := range pairs {
		text += before + jsonQuote(p.name) + ": " + p.value
		before = ",\n  "
	}
	return []byte(text + "\n}\n"), nil
}

// readObject reads the members of a JSON object. Names that come twice and bad
// UTF-8 are errors: what the owner sees might not be what the consumer takes.
func readObject(b []byte, add func(name, value string)) error {
	if !jsontext.Value(b).IsValid() || jsontext.Value(b).Kind() != '{' {
		return errNoObject
	}
	d := jsontext.NewDecoder(bytes.NewReader(b))
	if _, err := d.ReadToken(); err != nil {
		return errNoObject
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return errNoObject
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return errNoObject
		}
		add(key, string(value))
	}
	return nil
}

// setYAML sets keys at the top of a YAML file, line by line, and leaves all other
// lines alone, comments too. It takes a file whose top is "key: value" lines, and
// refuses what it would have to understand to change. old may be empty.
func setYAML(old []byte, members []member) ([]byte, error) {
	var lines []string
	if len(old) > 0 {
		lines = strings.Split(strings.TrimRight(string(old), "\n"), "\n")
	}
	at, err := yamlKeys(lines)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		i, there := at[m.name]
		line := m.name + ": " + jsonQuote(m.value)
		switch {
		case !there:
			lines = append(lines, line)
		case m.keep:
		case continued(lines[i+1:]):
			return nil, errNotPlain
		default:
			lines[i] = line
		}
	}
	return []byte(strings.Join(lines, "\n") + "\n"), nil
}

// yamlKeys finds the keys at the top of a file, and the lines that they are on.
func yamlKeys(lines []string) (map[string]int, error) {
	at := map[string]int{}
	for i, l := range lines {
		l = strings.TrimRight(l, " \t\r")
		if l == "" || l[0] == '#' || deeper(l) || l == "---" && len(at) == 0 {
			continue
		}
		key, value, ok := strings.Cut(l, ":")
		_, twice := at[key]
		if !ok || twice || !yamlName(key) || value != "" && value[0] != ' ' || unclosed(strings.TrimSpace(value)) {
			return nil, errNotPlain
		}
		at[key] = i
	}
	return at, nil
}

// yamlName tells a key that needs no quotes.
func yamlName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && s[0] != '-'
}

// unclosed reports whether a value may go on in the next line without an indent:
// a quoted one or a bracket that does not end in its own line.
func unclosed(value string) bool {
	if value == "" {
		return false
	}
	i := strings.IndexByte(`"'[{`, value[0])
	return i >= 0 && (len(value) == 1 || value[len(value)-1] != `"']}`[i])
}

// deeper reports whether a line is a part of the value above it: it is indented,
// or an entry of a list, which needs no indent.
func deeper(line string) bool {
	return line[0] == ' ' || line[0] == '\t' || line == "-" || strings.HasPrefix(line, "- ")
}

// continued reports whether the value of a line goes on in those below it.
func continued(below []string) bool {
	for _, l := range below {
		if l = strings.TrimRight(l, " \t\r"); l != "" && l[0] != '#' {
			return deeper(l)
		}
	}
	return false
}
