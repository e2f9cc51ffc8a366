package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/keystore/keystoretest"
)

// A target is a server that the end-to-end suite runs against.
type target struct {
	args    []string // of login
	approve func(event)
	user    string // whose session it is; empty if not known before
	matrix  bool
}

// TestEndToEnd runs one suite, login to logout, with the real binary against
// every server and every store.
func TestEndToEnd(t *testing.T) {
	stores := map[string]func(*testing.T) box{
		"plaintext": func(t *testing.T) box { return newBox(t, "MXAUTH_STORE=plaintext") },
		"file":      sealedBox,
		"keyring":   func(t *testing.T) box { return newBox(t, keystoretest.StartSecretService(t)...) },
	}
	servers := map[string]func(*testing.T) target{
		"flowtest": func(t *testing.T) target {
			s := startServer(t)
			return target{args: []string{s.URL}, user: "@alice:" + s.ServerName, matrix: true, approve: func(e event) {
				newBrowser(t).approveAtMAS(e.URI, e.UserCode, "alice", "alice")
			}}
		},
		"node-oidc-provider": func(t *testing.T) target {
			issuer := startProvider(t)
			return target{args: []string{"--issuer", issuer, "--name", "ci"}, user: "alice", approve: func(e event) {
				newBrowser(t).approveAtProvider(e.URI, e.UserCode, "alice")
			}}
		},
		"MXAUTH_E2E_SERVER": realServer,
	}
	for server, target := range servers {
		for store, box := range stores {
			t.Run(server+"/"+store, func(t *testing.T) {
				t.Parallel()
				endToEnd(t, box(t), target(t))
			})
		}
	}
}

// realServer takes the server of MXAUTH_E2E_SERVER, approved by HTTP as
// matrix-authentication-service wants it.
func realServer(t *testing.T) target {
	server, user, password := os.Getenv("MXAUTH_E2E_SERVER"), os.Getenv("MXAUTH_E2E_USER"), os.Getenv("MXAUTH_E2E_PASSWORD")
	if server == "" {
		t.Skip("MXAUTH_E2E_SERVER names no server of yours")
	}
	return target{args: []string{server}, matrix: true, approve: func(e event) {
		newBrowser(t).approveAtMAS(e.URI, e.UserCode, user, password)
	}}
}

func endToEnd(t *testing.T, b box, to target) {
	done, code := b.login(to.approve, to.args...)
	if code != 0 || done.Event != "done" || to.user != "" && done.UserID != to.user {
		t.Fatalf("login: exit %d, %+v", code, done)
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
