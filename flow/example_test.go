package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/flow/flowtest"
)

// One whole login. A homeserver in memory stands in for a real one, and a
// method call for the person who approves.
func Example() {
	ctx := context.Background()
	hs := flowtest.New(flowtest.WithInterval(time.Second))
	agent := &flow.Agent{HTTP: hs.Client(), Version: "1.0"}

	server, err := agent.Discover(ctx, "@alice:example.test")
	if err != nil {
		log.Fatal(err)
	}
	want, err := flow.HomeserverScope([]string{"matrix"}, "")
	if err != nil {
		log.Fatal(err)
	}
	want.DeviceName = "build-box"
	client, code, err := agent.Begin(ctx, server, flow.Client{}, flow.Registration{}, want)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("open", code.VerificationURI, "and enter a code of", len(code.UserCode), "characters")

	if err := hs.Approve(code.UserCode, "alice"); err != nil {
		log.Fatal(err)
	}
	session, err := agent.Wait(ctx, server, client, code, nil)
	if err != nil {
		log.Fatal(err)
	}
	// Store the session here, before its access token is used for the first time.
	who, err := agent.WhoAmI(ctx, session)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("logged in as", who.UserID, "for", session.Expiry.Sub(session.Issued), "and on the same device:", who.DeviceID == code.DeviceID)
	fmt.Println("the token is", session.AccessToken)
	// Output:
	// open https://auth.example.test/link and enter a code of 6 characters
	// logged in as @alice:example.test for 5m0s and on the same device: true
	// the token is [secret]
}

// loggedIn is a session as a store would give it back.
func loggedIn(hs *flowtest.Server, agent *flow.Agent) flow.Session {
	server, err := agent.Discover(context.Background(), hs.ServerName)
	if err != nil {
		log.Fatal(err)
	}
	t, err := hs.LogIn("alice", flow.ScopeAPI)
	if err != nil {
		log.Fatal(err)
	}
	return flow.Session{Server: server, Client: flow.Client{ID: t.ClientID}, Scope: t.Scope, Expiry: t.Expiry,
		AccessToken: flow.NewSecret(t.AccessToken), RefreshToken: flow.NewSecret(t.RefreshToken)}
}

func ExampleAgent_Discover() {
	hs := flowtest.New()
	agent := &flow.Agent{HTTP: hs.Client()}
	server, err := agent.Discover(context.Background(), "example.test")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(server.Homeserver)
	fmt.Println(server.Issuer)
	fmt.Println(server.Endpoint().TokenURL)
	// Output:
	// https://hs.example.test
	// https://auth.example.test/
	// https://auth.example.test/oauth2/token
}

// A server without the OAuth 2.0 API says what it has instead.
func ExampleAgent_Discover_legacy() {
	hs := flowtest.New(flowtest.WithLegacyOnly())
	agent := &flow.Agent{HTTP: hs.Client()}
	_, err := agent.Discover(context.Background(), "example.test")
	var legacy *flow.LegacyError
	if errors.As(err, &legacy) {
		fmt.Println(flow.KindOf(err), legacy.Flows)
	}
	// Output: unsupported [m.login.password m.login.application_service]
}

func ExampleAgent_Begin() {
	ctx := context.Background()
	hs := flowtest.New(flowtest.WithAutofill())
	agent := &flow.Agent{HTTP: hs.Client()}
	server, err := agent.Discover(ctx, "example.test")
	if err != nil {
		log.Fatal(err)
	}
	want, err := flow.HomeserverScope([]string{"synapse-admin"}, "")
	if err != nil {
		log.Fatal(err)
	}
	_, code, err := agent.Begin(ctx, server, flow.Client{}, flow.Registration{}, want)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(code.Scope)
	fmt.Println(code.Link() == code.VerificationURI+"?code="+code.UserCode, code.Interval)
	// Output:
	// urn:matrix:client:api:* urn:synapse:admin:*
	// true 5s
}

// Keep the result before it is used: until then, and only then, the old refresh
// token is good for another try.
func ExampleAgent_Refresh() {
	ctx := context.Background()
	hs := flowtest.New()
	agent := &flow.Agent{HTTP: hs.Client()}
	session := loggedIn(hs, agent)

	next, err := agent.Refresh(ctx, session)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("rotated:", !next.RefreshToken.Equal(session.RefreshToken))
	fmt.Println("the same client:", next.Client.ID == session.Client.ID)
	// Output:
	// rotated: true
	// the same client: true
}

// No error means that the session is dead, not only that the server said so.
func ExampleAgent_Revoke() {
	ctx := context.Background()
	hs := flowtest.New()
	agent := &flow.Agent{HTTP: hs.Client()}
	session := loggedIn(hs, agent)

	if err := agent.Revoke(ctx, session); err != nil {
		log.Fatal(err)
	}
	_, err := agent.Refresh(ctx, session)
	fmt.Println(flow.KindOf(err))
	// Output: ended
}

// The kind says what to do next; the rest is for people.
func ExampleError() {
	ctx := context.Background()
	hs := flowtest.New()
	agent := &flow.Agent{HTTP: hs.Client()}
	session := loggedIn(hs, agent)

	hs.Inject(flowtest.Refresh, flowtest.RateLimited(time.Minute))
	_, err := agent.Refresh(ctx, session)
	var e *flow.Error
	if errors.As(err, &e) && e.Kind == flow.KindTemporary {
		fmt.Println("try again in", e.RetryAfter)
	}

	hs.Inject(flowtest.Refresh, flowtest.Redirect(307, "https://elsewhere.test/"))
	_, err = agent.Refresh(ctx, session)
	fmt.Println(flow.KindOf(err), err)

	if err := hs.EndSession(session.RefreshToken.Reveal()); err != nil {
		log.Fatal(err)
	}
	_, err = agent.Refresh(ctx, session)
	fmt.Println(flow.KindOf(err), err)
	// Output:
	// try again in 1m0s
	// invalid cannot refresh the token: auth.example.test answered with a redirect, which is not followed
	// ended cannot refresh the token: auth.example.test ended this session (invalid_grant), server said: "The provided access grant is invalid, expired, or revoked."
}
