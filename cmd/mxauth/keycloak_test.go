package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// keycloak is a real Keycloak: a realm that lets programs register and refresh
// tokens live on, and one that does neither. It takes too long to start for CI;
// MXAUTH_TEST_KEYCLOAK is the address of one that the script has started before.
func keycloak(t *testing.T) map[string]target {
	base := os.Getenv("MXAUTH_TEST_KEYCLOAK")
	switch {
	case base != "":
	case installed("keycloak-*"):
		base = serve(t, 1, exec.Command(filepath.Join("testdata", "keycloak", "run")))[0]
	default:
		t.Skip("Keycloak is not installed: cmd/mxauth/testdata/keycloak/run install")
	}
	decide := func(button string) func(browser, event) {
		return func(b browser, e event) { b.decideAtKeycloak(e.URI, e.UserCode, "alice", "alice", button) }
	}
	open := target{issuer: base + "/realms/open", complete: true, approve: decide("accept"), deny: decide("cancel")}
	hasty := open
	hasty.issuer, hasty.approve = base+"/realms/hasty", nil
	open.hasty = &hasty

	path := filepath.Join(t.TempDir(), "initial")
	if err := os.WriteFile(path, []byte(initialToken(t, base, "rotating")), 0o600); err != nil {
		t.Fatal(err)
	}
	rotating := open
	rotating.issuer = base + "/realms/rotating"
	rotating.closed, rotating.args = "initial access token", []string{"--initial-token", path}
	return map[string]target{"open": open, "rotating": rotating}
}

// initialToken is what Keycloak's administrator gives to those who may register.
func initialToken(t *testing.T, base, realm string) string {
	t.Helper()
	admin := ask(t, base+"/realms/master/protocol/openid-connect/token", "application/x-www-form-urlencoded", "", url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {"admin"},
	}.Encode())
	made := ask(t, base+"/admin/realms/"+realm+"/clients-initial-access", "application/json", admin["access_token"], `{"count": 20, "expiration": 3600}`)
	return made["token"]
}

// ask posts something as an administrator, and returns the strings of the answer.
func ask(t *testing.T, address, contentType, token, body string) map[string]string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var members map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&members); err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s: %d, %v", address, resp.StatusCode, err)
	}
	strs := map[string]string{}
	for name, v := range members {
		strs[name], _ = v.(string)
	}
	return strs
}
