package tui

// Ranks of what stands with a link. Up to rankKeep it must fit beside a QR code,
// or the QR code goes.
const (
	rankKeep = 2
	rankNice = 3
	rankMore = 4
)

// scanOr leads to the link, where there is a QR code.
const scanOr = "Scan the QR code, or open"

// A poster is a link that is to be opened on some device: with a QR code where
// one fits, in text always.
type poster struct {
	link    string // to read and to type
	qr      qrCode // of this link or of one that says more; its text may be empty
	noQR    string // why there is no QR code
	tooLong string // what to say where the link does not fit

	// words arranges what stands under or beside the QR code.
	words func(wording) []block
}

// A wording is one way to put a poster in words.
type wording struct {
	w     int  // columns
	tight bool // short words, fewer rows
	link  []block
	aside string // why there is no QR code
}

// para is a block of wrapped text.
func (o wording) para(rank int, gap bool, text string) block {
	return block{rank: rank, gap: gap, lines: sayAll(fold(text, o.w))}
}

// A variant is one way to arrange a poster with a QR code.
type variant struct {
	zone   int
	beside bool
	tight  bool
}

// keep is the highest rank that must stand beside the QR code.
func (v variant) keep() int {
	if v.tight {
		return rankKeep
	}
	return rankMore
}

// draw takes the richest arrangement that fits.
func (p poster) draw(c canvas) []line {
	if p.qr.text != "" {
		for _, v := range []variant{
			{zoneWide, true, false}, {zoneSmall, true, false}, {zoneSmall, true, true},
			{zoneWide, false, false}, {zoneSmall, false, false}, {zoneSmall, false, true},
		} {
			if lines, ok := p.withQR(c, v); ok {
				return lines
			}
		}
	}
	o := wording{w: c.w, aside: p.noQR}
	if p.qr.text != "" {
		o.aside = "Enlarge the window for the QR code."
	}
	for _, tight := range []bool{false, true} {
		o.tight, o.link = tight, p.linkBlocks(c, "Open", c.w, tight)
		if lines, ok := fit(p.words(o), c.h, rankMore); ok {
			return lines
		}
	}
	return squeeze(p.words(o), c.h)
}

// withQR draws one variant, if it fits.
func (p poster) withQR(c canvas, v variant) ([]line, bool) {
	halves := c.palette.utf8
	cols, rows := p.qr.dimensions(v.zone, halves)
	if cols > c.w || rows > c.h {
		return nil, false
	}
	if !v.beside {
		o := wording{w: c.w, tight: v.tight, link: p.linkBlocks(c, scanOr, c.w, v.tight)}
		text, ok := fit(p.words(o), c.h-rows, v.keep())
		return append(p.qr.lines(v.zone, halves), text...), ok
	}
	w := c.w - cols - gutter
	if w < textMin {
		return nil, false
	}
	o := wording{w: w, tight: v.tight}
	if len(p.link) <= w || len(p.link) > c.w {
		o.link = p.linkBlocks(c, scanOr, w, v.tight)
		text, ok := fit(p.words(o), c.h, v.keep())
		return beside(p.qr.lines(v.zone, halves), text), ok
	}
	// The link would break beside the code and does not below it.
	o.link = []block{o.para(0, true, scanOr+" the link below")}
	text, ok := fit(p.words(o), c.h-1, v.keep())
	if !ok || rows > c.h-1 {
		return nil, false
	}
	return append(beside(p.qr.lines(v.zone, halves), text), p.linkLines(c.w)...), true
}

// fits reports whether the whole link, a code and the keys have room.
func (p poster) fits(c canvas) bool { return len(hardFold(p.link, c.w))+2 <= c.h }

// linkBlocks lead to the link and show it, or tell why not.
func (p poster) linkBlocks(c canvas, lead string, w int, tight bool) []block {
	link := block{lines: p.linkLines(w)}
	switch {
	case !p.fits(c):
		return []block{{gap: true, lines: sayAll(fold(p.tooLong, w))}}
	case tight:
		return []block{link}
	}
	return []block{{gap: true, lines: sayAll(fold(lead, w))}, link}
}

// linkLines is the link by itself, broken only where the window ends.
func (p poster) linkLines(w int) []line {
	var lines []line
	for _, part := range hardFold(p.link, w) {
		lines = append(lines, line{{text: part, look: underlined, link: p.link}})
	}
	return lines
}
