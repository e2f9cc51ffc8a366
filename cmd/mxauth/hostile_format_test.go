package main

import (
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// This file reads the corpus of hostile servers. testdata/hostile/README.md says
// what its format means.

// A hostileCase is one variant of one file.
type hostileCase struct {
	name    string // file and variant
	row     string // of the catalogue of faults: "S15"
	do      string // what the client is told to do: "login", "refresh" …
	server  string
	args    []string
	exit    int
	says    []string
	hides   []string
	session string         // what must be left of it
	asks    map[string]int // requests by endpoint or host
	lasts   int            // seconds, at least
	tls     map[string]string
	answers map[string][]hostileAnswer
	direct  string // the one host, where no proxy is in between
}

// A hostileAnswer is what a server sends once.
type hostileAnswer struct {
	at       string // base only: which requests it is for
	status   int
	header   []string
	kind     string // of the body: "", "merge", "raw", "empty"
	body     string
	encoding string
	endless  string // repeated after the body until nobody reads any more
	wait     int    // seconds of silence before
	drip     int    // bytes a second; 0: all at once
	cut      int    // bytes of the body after which the connection ends; -1: none
	end      string // "close" or "reset": instead of an answer
}

// hostileCorpus reads every file: the base answers and the cases.
func hostileCorpus(dir string) (base map[string]hostileAnswer, cases []hostileCase, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, nil, err
	}
	base = map[string]hostileAnswer{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		if name == "base" {
			_, sections, err := hostileParts(string(text))
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", path, err)
			}
			for at, answers := range sections {
				base[at] = answers[0]
			}
			continue
		}
		for variant, text := range hostileVariants(string(text)) {
			c, err := readHostile(text)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", path, err)
			}
			if c.name = name; variant != "" {
				c.name += "/" + variant
			}
			if !strings.HasPrefix(name, c.row+"-") {
				return nil, nil, fmt.Errorf("%s: the name does not begin with its row %q", path, c.row)
			}
			cases = append(cases, c)
		}
	}
	slices.SortFunc(cases, func(a, b hostileCase) int { return strings.Compare(a.name, b.name) })
	return base, cases, nil
}

// hostileVariants puts the values of the "each" lines into a file, in every
// combination.
func hostileVariants(text string) map[string]string {
	type choice struct {
		names  []string
		values []string
	}
	var choices []choice
	var rest strings.Builder
	for line := range strings.Lines(text) {
		names, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		names, ok := strings.CutPrefix(names, "each ")
		if !ok {
			rest.WriteString(line)
			continue
		}
		fields := strings.Fields(names)
		if n := len(choices); n > 0 && slices.Equal(choices[n-1].names, fields) {
			choices[n-1].values = append(choices[n-1].values, value)
		} else {
			choices = append(choices, choice{fields, []string{value}})
		}
	}
	variants := map[string]string{"": rest.String()}
	for _, c := range choices {
		next := map[string]string{}
		for label, text := range variants {
			for _, value := range c.values {
				words := strings.SplitN(value, " ", len(c.names))
				set := map[string]string{}
				for i, w := range words {
					set[c.names[i]] = w
				}
				next[strings.TrimPrefix(label+" "+short(value), " ")] = hostileName.ReplaceAllStringFunc(text, func(name string) string {
					if v, ok := set[name[1:]]; ok {
						return v
					}
					return name
				})
			}
		}
		variants = next
	}
	return variants
}

var (
	hostileName  = regexp.MustCompile(`\$[A-Z]+`)
	hostileMacro = regexp.MustCompile(`\$\((hex|repeat) ([^)]*)\)`)
	hostileHead  = regexp.MustCompile(`(?m)^-- (.+) --\n`)
)

// short is a value as a part of a name.
func short(s string) string {
	if len(s) > 60 {
		return s[:60]
	}
	return s
}

