package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestMinTTL asks for tokens that last, of servers whose tokens live long and
// short. A refresh ends the token before it, so it may happen only where the
// token that is there cannot do.
func TestMinTTL(t *testing.T) {
	const life = 5 * time.Minute // of a new token
	for name, c := range map[string]struct {
		left   time.Duration // life of the token that is there
		minTTL string        // empty: the default
		wants  int           // refreshes
		warns  bool
	}{
		"default, enough left":         {100 * time.Second, "", 0, false},
		"default, a little more left":  {80 * time.Second, "", 0, false},
		"default, a little less left":  {55 * time.Second, "", 1, false},
		"default, dead":                {0, "", 1, false},
		"asked for less":               {100 * time.Second, "90s", 0, false},
		"asked for a little more":      {100 * time.Second, "110s", 1, false},
		"asked for nothing":            {5 * time.Second, "0s", 0, false},
		"asked for nothing, dead":      {0, "0s", 1, false},
		"asked for all":                {life, "5m", 0, true}, // born this moment: no other lives longer
		"asked for more than there is": {0, "8760h", 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, flowtest.WithTokenLifetime(life))
			b := newBox(t, "MXAUTH_STORE=plaintext")
			b.loggedIn(s)
			b.age(life - c.left)
			args := []string{"token"}
			if c.minTTL != "" {
				args = append(args, "--min-ttl", c.minTTL)
			}
			first := b.must(0, args...)
			if n := s.Count(flowtest.Refresh); n != c.wants {
				t.Errorf("%d refreshes, want %d", n, c.wants)
			}
			if warned := strings.Contains(first.stderr, "for 5m0s only"); warned != c.warns {
				t.Errorf("it said %q", first.stderr)
			}
			// Whoever asks for the same a moment later must not end that token.
			if again := b.must(0, args...); again.stdout != first.stdout {
				t.Error("a second call brought another token")
			}
		})
	}
	newBox(t).must(2, "token", "--min-ttl", "-1s")
}

// age makes the token in a plain file older than it is.
func (b box) age(by time.Duration) {
	b.t.Helper()
	files, err := filepath.Glob(filepath.Join(b.dir, "state", "sessions", "*.plain"))
	if err != nil || len(files) != 1 {
		b.t.Fatal(files, err)
	}
	var record map[string]any
	if err := json.Unmarshal([]byte(read(b.t, files[0])), &record); err != nil {
		b.t.Fatal(err)
	}
	for _, member := range []string{"issued", "expiry"} {
		text, _ := record[member].(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			b.t.Fatal(err)
		}
		record[member] = at.Add(-by).Format(time.RFC3339Nano)
	}
	text, err := json.Marshal(record)
	if err == nil {
		err = os.WriteFile(files[0], text, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
