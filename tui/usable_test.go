package tui

import (
	"os"
	"testing"
)

func TestUsable(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, f := range []*os.File{null, r, nil} {
		if Usable(f, f, []string{"TERM=xterm"}) {
			t.Errorf("%v passes for a terminal", f)
		}
	}
}

func TestUsableTerminal(t *testing.T) {
	term, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil || !isTerminal(term) {
		t.Skip("this system has no /dev/ptmx that is a terminal")
	}
	defer term.Close()
	for env, want := range map[string]bool{"TERM=xterm": true, "TERM=linux": true, "TERM=dumb": false, "TERM=": false, "ACCESSIBLE=": true, "ACCESSIBLE=1": false} {
		if got := Usable(term, term, []string{"TERM=xterm", env}); got != want {
			t.Errorf("%s: %v", env, got)
		}
	}
	if Usable(term, nil, []string{"TERM=xterm"}) || Usable(nil, term, []string{"TERM=xterm"}) {
		t.Error("one terminal passes for two")
	}
}

func TestLocale(t *testing.T) {
	tests := []struct {
		env  environ
		want bool
	}{
		{environ{"LANG=C.UTF-8"}, true},
		{environ{"LANG=de_DE.utf8"}, true},
		{environ{"LANG=C"}, false},
		{environ{"LANG=de_DE.UTF-8", "LC_ALL=POSIX"}, false},
		{environ{"LANG=de_DE.ISO-8859-1", "LC_CTYPE=de_DE.UTF-8"}, true},
		{environ{"LANG=", "LC_ALL="}, true},
		{environ{"LANG=C", "LANG=C.UTF-8"}, true},
		{nil, true},
	}
	for _, tt := range tests {
		if got := tt.env.utf8(); got != tt.want {
			t.Errorf("%v: %v", tt.env, got)
		}
	}
}
