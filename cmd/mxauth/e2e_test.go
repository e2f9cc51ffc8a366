package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
	"github.com/mxauth/mxauth/keystore/keystoretest"
)

// TestStores runs the real binary from login to logout with every store. What
// servers make of it is in TestServers.
func TestStores(t *testing.T) {
	for store, start := range map[string]func(*testing.T) box{
		"plaintext": func(t *testing.T) box { return newBox(t, "MXAUTH_STORE=plaintext") },
		"file":      sealedBox,
		"keyring":   func(t *testing.T) box { return newBox(t, keystoretest.StartSecretService(t)...) },
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			endToEnd(t, start(t), s)
		})
	}
}

func endToEnd(t *testing.T, b box, s *flowtest.Server) {
	done := b.loggedIn(s)
	if done.UserID != "@alice:"+s.ServerName {
		t.Fatalf("login: %+v", done)
	}
	first := b.must(0, "token")
	if strings.Count(first.stdout, "\n") != 1 || first.stderr != "" {
		t.Errorf("token printed %d lines, and said %q", strings.Count(first.stdout, "\n"), first.stderr)
	}
	if again := b.must(0, "token"); again.stdout != first.stdout {
		t.Error("a fresh token was refreshed")
	}
	if got := strings.TrimSpace(b.must(0, "whoami").stdout); got != done.UserID {
		t.Errorf("whoami: %q, login said %q", got, done.UserID)
	}
	b.must(0, "refresh")
	second := b.must(0, "token")
	if second.stdout == first.stdout {
		t.Error("refresh changed nothing")
	}
	b.must(0, "whoami")
	for range 3 { // rotation goes on and on
		b.must(0, "refresh")
	}
	checkForms(t, b, done)
	checkList(t, b, done)
	b.must(0, "logout")
	if r := b.must(4, "token"); !strings.Contains(r.stderr, "mxauth login") {
		t.Errorf("after the logout: %q", r.stderr)
	}
	if left, err := filepath.Glob(filepath.Join(b.dir, "state", "sessions", "*.json")); err != nil || len(left) != 0 {
		t.Errorf("the logout left %v, %v", left, err)
	}
}

func checkForms(t *testing.T, b box, done event) {
	t.Helper()
	token := strings.TrimSpace(b.must(0, "token").stdout)
	var j struct {
		AccessToken string    `json:"access_token"`
		TokenType   string    `json:"token_type"`
		ExpiresAt   time.Time `json:"expires_at"`
		UserID      string    `json:"user_id"`
	}
	if err := json.Unmarshal([]byte(b.must(0, "token", "-o", "json").stdout), &j); err != nil {
		t.Fatal(err)
	}
	if j.AccessToken != token || j.TokenType != "Bearer" || j.UserID != done.UserID || time.Until(j.ExpiresAt) < time.Second {
		t.Errorf("token -o json: user %q, type %q, expires %v", j.UserID, j.TokenType, j.ExpiresAt)
	}
	if got := b.must(0, "token", "-o", "header").stdout; got != "Authorization: Bearer "+token+"\n" {
		t.Error("token -o header is something else")
	}
	if got := b.must(0, "token", "-o", "env").stdout; !strings.Contains(got, "MATRIX_ACCESS_TOKEN='"+token+"'") {
		t.Error("token -o env holds no token")
	}
	if got := b.must(0, "token", "-o", "curl").stdout; got != `header = "Authorization: Bearer `+token+"\"\n" {
		t.Error("token -o curl is something else")
	}
	b.must(2, "token", "-o", "xml")
}

func checkList(t *testing.T, b box, done event) {
	t.Helper()
	var list []struct {
		Name, Server string
		Default      bool
	}
	if err := json.Unmarshal([]byte(b.must(0, "list", "--json").stdout), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Name != done.Name || !list[0].Default {
		t.Errorf("list: %+v", list)
	}
	b.must(0, "rename", done.Name, "other")
	b.must(4, "token", done.Name)
	b.must(0, "token", "other")
	b.must(0, "use", "other")
}
