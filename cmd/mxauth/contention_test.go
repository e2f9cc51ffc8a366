package main

import (
	"strings"
	"sync"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
	"github.com/mxauth/mxauth/keystore/keystoretest"
)

// TestManyTokens starts 50 processes on one expired token: the server must see
// one refresh, and all of them must print what it gave.
func TestManyTokens(t *testing.T) {
	const processes = 50
	for store, start := range map[string]func(*testing.T) box{
		"plaintext": func(t *testing.T) box { return newBox(t, "MXAUTH_STORE=plaintext") },
		"file":      sealedBox,
		"keyring":   func(t *testing.T) box { return newBox(t, keystoretest.StartSecretService(t)...) },
	} {
		for name, args := range map[string][]string{
			"expired":        {"token"},
			"never enough":   {"token", "--min-ttl", "8760h"},
			"another's work": {"token", "-o", "header"},
		} {
			t.Run(store+"/"+name, func(t *testing.T) {
				s := startServer(t, flowtest.WithStrictRotation())
				b := start(t)
				b.expired(s)
				results := make([]result, processes)
				var all sync.WaitGroup
				for i := range results {
					all.Go(func() { results[i] = b.run(args...) })
				}
				all.Wait()
				for i, r := range results {
					if r.code != 0 || r.stdout != results[0].stdout || !strings.Contains(r.stdout, "mat_") {
						t.Errorf("process %d: exit %d, another token than process 0, or none: %s", i, r.code, r.stderr)
					}
				}
				if n := s.Count(flowtest.Refresh); n != 1 {
					t.Errorf("%d refreshes reached the server, want 1", n)
				}
			})
		}
	}
}

// TestSessionsDoNotWait holds one session's refresh at the server: another
// session must not notice.
func TestSessionsDoNotWait(t *testing.T) {
	slow, quick := startServer(t), startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(slow, "--name", "slow")
	b.loggedIn(quick, "--name", "quick")
	slow.Inject(flowtest.Refresh, flowtest.Hang())
	held := b.command("refresh", "slow")
	if err := held.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the refresh is at the server", func() bool { return slow.Count(flowtest.Refresh) > 0 })
	b.must(0, "refresh", "quick")
	b.must(0, "token", "slow") // reading waits for nobody
	if err := held.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = held.Wait() // it was killed
	b.must(0, "refresh", "slow")
}
