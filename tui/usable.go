package tui

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/term"
)

// environ is a list of KEY=value, as [os.Environ] returns it.
type environ []string

// get returns the last value of key, empty if there is none.
func (e environ) get(key string) string {
	for i := len(e) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(e[i], "="); ok && k == key {
			return v
		}
	}
	return ""
}

// utf8 reports whether the locale says that the terminal speaks UTF-8. Where no
// locale is set at all, as in most containers, the terminal in front of it
// nearly always does.
func (e environ) utf8() bool {
	for _, key := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(e.get(key)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8") || runtime.GOOS == "windows"
		}
	}
	return true
}

// Usable reports whether the screen can be used: both files are terminals, the
// terminal can move its cursor (TERM is set and not "dumb"), and the user did
// not ask for plain text by setting ACCESSIBLE. Otherwise use [Lines]. A nil
// env stands for [os.Environ].
func Usable(in, out *os.File, env []string) bool {
	if env == nil {
		env = os.Environ()
	}
	e := environ(env)
	kind := e.get("TERM")
	if kind == "dumb" || kind == "" && runtime.GOOS != "windows" || e.get("ACCESSIBLE") != "" {
		return false
	}
	return isTerminal(in) && isTerminal(out)
}

func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }
