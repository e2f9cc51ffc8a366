package flow_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestPersonalities is a whole session at every software that flowtest knows.
func TestPersonalities(t *testing.T) {
	for _, p := range []flowtest.Personality{flowtest.MAS, flowtest.Tuwunel, flowtest.Continuwuity} {
		t.Run(string(p), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := flowtest.New(flowtest.As(p))
				agent := &flow.Agent{HTTP: s.Client(), Version: "1.2.3"}
				server, client, code := begun(t, s, agent)
				time.AfterFunc(12*time.Second, func() {
					if err := s.Approve(code.UserCode, "alice"); err != nil {
						t.Error(err)
					}
				})
				session, err := agent.Wait(t.Context(), server, client, code, nil)
				if err != nil {
					t.Fatal(err)
				}
				if who, err := agent.WhoAmI(t.Context(), session); err != nil || who.UserID != "@alice:example.test" || who.DeviceID != code.DeviceID {
					t.Errorf("%+v, %v", who, err)
				}
				next, err := agent.Refresh(t.Context(), session)
				if err != nil || !flow.SameScope(next.Scope, code.Scope) || next.RefreshToken.Equal(session.RefreshToken) {
					t.Errorf("refreshed: %v, scope %q", err, next.Scope)
				}
				if err := agent.Revoke(t.Context(), next); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestServerChoosesTheDevice asks for the API without a device. Tuwunel makes one
// up: that is the session's, and no more than was asked for.
func TestServerChoosesTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := flowtest.New(flowtest.As(flowtest.Tuwunel))
		agent := &flow.Agent{HTTP: s.Client(), Version: "1.2.3"}
		server, err := agent.Discover(t.Context(), "example.test")
		if err != nil {
			t.Fatal(err)
		}
		want, err := flow.HomeserverScope([]string{"synapse-admin"}, "")
		if err != nil {
			t.Fatal(err)
		}
		client, code, err := agent.Begin(t.Context(), server, flow.Client{}, flow.Registration{}, want)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Approve(code.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		session, err := agent.Wait(t.Context(), server, client, code, nil)
		if err != nil || session.DeviceID == "" || !session.HasScope(flow.ScopeDevice+session.DeviceID) {
			t.Fatalf("device %q, scope %q, %v", session.DeviceID, session.Scope, err)
		}
		if who, err := agent.WhoAmI(t.Context(), session); err != nil || who.DeviceID != session.DeviceID {
			t.Errorf("%+v, %v", who, err)
		}
	})
}
