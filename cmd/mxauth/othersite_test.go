package main

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// S26: where the page belongs to another site, a person on a terminal is shown
// both and asked; a no, and nobody to ask, end the login.
func TestOtherSite(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		args   []string
		end    string
	}{
		"screen, no":  {"n", nil, "[exit 6]"},
		"screen, yes": {"y", nil, "[exit 0]"},
		"plain, no":   {"", []string{"--plain"}, "[exit 6]"},
		"plain, yes":  {"y", []string{"--plain"}, "[exit 0]"},
		"json":        {"-", []string{"--json"}, "[exit 6]"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			elsewhere := flowtest.Edit(func(all map[string]any) {
				all["verification_uri"] = "https://evil.test/link"
				delete(all, "verification_uri_complete")
			})
			s.Inject(flowtest.Device, elsewhere, elsewhere)
			b := unwatchedBox(t, "MXAUTH_STORE=plaintext") // plain lines leave the code on the terminal
			p := openPane(t, b, append([]string{"login", s.URL}, c.args...)...)
			if c.answer != "-" {
				screen := p.wait(`Go on\? y/N:`)
				if !strings.Contains(screen, "https://evil.test/link") || !strings.Contains(screen, s.Issuer) {
					t.Errorf("it does not show both:\n%s", screen)
				}
				p.do("send-keys", c.answer+"\n")
			}
			if c.answer == "y" {
				p.wait(`Waiting\.`)
				pending := s.Pending()
				if err := s.Approve(pending[len(pending)-1], "alice"); err != nil {
					t.Fatal(err)
				}
			}
			if end := p.wait(`\[exit \d+\]`); !strings.Contains(end, c.end) {
				t.Errorf("the terminal holds\n%s", end)
			}
			if n := s.Count(flowtest.Device); (n == 2) != (c.answer == "y") {
				t.Errorf("%d codes were asked for", n)
			}
		})
	}
}
