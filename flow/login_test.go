package flow_test

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/flow/flowtest"
)

// begun is a login up to its code.
func begun(t *testing.T, hs *flowtest.Server, agent *flow.Agent) (flow.Server, flow.Client, flow.Code) {
	t.Helper()
	server, err := agent.Discover(t.Context(), hs.ServerName)
	if err != nil {
		t.Fatal(err)
	}
	want, err := flow.HomeserverScope(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	client, code, err := agent.Begin(t.Context(), server, flow.Client{}, flow.Registration{}, want)
	if err != nil {
		t.Fatal(err)
	}
	return server, client, code
}

// logIn is a whole login at a double, approved by alice.
func logIn(t *testing.T, hs *flowtest.Server, agent *flow.Agent, words ...string) flow.Session {
	t.Helper()
	server, err := agent.Discover(t.Context(), hs.ServerName)
	if err != nil {
		t.Fatal(err)
	}
	want, err := flow.HomeserverScope(words, "")
	if err != nil {
		t.Fatal(err)
	}
	want.DeviceName = "box"
	client, code, err := agent.Begin(t.Context(), server, flow.Client{}, flow.Registration{}, want)
	if err != nil {
		t.Fatal(err)
	}
	if err := hs.Approve(code.UserCode, "root"); err != nil {
		t.Fatal(err)
	}
	s, err := agent.Wait(t.Context(), server, client, code, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bubble runs a test in virtual time against a double in memory.
func bubble(t *testing.T, test func(t *testing.T, hs *flowtest.Server, agent *flow.Agent), opts ...flowtest.Option) {
	synctest.Test(t, func(t *testing.T) {
		hs := flowtest.New(opts...)
		test(t, hs, &flow.Agent{HTTP: hs.Client(), Version: "1.2.3"})
	})
}

func wantKind(t *testing.T, what string, err error, want flow.Kind) {
	t.Helper()
	if err == nil || flow.KindOf(err) != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// What a login sends, request by request: the name of the host and of its system
// goes to the device and token endpoints only, nothing stands in a query, and no
// form holds more than it must (L16, contract A9, M1).
func TestLoginOnTheWire(t *testing.T) {
	bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		who, err := agent.WhoAmI(t.Context(), s)
		if err != nil || who.UserID != "@root:example.test" || who.DeviceID != s.DeviceID || s.DeviceID == "" {
			t.Errorf("%+v, %v", who, err)
		}
		if _, err := agent.Refresh(t.Context(), s); err != nil {
			t.Error(err)
		}
		var got []string
		for _, r := range hs.Requests() {
			got = append(got, string(r.Endpoint)+" "+strings.Join(r.FormKeys, " "))
			named := r.Endpoint == flowtest.Device || r.Endpoint == flowtest.Poll || r.Endpoint == flowtest.Refresh
			if r.UserAgent != "mxauth/1.2.3" && !(named && strings.HasPrefix(r.UserAgent, "mxauth/1.2.3 (box; ")) {
				t.Errorf("%s hears %q", r.Endpoint, r.UserAgent)
			}
			if named != strings.Contains(r.UserAgent, "box") {
				t.Errorf("%s hears %q", r.Endpoint, r.UserAgent)
			}
			if r.Header.Get("Accept") != "application/json" || r.Header.Get("Referer") != "" || (r.Header.Get("Authorization") != "") != (r.Endpoint == flowtest.WhoAmI) {
				t.Errorf("%s: %v", r.Endpoint, r.Header)
			}
		}
		want := []string{"well-known ", "metadata ", "register ", "device client_id scope", "poll client_id device_code grant_type",
			"whoami ", "refresh client_id grant_type refresh_token"}
		if !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
		logIn(t, hs, agent)
		if n := hs.Count(flowtest.Register); n != 2 {
			t.Errorf("%d registrations for two logins", n)
		}
	})
}

func TestNoDeviceName(t *testing.T) {
	bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		server, err := agent.Discover(t.Context(), hs.ServerName)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"", " ", "();", "a;b(c)\r\nX: y"} {
			hs.ForgetRequests()
			if _, _, err := agent.Begin(t.Context(), server, flow.Client{}, flow.Registration{}, flow.Request{Scope: flow.ScopeAPI, DeviceName: name}); err != nil {
				t.Fatal(err)
			}
			want := "mxauth/1.2.3"
			if strings.HasPrefix(name, "a") {
				want += " (abc--X: y; " + map[string]string{"linux": "Linux", "darwin": "macOS", "windows": "Windows", "freebsd": "FreeBSD"}[runtime.GOOS] + ")"
			}
			for _, r := range hs.Requests() {
				if r.Endpoint == flowtest.Device && r.UserAgent != want {
					t.Errorf("%q: %q, want %q", name, r.UserAgent, want)
				}
			}
		}
	})
}

func TestLoginEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		meanwhile func(hs *flowtest.Server, code string) error
		want      flow.Kind
	}{
		"rejected": {func(hs *flowtest.Server, code string) error { return hs.Reject(code, "alice") }, flow.KindDeclined},
		"expired":  {func(hs *flowtest.Server, code string) error { return hs.ExpireCode(code) }, flow.KindExpired},
		"ignored":  {func(*flowtest.Server, string) error { return nil }, flow.KindExpired},
		"offline":  {func(hs *flowtest.Server, _ string) error { hs.AuthDown(true); return nil }, flow.KindExpired},
		"answer lost": {func(hs *flowtest.Server, code string) error {
			hs.Inject(flowtest.Poll, flowtest.LoseAnswer())
			return hs.Approve(code, "alice")
		}, flow.KindEnded},
		"grant switched off": {func(hs *flowtest.Server, _ string) error { hs.SetDeviceGrant(false); return nil }, flow.KindRefused},
	} {
		bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
			server, client, code := begun(t, hs, agent)
			if err := tt.meanwhile(hs, code.UserCode); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, err := agent.Wait(t.Context(), server, client, code, nil)
			wantKind(t, name, err, tt.want)
			if took := time.Since(begin); tt.want == flow.KindExpired && name != "expired" && took != 20*time.Minute {
				t.Errorf("%s: after %v", name, took)
			}
			if name == "answer lost" && !strings.Contains(err.Error(), code.DeviceID) {
				t.Errorf("the device is not named: %v", err)
			}
		})
	}
}

// A registration that was made while the device grant was off stays without it
// for everyone who sends the same (contract A2).
func TestStaleRegistration(t *testing.T) {
	bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		server, err := agent.Discover(t.Context(), hs.ServerName)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = agent.Begin(t.Context(), server, flow.Client{}, flow.Registration{}, flow.Request{Scope: flow.ScopeAPI})
		wantKind(t, "while it is off", err, flow.KindUnsupported)
		if _, err := agent.Register(t.Context(), server, flow.Registration{}); err != nil {
			t.Fatal(err)
		}
		hs.SetDeviceGrant(true)
		hs.RestartHomeserver()
		hs.ForgetRequests()
		logIn(t, hs, agent)
		if r, d := hs.Count(flowtest.Register), hs.Count(flowtest.Device); r != 2 || d != 2 {
			t.Errorf("%d registrations, %d codes asked for", r, d)
		}
	}, flowtest.WithDeviceGrant(false))
}