// hostileParts splits a file into its header and its answers.
func hostileParts(text string) (head []string, answers map[string][]hostileAnswer, err error) {
	marks := hostileHead.FindAllStringSubmatchIndex(text, -1)
	end := len(text)
	if len(marks) > 0 {
		end = marks[0][0]
	}
	for line := range strings.Lines(text[:end]) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			head = append(head, line)
		}
	}
	answers = map[string][]hostileAnswer{}
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		a, err := readAnswer(text[m[1]:end])
		if err != nil {
			return nil, nil, err
		}
		at := text[m[2]:m[3]]
		answers[at] = append(answers[at], a)
	}
	return head, answers, nil
}

func readHostile(text string) (hostileCase, error) {
	head, answers, err := hostileParts(text)
	c := hostileCase{do: "login", server: "example.org", exit: -1, asks: map[string]int{}, tls: map[string]string{}, answers: answers}
	for _, line := range head {
		name, value, _ := strings.Cut(line, ":")
		value, err = unfold(strings.TrimSpace(value))
		var n int
		switch {
		case err != nil:
		case name == "row":
			c.row = value
		case name == "about": // for people
		case name == "do":
			c.do = value
		case name == "server":
			c.server = value
		case name == "args":
			c.args = strings.Fields(value)
		case name == "exit":
			c.exit, err = strconv.Atoi(value)
		case name == "says":
			c.says = append(c.says, value)
		case name == "hides":
			c.hides = append(c.hides, value)
		case name == "session":
			c.session = value
		case name == "asks":
			number, at, _ := strings.Cut(value, " ")
			n, err = strconv.Atoi(number)
			c.asks[at] = n
		case name == "lasts":
			c.lasts, err = strconv.Atoi(value)
		case name == "tls":
			kind, host, _ := strings.Cut(value, " ")
			c.tls[host] = kind
		default:
			err = fmt.Errorf("there is no header %q", name)
		}
		if err != nil {
			return c, err
		}
	}
	if c.session == "" {
		c.session = "kept"
		if c.do == "login" {
			c.session = map[bool]string{true: "stored", false: "none"}[c.exit == 0]
		}
	}
	if c.row == "" || c.exit < 0 {
		return c, fmt.Errorf("row and exit are missing")
	}
	return c, err
}

func readAnswer(text string) (hostileAnswer, error) {
	lines, body, _ := strings.Cut("\n"+text, "\n\n")
	a := hostileAnswer{cut: -1}
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		value, err := unfold(value)
		if err != nil {
			return a, err
		}
		switch name {
		case "at":
			a.at = value
		case "status":
			a.status, err = strconv.Atoi(value)
		case "header":
			a.header = append(a.header, value)
		case "body":
			a.kind = value
		case "encoding":
			a.encoding = value
		case "endless":
			a.endless = value
		case "wait":
			a.wait, err = strconv.Atoi(value)
		case "drip":
			a.drip, err = strconv.Atoi(value)
		case "cut":
			a.cut, err = strconv.Atoi(value)
		case "end":
			a.end = value
		default:
			err = fmt.Errorf("an answer has no %q", name)
		}
		if err != nil {
			return a, err
		}
	}
	body = strings.TrimRight(body, "\n")
	if a.kind == "raw" {
		body = strings.ReplaceAll(body, "\n", "\r\n")
	}
	a.body = body // written out when it is sent: some are long
	_, err := unfold(body)
	return a, err
}

// unfold writes $(hex …) and $(repeat …) out.
func unfold(s string) (string, error) {
	var bad error
	s = hostileMacro.ReplaceAllStringFunc(s, func(macro string) string {
		m := hostileMacro.FindStringSubmatch(macro)
		if m[1] == "hex" {
			b, err := hex.DecodeString(m[2])
			if err != nil {
				bad = err
			}
			return string(b)
		}
		number, text, _ := strings.Cut(m[2], " ")
		n, err := strconv.Atoi(number)
		if err != nil || text == "" {
			bad = fmt.Errorf("malformed %s", macro)
		}
		return strings.Repeat(text, n)
	})
	return s, bad
}

// rows are the rows that cases are about.
func rowsOf(cases []hostileCase) []string {
	rows := map[string]bool{}
	for _, c := range cases {
		rows[c.row] = true
	}
	return slices.Sorted(maps.Keys(rows))
}
