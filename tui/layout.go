package tui

// gutter is the space between a QR code and the text beside it.
const gutter = 2

// textMin is the least width of text beside a QR code.
const textMin = 26

// A block is what stands or goes as one: a sentence, a link, a row of keys. Rank
// 0 stays to the last; where the window is too low, higher ranks go first.
type block struct {
	rank  int
	lines []line
	gap   bool // wants a blank line above it, where there is room
}

// height counts the rows that blocks need.
func height(blocks []block, gaps bool) int {
	n := 0
	for i, b := range blocks {
		n += len(b.lines)
		if gaps && b.gap && i > 0 {
			n++
		}
	}
	return n
}

// stack puts blocks under one another.
func stack(blocks []block, gaps bool) []line {
	var out []line
	for i, b := range blocks {
		if gaps && b.gap && i > 0 {
			out = append(out, nil)
		}
		out = append(out, b.lines...)
	}
	return out
}

// drop leaves out the last of the blocks with the highest rank above keep.
func drop(blocks []block, keep int) ([]block, bool) {
	at := -1
	for i, b := range blocks {
		if b.rank > keep && (at < 0 || b.rank >= blocks[at].rank) {
			at = i
		}
	}
	if at < 0 {
		return blocks, false
	}
	return append(blocks[:at:at], blocks[at+1:]...), true
}

// fit arranges blocks in h rows: airy, tight, or with the least important ones
// left out. Blocks up to rank keep must stay; ok tells whether they could.
func fit(blocks []block, h, keep int) (lines []line, ok bool) {
	for _, gaps := range []bool{true, false} {
		if height(blocks, gaps) <= h {
			return stack(blocks, gaps), true
		}
	}
	for height(blocks, false) > h {
		if blocks, ok = drop(blocks, keep); !ok {
			return stack(blocks, false)[:max(h, 0)], false
		}
	}
	return stack(blocks, false), true
}

// squeeze is fit for what has to be shown somehow: what must stay is cut at the
// end.
func squeeze(blocks []block, h int) []line {
	lines, _ := fit(blocks, h, 0)
	return lines
}

// beside puts text to the right of a picture.
func beside(picture, text []line) []line {
	w := 0
	for _, l := range picture {
		w = max(w, l.width())
	}
	var out []line
	for i := range max(len(picture), len(text)) {
		var l line
		if i < len(picture) {
			l = picture[i]
		}
		if i < len(text) && len(text[i]) > 0 {
			l = append(l.pad(w+gutter), text[i]...)
		}
		out = append(out, l)
	}
	return out
}