func TestRefreshAgainstModels(t *testing.T) {
	for name, tt := range map[string]struct {
		opts   []flowtest.Option
		faults []flowtest.Fault
		want   flow.Kind // KindBug: it goes well
		came   int
	}{
		"plain":                 {nil, nil, flow.KindBug, 1},
		"lost":                  {nil, []flowtest.Fault{flowtest.LoseAnswer()}, flow.KindBug, 2},
		"lost three times":      {nil, []flowtest.Fault{flowtest.LoseAnswer(), flowtest.LoseAnswer(), flowtest.LoseAnswer()}, flow.KindBug, 4},
		"cut":                   {nil, []flowtest.Fault{flowtest.Truncate()}, flow.KindBug, 2},
		"held too long":         {nil, []flowtest.Fault{flowtest.Hold(time.Minute)}, flow.KindBug, 2},
		"proxy":                 {nil, []flowtest.Fault{flowtest.HTML(502), flowtest.HTML(403), flowtest.HTML(200)}, flow.KindBug, 4},
		"rate limit":            {nil, []flowtest.Fault{flowtest.RateLimited(3 * time.Second)}, flow.KindBug, 2},
		"never there":           {nil, []flowtest.Fault{flowtest.DropBefore(), flowtest.DropBefore()}, flow.KindBug, 3},
		"strict, never there":   {[]flowtest.Option{flowtest.WithStrictRotation()}, []flowtest.Fault{flowtest.DropBefore()}, flow.KindBug, 2},
		"strict, lost":          {[]flowtest.Option{flowtest.WithStrictRotation()}, []flowtest.Fault{flowtest.LoseAnswer()}, flow.KindEnded, 2},
		"slow line":             {[]flowtest.Option{flowtest.WithLatency(9 * time.Second)}, nil, flow.KindBug, 1},
		"line that is too slow": {[]flowtest.Option{flowtest.WithLatency(11 * time.Second)}, nil, flow.KindTemporary, 2},
	} {
		bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
			s := session(t, hs, flow.ScopeAPI)
			hs.Inject(flowtest.Refresh, tt.faults...)
			begin := time.Now()
			next, err := agent.Refresh(t.Context(), s)
			if took := time.Since(begin); took > 12*time.Second {
				t.Errorf("%s: took %v", name, took)
			}
			if n := hs.Count(flowtest.Refresh); n != tt.came {
				t.Errorf("%s: %d requests", name, n)
			}
			if tt.want != flow.KindBug {
				wantKind(t, name, err, tt.want)
				return
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if _, err := agent.WhoAmI(t.Context(), next); err != nil {
				t.Errorf("%s: the new token: %v", name, err)
			}
		}, tt.opts...)
	}
}

// session makes one without a login.
func session(t *testing.T, hs *flowtest.Server, scope string) flow.Session {
	t.Helper()
	tokens, err := hs.LogIn("root", scope)
	if err != nil {
		t.Fatal(err)
	}
	issuer := strings.TrimSuffix(hs.Issuer, "/")
	return flow.Session{
		Server: flow.Server{Homeserver: hs.URL, Issuer: hs.Issuer, Token: issuer + "/oauth2/token", Revocation: issuer + "/oauth2/revoke", Userinfo: issuer + "/oauth2/userinfo"},
		Client: flow.Client{ID: tokens.ClientID}, Scope: tokens.Scope, Issued: time.Now(), Expiry: tokens.Expiry,
		AccessToken: flow.NewSecret(tokens.AccessToken), RefreshToken: flow.NewSecret(tokens.RefreshToken),
	}
}

