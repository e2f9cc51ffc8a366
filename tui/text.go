package tui

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/mxauth/mxauth/flow"
)

// A look is how a span is drawn. Looks repeat what the words say.
type look int

const (
	plain look = iota
	bold
	good
	bad
	underlined
	symbol // rows of a QR code made of block glyphs
	white  // one module of a QR code made of coloured blanks
	black
)

// A span is a run of text in one look. The text holds no escape sequence.
type span struct {
	text string
	look look
	link string // the address that a click on it opens; may be empty
}

// A line is one row of the screen.
type line []span

func say(text string) line    { return line{{text: text}} }
func strong(text string) line { return line{{text: text, look: bold}} }

// heading is the first block of a page.
func heading(text string, w int) block {
	b := block{rank: rankKeep}
	for _, row := range fold(text, w) {
		b.lines = append(b.lines, strong(row))
	}
	return b
}

// sayAll makes one line of each text.
func sayAll(texts []string) []line {
	lines := make([]line, len(texts))
	for i, t := range texts {
		lines[i] = say(t)
	}
	return lines
}

// width counts columns.
func (l line) width() int {
	n := 0
	for _, s := range l {
		n += ansi.StringWidth(s.text)
	}
	return n
}

// cut drops what stands right of column w.
func (l line) cut(w int) line {
	if l.width() <= w {
		return l
	}
	var out line
	for _, s := range l {
		s.text = ansi.Truncate(s.text, w, "")
		w -= ansi.StringWidth(s.text)
		if s.text != "" {
			out = append(out, s)
		}
	}
	return out
}

// pad fills a line with blanks up to column w.
func (l line) pad(w int) line {
	if n := w - l.width(); n > 0 {
		l = append(l[:len(l):len(l)], span{text: strings.Repeat(" ", n)})
	}
	return l
}

// marked is text that begins with its state, and wraps beside it where there is
// room.
func marked(l look, state, text string, w int) []line {
	indent := len(state) + 1
	if w < 30 {
		indent = 0
	}
	rows := fold(text, w-indent)
	if indent == 0 {
		rows = fold(state+" "+text, w)
	}
	var lines []line
	for i, row := range rows {
		switch {
		case i == 0 && indent > 0:
			lines = append(lines, mark(l, state, row))
		case i == 0 && len(row) > len(state):
			lines = append(lines, mark(l, state, row[len(state)+1:]))
		default:
			lines = append(lines, say(strings.Repeat(" ", indent)+row))
		}
	}
	return lines
}

// labelled is a value that wraps beside its label, at the given column, or under
// it in a narrow window.
func labelled(label line, value string, column, w int) []line {
	if w < 2*column {
		return append([]line{label}, sayAll(fold(value, w))...)
	}
	var lines []line
	for i, row := range fold(value, w-column) {
		l := line(nil)
		if i == 0 {
			l = label
		}
		lines = append(lines, append(l.pad(column), span{text: row}))
	}
	return lines
}

// mark is a row that begins with its state.
func mark(l look, state, text string) line {
	return line{{text: state, look: l}, {text: " " + text}}
}

// fold breaks text into lines of at most w columns, at blanks where it can.
func fold(text string, w int) []string {
	if w < 1 {
		return nil
	}
	var out []string
	row, used := "", 0
	for _, word := range strings.Fields(text) {
		n := ansi.StringWidth(word)
		if row != "" && used+1+n <= w {
			row, used = row+" "+word, used+1+n
			continue
		}
		if row != "" {
			out = append(out, row)
		}
		parts := hardFold(word, w)
		out = append(out, parts[:len(parts)-1]...)
		row = parts[len(parts)-1]
		used = ansi.StringWidth(row)
	}
	if row != "" {
		out = append(out, row)
	}
	return out
}

// hardFold breaks one word wherever the row ends. It returns at least one part.
func hardFold(word string, w int) []string {
	if ansi.StringWidth(word) <= w {
		return []string{word}
	}
	parts := strings.Split(ansi.Hardwrap(word, w, true), "\n")
	if len(parts) > 1 && parts[0] == "" { // before a character wider than w
		parts = parts[1:]
	}
	return parts
}

// clean makes text from elsewhere fit to be drawn.
func clean(s string) string { return flow.Clean(s, 600) }

// drawable reports whether s can be shown as it is: visible ASCII and nothing
// else. Links and codes are not cleaned but refused, because what people copy
// must be what the server sent.
func drawable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// asciiOnly replaces what a terminal without UTF-8 would garble.
func asciiOnly(s string) string {
	return strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, s)
}

// minutes writes m:ss, rounded up to a whole second.
func minutes(d time.Duration) string {
	s := int((max(d, 0) + time.Second - 1) / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// seconds writes whole seconds.
func seconds(d time.Duration) string { return fmt.Sprintf("%d s", int(d.Seconds())) }

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s = capital(s); s == "" {
		return s
	}
	if last := s[len(s)-1]; last != '.' && last != '!' && last != '?' {
		s += "."
	}
	return s
}

// capital begins with a capital letter, if that is one of a to z.
func capital(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

// host is the part of an address that people compare.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return clean(address)
	}
	return clean(u.Host)
}
