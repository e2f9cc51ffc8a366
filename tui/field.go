package tui

import (
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/mxauth/mxauth/flow"
)

// How much a field holds, in characters: a name of a server, or an address out of
// a browser with a code in it.
const (
	fieldMax   = 300
	addressMax = 16 << 10
)

// A field is one line of text being typed. It is a value.
type field struct {
	text []rune
	at   int // where the cursor stands, 0 to len(text)
	max  int // how much it holds; 0: fieldMax
}

func newField(text string) field { return field{}.insert(text) }

func (f field) String() string { return string(f.text) }

// insert puts text at the cursor, cleaned: what is pasted may be anything.
func (f field) insert(text string) field {
	most := fieldMax
	if f.max > 0 {
		most = f.max
	}
	more := []rune(flow.Clean(text, most))
	if room := most - len(f.text); len(more) > room {
		more = more[:max(room, 0)]
	}
	f.text = append(append(f.text[:f.at:f.at], more...), f.text[f.at:]...)
	f.at += len(more)
	return f
}

// erase removes the characters from..to.
func (f field) erase(from, to int) field {
	from, to = max(from, 0), min(to, len(f.text))
	f.text = append(f.text[:from:from], f.text[to:]...)
	f.at = from
	return f
}

// edit takes one key.
func (f field) edit(k tea.KeyPressMsg) field {
	switch k.String() {
	case "left", "ctrl+b":
		f.at = f.back()
	case "right", "ctrl+f":
		f.at = f.forward()
	case "home", "ctrl+a":
		f.at = 0
	case "end", "ctrl+e":
		f.at = len(f.text)
	case "backspace", "ctrl+h":
		return f.erase(f.back(), f.at)
	case "delete", "ctrl+d":
		return f.erase(f.at, f.forward())
	case "ctrl+u":
		return f.erase(0, f.at)
	case "ctrl+k":
		return f.erase(f.at, len(f.text))
	case "ctrl+w":
		return f.erase(f.word(), f.at)
	default:
		if k.Text != "" && k.Text != " " { // no name of a server holds a blank
			return f.insert(k.Text)
		}
	}
	return f
}

// back and forward step over one character with the marks that combine with it.
func (f field) back() int {
	i := max(f.at-1, 0)
	for i > 0 && unicode.Is(unicode.M, f.text[i]) {
		i--
	}
	return i
}

func (f field) forward() int {
	i := min(f.at+1, len(f.text))
	for i < len(f.text) && unicode.Is(unicode.M, f.text[i]) {
		i++
	}
	return i
}

// word is where the label before the cursor begins: names have dots.
func (f field) word() int {
	i := f.at
	for i > 0 && !unicode.IsLetter(f.text[i-1]) && !unicode.IsDigit(f.text[i-1]) {
		i--
	}
	for i > 0 && (unicode.IsLetter(f.text[i-1]) || unicode.IsDigit(f.text[i-1])) {
		i--
	}
	return i
}

// window returns the part around the cursor that fits into w columns, one of
// them for the cursor itself, and the cursor's column in it.
func (f field) window(w int) (text string, column int) {
	if w < 2 {
		return "", 0
	}
	from := 0
	for ansi.StringWidth(string(f.text[from:f.at])) > w-1 {
		from++
	}
	column = ansi.StringWidth(string(f.text[from:f.at]))
	return ansi.Truncate(string(f.text[from:]), w-1, ""), column
}