// Revoke against both models of rotation. However it goes, either the session is
// dead or the caller holds a refresh token that works.
func TestRevokeAgainstModels(t *testing.T) {
	nothing := flowtest.Status(200)
	for name, tt := range map[string]struct {
		revoke, refresh []flowtest.Fault
		job             time.Duration // after which the server ends the session by itself
		want            flow.Kind     // KindBug: dead
		rotated         bool
	}{
		"dead":                        {want: flow.KindBug},
		"does nothing once":           {revoke: []flowtest.Fault{nothing}, want: flow.KindBug},
		"does nothing":                {revoke: []flowtest.Fault{nothing, nothing}, want: flow.KindInvalid, rotated: true},
		"ends it by a job":            {revoke: []flowtest.Fault{nothing, nothing}, job: time.Second, want: flow.KindBug},
		"does nothing, then is down":  {revoke: []flowtest.Fault{nothing, flowtest.HTML(503)}, want: flow.KindTemporary, rotated: true},
		"does nothing, proof is lost": {revoke: []flowtest.Fault{nothing}, refresh: []flowtest.Fault{flowtest.LoseAnswer()}, want: flow.KindTemporary},
		"is down":                     {revoke: []flowtest.Fault{flowtest.HTML(503)}, want: flow.KindTemporary},
		"answer is lost":              {revoke: []flowtest.Fault{flowtest.LoseAnswer()}, want: flow.KindTemporary},
		"redirects":                   {revoke: []flowtest.Fault{flowtest.Redirect(307, "https://elsewhere.test/")}, want: flow.KindInvalid},
	} {
		for _, opts := range [][]flowtest.Option{nil, {flowtest.WithStrictRotation()}} {
			bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
				s := session(t, hs, flow.ScopeAPI)
				hs.Inject(flowtest.Revoke, tt.revoke...)
				hs.Inject(flowtest.Refresh, tt.refresh...)
				if tt.job > 0 {
					time.AfterFunc(tt.job, func() {
						if err := hs.EndSession(s.RefreshToken.Reveal()); err != nil {
							t.Error(err)
						}
					})
				}
				err := agent.Revoke(t.Context(), s)
				if tt.want != flow.KindBug {
					wantKind(t, name, err, tt.want)
				} else if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				var rotated *flow.RotatedError
				if errors.As(err, &rotated) != tt.rotated {
					t.Errorf("%s: rotated %v", name, rotated)
				}
				if rotated != nil {
					s = rotated.Session
				}
				// Whoever keeps it can try again, and then it is dead.
				if err != nil {
					if err := agent.Revoke(t.Context(), s); err != nil {
						t.Errorf("%s: the second time: %v", name, err)
					}
				}
				_, err = agent.Refresh(t.Context(), s)
				wantKind(t, name+": a refresh", err, flow.KindEnded)
				wantKind(t, name+": whoami", second(agent.WhoAmI(t.Context(), s)), flow.KindEnded)
			}, opts...)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// What whoami's answers mean, for each scope (contract A8, A10).
func TestWhoAmIAgainstScopes(t *testing.T) {
	for scope, tt := range map[string]struct {
		can  bool
		asks flowtest.Endpoint
		name string
	}{
		flow.ScopeAPI: {true, flowtest.WhoAmI, "@root:example.test"},
		flow.ScopeAPI + " " + flow.ScopeSynapseAdmin: {true, flowtest.WhoAmI, "@root:example.test"},
		flow.ScopeSynapseAdmin:                       {false, "", ""},
		flow.ScopeMASAdmin:                           {false, "", ""},
		"openid " + flow.ScopeMASAdmin:               {true, flowtest.UserInfo, "root"},
		"openid email":                               {true, flowtest.UserInfo, "root"},
	} {
		bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
			s := session(t, hs, scope)
			who, err := agent.WhoAmI(t.Context(), s)
			if s.CanIdentify() != tt.can {
				t.Errorf("%s: CanIdentify is %v", scope, s.CanIdentify())
			}
			if !tt.can {
				wantKind(t, scope, err, flow.KindUnsupported)
				if n := hs.Count(flowtest.Any); n != 0 {
					t.Errorf("%s: %d requests", scope, n)
				}
				return
			}
			if err != nil || who.UserID != tt.name && who.Name != tt.name || hs.Count(tt.asks) != 1 {
				t.Errorf("%s: %+v, %v", scope, who, err)
			}
			if err := hs.LockUser("root"); err != nil {
				t.Fatal(err)
			}
			hs.RestartHomeserver()
			wantKind(t, scope+", locked", second(agent.WhoAmI(t.Context(), s)), flow.KindEnded)
			if _, err := agent.Refresh(t.Context(), s); err != nil {
				t.Errorf("%s: the session of a locked person: %v", scope, err)
			}
			hs.AuthDown(true)
			wantKind(t, scope+", down", second(agent.WhoAmI(t.Context(), s)), flow.KindTemporary)
		})
	}
}
