package tui

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// checkText looks at what is true of every frame: it fits the window, and holds
// no escape that is not ours. It returns the text without those.
func checkText(t *testing.T, name string, w, h int, content string) string {
	t.Helper()
	rows := strings.Split(content, "\n")
	if content != "" && len(rows) > h {
		t.Fatalf("%s: %d rows at %dx%d:\n%s", name, len(rows), w, h, content)
	}
	for _, r := range rows {
		if n := ansi.StringWidth(r); n > w {
			t.Fatalf("%s: %d columns at %dx%d: %q", name, n, w, h, r)
		}
	}
	rest := ours().ReplaceAllString(content, "")
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e }); i >= 0 {
		t.Fatalf("%s: a control character in %q", name, rest[i:min(len(rest), i+30)])
	}
	return rest
}

// ours finds the escapes that the screens draw with.
var ours = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\x1b\[(1|4|32|1;31|38;5;231;48;5;16|48;5;231|48;5;16)?m|\x1b\]8;;[!-~]*\x07`)
})

// everySize calls f for windows of all kinds, the impossible ones too.
func everySize(f func(w, h int)) {
	for w := range 130 {
		if w > 24 && w%20 > 1 && w%20 != 19 {
			continue
		}
		for h := range 30 {
			if h < 8 || h%4 == 0 {
				f(w, h)
			}
		}
	}
}

// golden compares a screen with the one that was looked at. Set UPDATE to write
// them anew.
func golden(t *testing.T, name string, size [2]int, text string) {
	t.Helper()
	got := regexp.MustCompile(`(?m) +$`).ReplaceAllString(text, "") + "\n"
	file := filepath.Join("testdata", fmt.Sprintf("%s-%dx%d.txt", name, size[0], size[1]))
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}
