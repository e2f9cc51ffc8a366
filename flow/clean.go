package flow

import (
	"strconv"
	"strings"
	"unicode"
)

// saidMax is how much of a server's own words is repeated, in characters.
const saidMax = 200

// repeatMax is how much of a text is searched for secrets, in characters. It is
// far more than what is shown of it.
const repeatMax = 4 << 10

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

// repeat makes what a server or a library said fit to be shown: cleaned, without
// the secrets, at most max characters. It is cleaned first: taking a hidden
// character out of a secret must not be a way to show it. And it is cut first: the
// server chooses the text and the tokens, and could keep us busy with both.
func repeat(s string, secrets []Secret, max int) string {
	return Clean(redact(Clean(s, repeatMax), secrets), max)
}

// redact masks every secret, as it is and as a URL, a form or a JSON string has
// it: servers echo what they were sent. (What a Basic header carries is a secret
// of its own, see send.) Secrets that touch share a mask, so that a short one does
// not let a part of a longer one through.
func redact(s string, secrets []Secret) string {
	if s == "" {
		return s
	}
	hide := make([]bool, len(s))
	for _, secret := range secrets {
		for _, word := range []string{secret.Reveal(), Clean(secret.Reveal(), tokenMax)} {
			for _, spelt := range []spelling{asItIs, inURL, inJSON} {
				spelt.mark(hide, s, word)
			}
		}
	}
	var b strings.Builder
	for i := range hide {
		switch {
		case !hide[i]:
			b.WriteByte(s[i])
		case i == 0 || !hide[i-1]:
			b.WriteString(masked)
		}
	}
	return b.String()
}

// A spelling tells how many bytes at the beginning of s stand for one byte; 0: none.
type spelling func(s string, b byte) int

// mark marks where s spells a word.
func (spelt spelling) mark(hide []bool, s, word string) {
	for i := range len(s) {
		for j := range spelt.length(s[i:], word) {
			hide[i+j] = true
		}
	}
}

// length is how many bytes at the beginning of s spell a word; 0: it does not.
func (spelt spelling) length(s, word string) int {
	at := 0
	for i := range len(word) {
		n := spelt(s[at:], word[i])
		if n == 0 {
			return 0
		}
		at += n
	}
	return at
}

func asItIs(s string, b byte) int {
	if s == "" || s[0] != b {
		return 0
	}
	return 1
}

// inURL knows queries, paths and forms, whichever bytes they escape.
func inURL(s string, b byte) int {
	switch {
	case len(s) > 2 && s[0] == '%' && isHex(s[1:3], b):
		return 3
	case s != "" && s[0] == '+' && b == ' ':
		return 1
	}
	return asItIs(s, b)
}

func inJSON(s string, b byte) int {
	switch {
	case len(s) > 5 && s[0] == '\\' && s[1] == 'u' && isHex(s[2:6], b):
		return 6
	case len(s) > 1 && s[0] == '\\' && s[1] == b && strings.IndexByte(`"\/`, b) >= 0:
		return 2
	}
	return asItIs(s, b)
}

func isHex(digits string, b byte) bool {
	n, err := strconv.ParseUint(digits, 16, 8)
	return err == nil && byte(n) == b
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
