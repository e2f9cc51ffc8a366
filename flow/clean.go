package flow

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// saidMax is how much of a server's own words is repeated, in characters.
const saidMax = 200

// Clean makes text from elsewhere fit to be printed: one line, at most max
// characters, without control, format and private-use characters and without
// the two letters that look like nothing. Runs of blanks become one. Clean is
// idempotent.
func Clean(s string, max int) string {
	var b strings.Builder
	n, blank := 0, true
	for _, r := range s {
		if hidden(r) {
			r = ' '
		}
		if unicode.IsSpace(r) {
			if blank {
				continue
			}
			r, blank = ' ', true
		} else {
			blank = false
		}
		if n++; n > max {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " ")
}

// hidden tells characters that a terminal obeys, or that nobody sees.
func hidden(r rune) bool {
	switch r {
	case unicode.ReplacementChar, '\u3164', '\u2800', '\u115F', '\u1160', '\uFFA0':
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp)
}

// redact masks every secret, as it is and as a form or a path carries it:
// servers echo what they were sent. Longer ones go first, because one secret may
// be a part of another, and all in one pass, because one may be a part of the
// mask.
func redact(s string, secrets []Secret) string {
	var spellings []string
	for _, secret := range secrets {
		if v := secret.Reveal(); v != "" {
			spellings = append(spellings, v, url.QueryEscape(v), url.PathEscape(v))
		}
	}
	slices.SortFunc(spellings, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, v := range spellings {
		pairs = append(pairs, v, masked)
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// printable reports whether s is made of VSCHAR only (RFC 6749 appendix A) and
// is 1 to max bytes long.
func printable(s string, max int) bool {
	if s == "" || len(s) > max {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
