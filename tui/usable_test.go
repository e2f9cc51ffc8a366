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
