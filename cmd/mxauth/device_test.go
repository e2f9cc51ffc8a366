package main

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestLoginAgainAsTheSameDevice replaces a session whose consumer has end-to-end
// keys: the device must be there before, between and after.
func TestLoginAgainAsTheSameDevice(t *testing.T) {
	const device = "BOTDEVICE12"
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	b.loggedIn(s, "--name", "bot", "--device-id", device)
	for range 2 {
		b.loggedIn(s, "--name", "bot", "--device-id", device)
		if got := deviceOf(t, b); got != device || s.DeviceName("alice", device) == "" {
			t.Errorf("whoami names device %q, the server has %q", got, s.DeviceName("alice", device))
		}
	}
	if n := s.Succeeded(flowtest.Revoke); n != 2 { // what the homeserver remembers of a token is not asked
		t.Errorf("%d sessions were ended, want both that were replaced", n)
	}
	r := b.run("login", "--plain", s.URL, "--name", "second", "--device-id", device)
	if r.code != 2 || !strings.Contains(r.stderr, "bot") {
		t.Errorf("a second session of the device: exit %d, %q", r.code, r.stderr)
	}
}

// TestDeviceIDsThatCannotBe names devices that the server would refuse only in
// the browser. No request may be made.
func TestDeviceIDsThatCannotBe(t *testing.T) {
	s := startServer(t)
	b := newBox(t, "MXAUTH_STORE=plaintext")
	for name, args := range map[string][]string{
		"short":       {"--device-id", "SHORT"},
		"malformed":   {"--device-id", "BOT DEVICE 12"},
		"no device":   {"--device-id", "BOTDEVICE12", "--scope", "synapse-admin"},
		"two devices": {"--device-id", "BOTDEVICE12", "--scope", "matrix", "--scope", "urn:matrix:client:device:OTHERDEVICE"},
	} {
		if r := b.must(2, append([]string{"login", "--plain", s.URL, "--name", "bot"}, args...)...); strings.Count(r.stderr, "\n") > 3 {
			t.Errorf("%s: %s", name, r.stderr)
		}
	}
	b.must(2, "login", "--plain", "--issuer", s.Issuer, "--name", "bot", "--device-id", "BOTDEVICE12")
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}
