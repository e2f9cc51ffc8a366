package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// realServers is where the run scripts in testdata install what they run.
func realServers() string {
	if dir := os.Getenv("MXAUTH_TEST_SERVERS"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "mxauth-test")
}

// installed reports whether "run install" was called for a server.
func installed(pattern string) bool {
	found, err := filepath.Glob(filepath.Join(realServers(), pattern))
	return err == nil && len(found) > 0
}

// startSynapse runs a real Synapse and returns its address. Without a mas it has
// no OAuth API.
func startSynapse(t *testing.T, mas *flowtest.Server) string {
	t.Helper()
	if !installed("synapse-*/bin/python") {
		missing(t, "Synapse is not installed: cmd/mxauth/testdata/synapse/run install")
	}
	cmd := exec.Command(filepath.Join("testdata", "synapse", "run"))
	if mas != nil {
		cmd.Env = append(os.Environ(), "MAS_ENDPOINT="+mas.Issuer, "MAS_SECRET="+mas.Secret)
	}
	return serve(t, 1, cmd)[0]
}

// A synapseWithMAS is a real Synapse whose matrix-authentication-service is
// played by flowtest: it answers introspection, and this makes the people and
// devices known, as MAS does when it issues tokens.
type synapseWithMAS struct {
	t   *testing.T
	url string
	mas *flowtest.Server
}

func startSynapseWithMAS(t *testing.T) synapseWithMAS {
	t.Helper()
	mas := startServer(t)
	s := synapseWithMAS{t, startSynapse(t, mas), mas}
	s.tell("provision_user", map[string]any{"localpart": "alice"})
	return s
}

// tell makes a request that MAS makes at Synapse.
func (s synapseWithMAS) tell(what string, body map[string]any) {
	s.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/_synapse/mas/"+what, strings.NewReader(string(b)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.mas.Secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		s.t.Fatalf("%s: Synapse answered %d", what, resp.StatusCode)
	}
}

// device makes a device known that a login asks for.
func (s synapseWithMAS) device(id string) {
	s.t.Helper()
	s.tell("upsert_device", map[string]any{"localpart": "alice", "device_id": id})
}

// target is the row of the matrix. Its codes run out at flowtest.
func (s synapseWithMAS) target() target {
	to := atMAS(s.url, "alice", "alice")
	to.user = "@alice:example.test"
	approve := to.approve
	to.approve = func(b browser, e event) {
		s.device(e.DeviceID)
		approve(b, e)
	}
	hasty := to
	hasty.approve = func(_ browser, e event) {
		if err := s.mas.ExpireCode(e.UserCode); err != nil {
			s.t.Error(err)
		}
	}
	to.hasty = &hasty
	return to
}

// A home is a homeserver in front of a flowtest that plays MAS.
type home struct {
	url     string
	mas     *flowtest.Server
	known   func(device string)
	deleted func(device string) // nil: it happens by itself
}

// TestHomeserver holds flowtest's homeserver against a real Synapse: what it
// remembers of tokens and of its authorization server, and what mxauth makes of
// that.
func TestHomeserver(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Synapse")
	}
	for name, start := range map[string]func(*testing.T) home{
		"flowtest": func(t *testing.T) home {
			s := startServer(t)
			return home{s.URL, s, func(string) {}, nil}
		},
		"Synapse": func(t *testing.T) home {
			s := startSynapseWithMAS(t)
			return home{s.url, s.mas, s.device, func(id string) {
				s.tell("delete_device", map[string]any{"localpart": "alice", "device_id": id})
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			b := newBox(t, "MXAUTH_STORE=plaintext")
			device := ""
			done, code := b.login(func(e event) {
				device = e.DeviceID
				h.known(device)
				approveAs(t, h.mas, "alice")(e)
			}, h.url)
			if code != 0 || done.UserID != "@alice:example.test" {
				t.Fatalf("exit %d, %+v", code, done)
			}
			h.remembers(t, b)
			h.withoutMAS(t, b)
			h.stale(t, b)
			h.forgets(t, b, device)
		})
	}
}

func (h home) whoami(t *testing.T, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/_matrix/client/v3/account/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// remembers: a token that was refreshed away works on if it was used before, and
// is dead at once if it never was.
func (h home) remembers(t *testing.T, b box) {
	t.Helper()
	used := b.must(0, "token").stdout // by the login
	b.must(0, "refresh")
	unused := b.must(0, "token").stdout
	b.must(0, "refresh")
	if status := h.whoami(t, used); status != http.StatusOK {
		t.Errorf("a token that was used, and refreshed away: %d", status)
	}
	if status := h.whoami(t, unused); status != http.StatusUnauthorized {
		t.Errorf("a token that was never used, and refreshed away: %d", status)
	}
}

// withoutMAS: while the authorization server is away, nobody can say whose a new
// token is, and that is no logout.
func (h home) withoutMAS(t *testing.T, b box) {
	t.Helper()
	b.must(0, "refresh")
	h.mas.AuthDown(true)
	r := b.must(5, "whoami")
	if !strings.Contains(r.stderr, "answered 503") || !strings.Contains(r.stderr, "Your login is kept.") {
		t.Errorf("while the authorization server is away: %q", r.stderr)
	}
	h.mas.AuthDown(false)
	b.must(0, "whoami")
}

// stale: the homeserver goes on naming a device grant that was turned off, and
// the login says what its server does.
func (h home) stale(t *testing.T, b box) {
	t.Helper()
	h.mas.SetDeviceGrant(false)
	defer h.mas.SetDeviceGrant(true)
	done, code := b.login(nil, h.url, "--name", "second")
	if code != 6 || !strings.Contains(done.Error, "The Device Authorization Grant is disabled on this server") {
		t.Errorf("a device grant that was turned off: exit %d, %q", code, done.Error)
	}
	b.must(0, "token")
}

// forgets: a logout ends the session at the authorization server, and with its
// device gone the homeserver believes nothing of what it remembers.
func (h home) forgets(t *testing.T, b box, device string) {
	t.Helper()
	token := b.must(0, "token").stdout
	if status := h.whoami(t, token); status != http.StatusOK {
		t.Fatalf("before the logout: %d", status)
	}
	b.must(0, "logout")
	if h.deleted == nil {
		return
	}
	if status := h.whoami(t, token); status != http.StatusOK {
		t.Errorf("after the logout, before the device is deleted: %d, which docs/servers.md does not say", status)
	}
	h.deleted(device)
	if status := h.whoami(t, token); status != http.StatusUnauthorized {
		t.Errorf("after the device was deleted: %d", status)
	}
}
