package tui

import (
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

func TestField(t *testing.T) {
	text := func(s string) tea.KeyPressMsg { return tea.KeyPressMsg{Code: []rune(s)[0], Text: s} }
	code := func(r rune) tea.KeyPressMsg { return tea.KeyPressMsg{Code: r} }
	ctrl := func(r rune) tea.KeyPressMsg { return tea.KeyPressMsg{Code: r, Mod: tea.ModCtrl} }
	tests := []struct {
		name, before string
		keys         []tea.KeyPressMsg
		want         string
		at           int
	}{
		{"typing", "", []tea.KeyPressMsg{text("a"), text("語"), text("b")}, "a語b", 3},
		{"no blanks", "", []tea.KeyPressMsg{text("a"), text(" "), text("b")}, "ab", 2},
		{"backspace", "a語", []tea.KeyPressMsg{code(tea.KeyBackspace)}, "a", 1},
		{"backspace at the start", "ab", []tea.KeyPressMsg{code(tea.KeyHome), code(tea.KeyBackspace)}, "ab", 0},
		{"in the middle", "ac", []tea.KeyPressMsg{code(tea.KeyLeft), text("b")}, "abc", 2},
		{"delete", "abc", []tea.KeyPressMsg{code(tea.KeyHome), code(tea.KeyDelete)}, "bc", 0},
		{"delete at the end", "abc", []tea.KeyPressMsg{code(tea.KeyDelete)}, "abc", 3},
		{"right beyond the end", "a", []tea.KeyPressMsg{code(tea.KeyRight), code(tea.KeyRight)}, "a", 1},
		{"a mark goes with its letter", "ae\u0301", []tea.KeyPressMsg{code(tea.KeyBackspace)}, "a", 1},
		{"left over a mark", "ae\u0301", []tea.KeyPressMsg{code(tea.KeyLeft), text("x")}, "axe\u0301", 2},
		{"to the start", "abc", []tea.KeyPressMsg{code(tea.KeyLeft), ctrl('u')}, "c", 0},
		{"to the end", "abc", []tea.KeyPressMsg{ctrl('a'), code(tea.KeyRight), ctrl('k')}, "a", 1},
		{"a label", "matrix.example.org", []tea.KeyPressMsg{ctrl('w')}, "matrix.example.", 15},
		{"nothing known", "a", []tea.KeyPressMsg{code(tea.KeyF5)}, "a", 1},
	}
	for _, tt := range tests {
		f := newField(tt.before)
		for _, k := range tt.keys {
			f = f.edit(k)
		}
		if f.String() != tt.want || f.at != tt.at {
			t.Errorf("%s: %q, cursor %d; want %q, %d", tt.name, f, f.at, tt.want, tt.at)
		}
	}
}

// Fields are values: editing a copy leaves the original.
func TestFieldIsAValue(t *testing.T) {
	f := newField("matrix.org")
	f.at = 3
	f.insert("xxx")
	f.erase(0, 5)
	if f.String() != "matrix.org" {
		t.Errorf("changed to %q", f)
	}
}

func TestFieldPaste(t *testing.T) {
	if f := newField("").insert("\x1b[31m  matrix.org\r\nrm -rf /\n"); f.String() != "[31m matrix.org rm -rf /" {
		t.Errorf("pasted %q", f)
	}
	long := newField("").insert(address(2000)).insert("more")
	if len(long.text) != fieldMax || long.at != fieldMax {
		t.Errorf("holds %d", len(long.text))
	}
}

// The cursor is always in sight.
func TestFieldWindow(t *testing.T) {
	for _, text := range []string{"", "a", "matrix.example.org", "サーバー名サーバー名サーバー名", "e\u0301e\u0301e\u0301e\u0301"} {
		f := newField(text)
		for f.at = range len(f.text) + 1 {
			for w := range 12 {
				part, column := f.window(w)
				if ansi.StringWidth(part) > max(w-1, 0) || column > max(w-1, 0) {
					t.Errorf("%q at %d in %d columns: %q, cursor %d", text, f.at, w, part, column)
				}
			}
		}
	}
}
