package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
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
	closed     string // what an administrator must give to who wants to register, and args hold
	quick      bool   // polls may come faster than the server says
	user       string // whose session it is; empty if not known before

	approve func(browser, event)
	deny    func(browser, event) // nil: there is no way
	later   func()               // lets pass the time in which a replay is a repetition
	hasty   *target              // the same server, whose codes run out
}

// A contender is a row of the matrix.
type contender struct {
	name  string
	start func(*testing.T) target
}

// contenders are all servers that the suite knows.
var contenders = []contender{
	{"flowtest: MAS", personality()},
	{"flowtest: MAS, autofill", personality(flowtest.WithAutofill())},
	{"flowtest: strict rotation", personality(flowtest.WithStrictRotation())},
	{"flowtest: Tuwunel", personality(flowtest.As(flowtest.Tuwunel))},
	{"flowtest: Continuwuity", personality(flowtest.As(flowtest.Continuwuity))},
	{"flowtest: no OAuth", func(t *testing.T) target {
		return target{legacy: true, homeserver: startServer(t, flowtest.WithLegacyOnly()).URL}
	}},
	{"Synapse, flowtest as its MAS", func(t *testing.T) target { return startSynapseWithMAS(t).target() }},
	{"Synapse, no OAuth", func(t *testing.T) target {
		return target{legacy: true, homeserver: startSynapse(t, nil)}
	}},
	{"node-oidc-provider", nodeProvider},
	{"zitadel/oidc", func(t *testing.T) target { return zitadel(t, 0) }},
	{"zitadel/oidc, newer routes", func(t *testing.T) target { return zitadel(t, 1) }},
	{ownServerName, ownServer},
}

// ownServerName is the row that is not in docs/servers.md.
const ownServerName = "MXAUTH_E2E_SERVER"

// personality is flowtest, approved in its pages.
func personality(options ...flowtest.Option) func(*testing.T) target {
	return func(t *testing.T) target {
		s := startServer(t, options...)
		to := atMAS(s.URL, "alice", "alice")
		to.user = "@alice:" + s.ServerName
		hasty := to
		hasty.approve = func(_ browser, e event) {
			if err := s.ExpireCode(e.UserCode); err != nil {
				t.Error(err)
			}
		}
		to.hasty = &hasty
		to.later = func() { s.Advance(20 * time.Second) } // Tuwunel takes 15 for a repetition
		if s.Personality() == flowtest.Continuwuity {
			to.deny = nil
		}
		return to
	}
}

// atMAS is a homeserver whose people decide in the pages of MAS.
func atMAS(homeserver, user, password string) target {
	return target{homeserver: homeserver,
		approve: func(b browser, e event) { b.decideAtMAS(e.URI, e.UserCode, user, password, "consent") },
		deny:    func(b browser, e event) { b.decideAtMAS(e.URI, e.UserCode, user, password, "reject") },
	}
}

// ownServer is that of MXAUTH_E2E_SERVER, whose people decide as at
// matrix-authentication-service.
func ownServer(t *testing.T) target {
	server := os.Getenv(ownServerName)
	if server == "" {
		t.Skip("MXAUTH_E2E_SERVER names no server of yours")
	}
	return atMAS(server, os.Getenv("MXAUTH_E2E_USER"), os.Getenv("MXAUTH_E2E_PASSWORD"))
}

func nodeProvider(t *testing.T) target {
	to := target{issuer: startProvider(t), quick: true, user: "alice",
		approve: func(b browser, e event) { b.approveAtProvider(e.URI, e.UserCode, "alice") },
		deny:    func(b browser, e event) { b.denyAtProvider(e.URI, e.UserCode) },
	}
	hasty := to
	hasty.issuer, hasty.approve = startProvider(t, "CODE_TTL=2"), nil
	to.hasty = &hasty
	return to
}

// zitadel is a provider out of zitadel's library, with its older routes (0) or
// its newer ones (1).
func zitadel(t *testing.T, which int) target {
	t.Helper()
	program, err := zitadelProgram()
	if err != nil {
		missing(t, err.Error())
	}
	issuer := serve(t, 2, exec.Command(program))[which]
	decide := func(action string) func(browser, event) {
		return func(b browser, e event) {
			b.decideAtZitadel(e.URI, e.UserCode, "test-user2", "verysecure", action)
		}
	}
	to := target{issuer: issuer, quick: true, closed: "client ID", args: []string{"--client-id", "native"}, user: "id2",
		approve: decide("allowed"), deny: decide("denied")}
	hasty := to
	hasty.args, hasty.approve = []string{"--client-id", "hasty"}, nil
	to.hasty = &hasty
	return to
}

// zitadelProgram builds it, from a module of its own.
var zitadelProgram = sync.OnceValues(func() (string, error) {
	program := filepath.Join(filepath.Dir(binary), "zitadel")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("testdata", "zitadel")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("zitadel's library cannot be built: %w: %s", err, out)
	}
	return program, nil
})
