package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A target is a server that the suite runs against, and the people who use it.
type target struct {
	homeserver string // its address, or
	issuer     string // that of an authorization server without one
	legacy     bool   // a homeserver without OAuth
	args       []string
	unknown    bool   // nobody has said how it is set up
	closed     string // what an administrator must give to who wants to register, and args hold
	quick      bool   // polls may come faster than the server says
	complete   bool   // the server gives a link that holds the code
	user       string // whose session it is; empty if not known before

	approve func(browser, event)
	deny    func(browser, event) // nil: there is no way
	later   func()               // lets pass the time in which a replay is a repetition
	hasty   *target              // the same server, whose codes run out
}

// A contender is a server, with a row of the matrix for each way to set it up.
// The rows are called after both.
type contender struct {
	name  string
	start func(*testing.T) map[string]target
}

// contenders are all servers that the suite knows.
var contenders = []contender{
	{"flowtest", personalities},
	{"Synapse", func(t *testing.T) map[string]target {
		return map[string]target{
			"flowtest as its MAS": startSynapseWithMAS(t).target(),
			"no OAuth":            {legacy: true, homeserver: startSynapse(t, nil)},
		}
	}},
	{"node-oidc-provider", nodeProvider},
	{"zitadel", zitadel},
	{"Keycloak", keycloak},
	{ownServerName, ownServer},
}

// rowName is what docs/servers.md calls a row.
func rowName(server, way string) string {
	if way == "" {
		return server
	}
	return server + ": " + way
}

// ownServerName is the row that is not in docs/servers.md.
const ownServerName = "MXAUTH_E2E_SERVER"

func personalities(t *testing.T) map[string]target {
	rows := map[string]target{
		"no OAuth": {legacy: true, homeserver: startServer(t, flowtest.WithLegacyOnly()).URL},
	}
	for way, s := range map[string]struct {
		option   flowtest.Option
		complete bool
	}{
		"MAS":             {flowtest.As(flowtest.MAS), false},
		"MAS, autofill":   {flowtest.WithAutofill(), true},
		"strict rotation": {flowtest.WithStrictRotation(), false},
		"Tuwunel":         {flowtest.As(flowtest.Tuwunel), true},
		"Continuwuity":    {flowtest.As(flowtest.Continuwuity), true},
	} {
		rows[way] = personality(t, startServer(t, s.option), s.complete)
	}
	return rows
}

// personality is a flowtest, approved in its pages.
func personality(t *testing.T, s *flowtest.Server, complete bool) target {
	to := atMAS(s.URL, "alice", "alice")
	to.user, to.complete = "@alice:"+s.ServerName, complete
	to.later = func() { s.Advance(20 * time.Second) } // Tuwunel takes 15 for a repetition
	if s.Personality() == flowtest.Continuwuity {
		to.deny = nil
	}
	hasty := to
	hasty.approve = func(_ browser, e event) {
		if err := s.ExpireCode(e.UserCode); err != nil {
			t.Error(err)
		}
	}
	to.hasty = &hasty
	return to
}

// atMAS is a homeserver whose people decide in the pages of MAS.
func atMAS(homeserver, user, password string) target {
	return target{homeserver: homeserver,
		approve: func(b browser, e event) { b.decideAtMAS(e, user, password, "consent") },
		deny:    func(b browser, e event) { b.decideAtMAS(e, user, password, "reject") },
	}
}

// ownServer is that of MXAUTH_E2E_SERVER, whose people decide as at
// matrix-authentication-service.
func ownServer(t *testing.T) map[string]target {
	server := os.Getenv(ownServerName)
	if server == "" {
		t.Skip(ownServerName + " names no server of yours")
	}
	to := atMAS(server, os.Getenv("MXAUTH_E2E_USER"), os.Getenv("MXAUTH_E2E_PASSWORD"))
	to.unknown = true
	return map[string]target{"": to}
}

func nodeProvider(t *testing.T) map[string]target {
	to := target{issuer: startProvider(t), quick: true, complete: true, user: "alice",
		approve: func(b browser, e event) { b.approveAtProvider(e.URI, e.UserCode, "alice") },
		deny:    func(b browser, e event) { b.denyAtProvider(e.URI, e.UserCode) },
	}
	hasty := to
	hasty.issuer, hasty.approve = startProvider(t, "CODE_TTL=2"), nil
	to.hasty = &hasty
	return map[string]target{"": to}
}

// zitadel is a provider out of zitadel's library, with both of its interfaces.
func zitadel(t *testing.T) map[string]target {
	program := filepath.Join(t.TempDir(), "zitadel")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join("testdata", "zitadel")
	if out, err := build.CombinedOutput(); err != nil {
		missing(t, "zitadel's library cannot be built: "+string(out))
	}
	rows := map[string]target{}
	issuers := serve(t, 2, exec.Command(program))
	for i, way := range []string{"older routes", "newer routes"} {
		to := target{issuer: issuers[i], quick: true, complete: true, closed: "client ID", args: []string{"--client-id", "native"}, user: "id2",
			approve: func(b browser, e event) { b.decideAtZitadel(e.URI, e.UserCode, "test-user2", "verysecure", "allowed") },
			deny:    func(b browser, e event) { b.decideAtZitadel(e.URI, e.UserCode, "test-user2", "verysecure", "denied") },
		}
		hasty := to
		hasty.args, hasty.approve = []string{"--client-id", "hasty"}, nil
		to.hasty = &hasty
		rows[way] = to
	}
	return rows
}
