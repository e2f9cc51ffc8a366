package main

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestAdviceFits asks two servers for what they do not offer. What to do next
// must be about that.
func TestAdviceFits(t *testing.T) {
	t.Run("no way to end a session", func(t *testing.T) {
		s := startServer(t)
		s.Inject(flowtest.Metadata, flowtest.Edit(func(all map[string]any) { delete(all, "revocation_endpoint") }))
		b := newBox(t, "MXAUTH_STORE=plaintext")
		b.loggedIn(s, "--name", "my bot")
		if said := b.must(6, "logout").stderr; !strings.Contains(said, "mxauth logout 'my bot' --local-only") {
			t.Errorf("it says %q", said)
		}
		b.must(0, "token", "my bot")
	})
	t.Run("nobody to ask whose session it is", func(t *testing.T) {
		s := startServer(t)
		b := newBox(t, "MXAUTH_STORE=plaintext")
		if done, code := b.login(approveAs(t, s, "root"), s.URL, "--name", "admin", "--scope", "mas-admin"); code != 0 {
			t.Fatal(done.Error)
		}
		if said := b.must(6, "whoami").stderr; strings.Contains(said, "logout") || !strings.Contains(said, "Your login is kept.") {
			t.Errorf("it says %q", said)
		}
	})
}
