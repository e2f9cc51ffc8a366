package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// A key of the screen M is declared once, for the dispatch, the help line and
// the help page.
type key[M any] struct {
	names []string // as Bubble Tea spells them; the first is shown
	label string   // empty: the key is not on the help line
	short string   // label for narrow windows; empty: label
	help  string   // a sentence on the help page; empty: the key is not on it
	do    func(M) (M, tea.Cmd)
}

// pressed finds what a key does; nil if nothing.
func pressed[M any](keys []key[M], name string) func(M) (M, tea.Cmd) {
	for _, k := range keys {
		for _, n := range k.names {
			if n == name {
				return k.do
			}
		}
	}
	return nil
}

// common takes the keys that mean the same on every screen. While the help page
// is shown, any key goes back; those that leave do so as well.
func (c canvas) common(name string) (next canvas, cmd tea.Cmd, taken bool) {
	if name == "ctrl+z" {
		c.hidden = true // suspending draws once more: nothing secret
		return c, tea.Suspend, true
	}
	if c.help {
		c.help = false
		return c, nil, name != "ctrl+c" && name != "q"
	}
	return c, nil, false
}

// spelling names a key as keys declare it: letters in lower case, and by their
// place on the keyboard where the layout is not Latin and the terminal tells.
func spelling(k tea.KeyPressMsg) string {
	if k.Text != "" && k.Text[0] >= 0x80 && k.BaseCode > ' ' && k.BaseCode < 0x7f && k.Mod == 0 {
		return string(k.BaseCode)
	}
	if len(k.Text) == 1 {
		return strings.ToLower(k.Text)
	}
	return k.String()
}

// keyBlocks list the keys, in as many rows as they need. Where rows are dear,
// the way out and the way to help stay longest.
func keyBlocks[M any](keys []key[M], w int, short bool) []block {
	if !short {
		return []block{{rank: 1, gap: true, lines: keyRows(keys, w, false)}}
	}
	var first, last []key[M]
	for _, k := range keys {
		if k.label == "quit" || k.label == "help" {
			last = append(last, k)
		} else {
			first = append(first, k)
		}
	}
	return []block{{rank: rankNice, gap: true, lines: keyRows(first, w, true)}, {rank: 1, lines: keyRows(last, w, true)}}
}

func keyRows[M any](keys []key[M], w int, short bool) []line {
	var rows []line
	var row line
	for _, k := range keys {
		label := k.label
		if short && k.short != "" {
			label = k.short
		}
		if label == "" {
			continue
		}
		item := line{{text: k.names[0], look: bold}, {text: " " + label}}
		if len(row) > 0 && row.width()+2+item.width() > w {
			rows, row = append(rows, row), nil
		}
		if len(row) > 0 {
			row = append(row, span{text: "  "})
		}
		row = append(row, item...)
	}
	if len(row) > 0 {
		rows = append(rows, row)
	}
	return rows
}

// keyHelp explains the keys, one in each block.
func keyHelp[M any](keys []key[M], w int) []block {
	wide := 0
	for _, k := range keys {
		if k.help != "" {
			wide = max(wide, len(k.names[0]))
		}
	}
	var blocks []block
	for _, k := range keys {
		if k.help == "" {
			continue
		}
		name := line{{text: "  "}, {text: k.names[0], look: bold}}
		blocks = append(blocks, block{rank: 1, gap: len(blocks) == 0, lines: labelled(name, k.help, wide+4, w)})
	}
	return blocks
}
