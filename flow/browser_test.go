package flow_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/flow/flowtest"
)

const testRedirect = "http://127.0.0.1:40123/callback"

// A browsing is a login by browser at a double, as far as its link.
type browsing struct {
	t      *testing.T
	hs     *flowtest.Server
	agent  *flow.Agent
	server flow.Server
	client flow.Client
	auth   flow.Authorization
}

func beginBrowser(t *testing.T, hs *flowtest.Server, agent *flow.Agent, words ...string) browsing {
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
	client, auth, err := agent.BeginBrowser(t.Context(), server, flow.Client{}, flow.Registration{}, want, testRedirect)
	if err != nil {
		t.Fatal(err)
	}
	return browsing{t, hs, agent, server, client, auth}
}

// allowed is the address that the browser ends on when root agrees.
func (b browsing) allowed() string {
	b.t.Helper()
	address, err := b.hs.Authorize(b.auth.URI, "root")
	if err != nil {
		b.t.Fatal(err)
	}
	return address
}

// wait gives the addresses, one after the other, and returns what came of it.
func (b browsing) wait(ctx context.Context, addresses ...string) (s flow.Session, kinds []flow.EventKind, err error) {
	given := make(chan string, len(addresses))
	for _, a := range addresses {
		given <- a
	}
	events := make(chan flow.Event)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for e := range events {
			kinds = append(kinds, e.Kind)
		}
	}()
	s, err = b.agent.WaitBrowser(ctx, b.server, b.client, b.auth, given, events)
	close(events)
	<-read
	return s, kinds, err
}

// edited is an address with its query changed.
func edited(t *testing.T, address string, edit func(url.Values)) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	edit(q)
	u.RawQuery = q.Encode()
	return u.String()
}

func setting(name string, values ...string) func(url.Values) {
	return func(q url.Values) { q[name] = values }
}

// A login by browser at a server without the device grant, request by request.
func TestBrowserLoginOnTheWire(t *testing.T) {
	bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		b := beginBrowser(t, hs, agent)
		link, err := url.Parse(b.auth.URI)
		if err != nil {
			t.Fatal(err)
		}
		q := link.Query()
		if want := b.server.Authorization; !strings.HasPrefix(b.auth.URI, want+"?") {
			t.Errorf("the link is %s, want one to %s", b.auth.URI, want)
		}
		for name, want := range map[string]string{"response_type": "code", "response_mode": "query", "client_id": b.client.ID,
			"redirect_uri": testRedirect, "scope": b.auth.Scope, "code_challenge_method": "S256"} {
			if q.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, q.Get(name), want)
			}
		}
		if len(q) != 8 || len(q.Get("state")) < 26 || len(q.Get("code_challenge")) != 43 { // 26 letters of base 32 are 130 bits
			t.Errorf("the link holds %v", q)
		}
		s, kinds, err := b.wait(t.Context(), b.allowed())
		if err != nil || !slices.Equal(kinds, []flow.EventKind{flow.EventAnswered}) {
			t.Fatalf("%v, %v", kinds, err)
		}
		if who, err := agent.WhoAmI(t.Context(), s); err != nil || who.UserID != "@root:example.test" || who.DeviceID != b.auth.DeviceID || s.DeviceID == "" {
			t.Errorf("%+v, %v", who, err)
		}
		if s, err = agent.Refresh(t.Context(), s); err != nil {
			t.Error(err)
		}
		if err := agent.Revoke(t.Context(), s); err != nil {
			t.Error(err)
		}
		if name := hs.DeviceName("root", b.auth.DeviceID); name != "" {
			t.Errorf("the device %s is still there", name)
		}
		var got []string
		for _, r := range hs.Requests() {
			got = append(got, string(r.Endpoint)+" "+strings.Join(r.FormKeys, " "))
			if named := r.Endpoint == flowtest.Exchange || r.Endpoint == flowtest.Refresh; named != strings.Contains(r.UserAgent, "box") {
				t.Errorf("%s hears %q", r.Endpoint, r.UserAgent)
			}
		}
		want := []string{"well-known ", "metadata ", "register ", "exchange client_id code code_verifier grant_type redirect_uri",
			"whoami ", "refresh client_id grant_type refresh_token"}
		if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	}, flowtest.WithDeviceGrant(false))
}

// A plain issuer gives no refresh token for the asking alone (OpenID Connect Core
// section 11), and a homeserver is not bothered.
func TestConsentForOfflineAccess(t *testing.T) {
	for scope, want := range map[string]string{"openid offline_access": "consent", flow.ScopeAPI: ""} {
		server := flow.Server{Issuer: "https://id.example.org", Token: "https://id.example.org/t", Authorization: "https://id.example.org/a", PKCE: true}
		z, err := new(flow.Agent).Authorize(server, flow.Client{ID: "c"}, flow.Request{Scope: scope}, testRedirect)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(z.URI)
		if err != nil || u.Query().Get("prompt") != want {
			t.Errorf("%s: %s, %v", scope, z.URI, err)
		}
	}
}

// Each login has a state, a challenge and a device of its own.
func TestBrowserLoginsDiffer(t *testing.T) {
	bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		seen := map[string]bool{}
		for range 100 {
			u, err := url.Parse(beginBrowser(t, hs, agent).auth.URI)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"state", "code_challenge", "scope"} {
				if v := u.Query().Get(name); seen[v] {
					t.Errorf("%s %s comes twice", name, v)
				} else {
					seen[v] = true
				}
			}
		}
	})
}

// Addresses that are none of the login's end nothing and send nothing: anybody can
// make them up. The right one is taken after them.
func TestStrayAddresses(t *testing.T) {
	bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		earlier := beginBrowser(t, hs, agent)
		b := beginBrowser(t, hs, agent)
		good := b.allowed()
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		state, query := u.Query().Get("state"), u.RawQuery
		strays := []string{
			"", "x", "?" + query, "http://127.0.0.1:40123/callback", b.auth.URI,
			earlier.allowed(), // the state of an earlier login
			edited(t, good, func(q url.Values) { q.Del("state") }),
			edited(t, good, setting("state", "")),
			edited(t, good, setting("state", state[1:])),
			edited(t, good, setting("state", strings.ToLower(state))),
			edited(t, good, setting("state", state, state)),
			edited(t, good, setting("state", "wrong", state)),
			edited(t, good, func(q url.Values) { q.Set("error", "access_denied"); q.Del("state") }),
			"http://127.0.0.1:40124/callback?" + query,
			"http://localhost:40123/callback?" + query,
			"https://127.0.0.1:40123/callback?" + query,
			"http://127.0.0.1:40123/callback/?" + query,
			"http://127.0.0.1:40123/callback#" + query, // a fragment was not asked for
			"http://evil.test/?http://127.0.0.1:40123/callback?" + query,
			"http://127.0.0.1:40123@evil.test/callback?" + query,
			testRedirect + "?" + query + "&bad=%zz",
			testRedirect + "?" + query + ";x",
			testRedirect + "?" + query + "&x=" + strings.Repeat("x", 16<<10), // a huge query
		}
		s, kinds, err := b.wait(t.Context(), append(strays, good)...)
		if err != nil || s.RefreshToken.Empty() {
			t.Fatalf("after the strays: %v", err)
		}
		if n := len(kinds) - 1; n != len(strays) || slices.ContainsFunc(kinds[:n], func(k flow.EventKind) bool { return k != flow.EventStray }) {
			t.Errorf("%d strays, and events %v", len(strays), kinds)
		}
		if n := hs.Count(flowtest.Exchange); n != 1 {
			t.Errorf("%d codes were sent to the server", n)
		}
	})
}

// What has the login's state and is no good answer ends the login, and no code
// leaves for the server.
func TestBadAnswers(t *testing.T) {
	const esc = "\x1b[31mclick\u202ehttps://evil.test"
	for name, tt := range map[string]struct {
		edit func(url.Values)
		want flow.Kind
		say  string
	}{
		"declined":       {func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, flow.KindDeclined, "declined"},
		"server trouble": {func(q url.Values) { q.Del("code"); q.Set("error", "temporarily_unavailable") }, flow.KindTemporary, ""},
		"scope":          {func(q url.Values) { q.Del("code"); q.Set("error", "invalid_scope") }, flow.KindRefused, "invalid_scope"},
		"client":         {func(q url.Values) { q.Del("code"); q.Set("error", "unauthorized_client") }, flow.KindRefused, ""},
		"hostile error":  {func(q url.Values) { q.Set("error", esc); q.Set("error_description", esc) }, flow.KindRefused, "server said"},
		"hostile words": {func(q url.Values) {
			q.Set("error", "access_denied")
			q.Set("error_description", strings.Repeat(esc, 100))
		}, flow.KindDeclined, "server said"},
		"error and code":   {func(q url.Values) { q.Set("error", "access_denied") }, flow.KindDeclined, ""},
		"empty error":      {func(q url.Values) { q.Set("error", "") }, flow.KindRefused, ""},
		"two codes":        {func(q url.Values) { q["code"] = append(q["code"], "other") }, flow.KindInvalid, "code twice"},
		"two errors":       {func(q url.Values) { q["error"] = []string{"access_denied", "x"} }, flow.KindInvalid, "error twice"},
		"no code":          {func(q url.Values) { q.Del("code") }, flow.KindInvalid, "no usable code"},
		"empty code":       {setting("code", ""), flow.KindInvalid, "no usable code"},
		"controls":         {setting("code", "a\r\nb"), flow.KindInvalid, "no usable code"},
		"not ASCII":        {setting("code", "ä"), flow.KindInvalid, "no usable code"},
		"a huge code":      {setting("code", strings.Repeat("x", 8<<10+1)), flow.KindInvalid, "no usable code"},
		"another issuer":   {setting("iss", "https://evil.test/"), flow.KindInvalid, "another issuer"},
		"an empty issuer":  {setting("iss", ""), flow.KindInvalid, "another issuer"},
		"almost the same":  {setting("iss", "https://auth.example.test"), flow.KindInvalid, "another issuer"},
		"two issuers":      {setting("iss", "https://auth.example.test/", "https://evil.test/"), flow.KindInvalid, "iss twice"},
		"error of another": {func(q url.Values) { q.Set("error", "access_denied"); q.Set("iss", "https://evil.test/") }, flow.KindInvalid, "another issuer"},
	} {
		bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
			b := beginBrowser(t, hs, agent)
			good := b.allowed()
			_, _, err := b.wait(t.Context(), edited(t, good, tt.edit))
			wantKind(t, name, err, tt.want)
			if err == nil {
				return
			}
			u, parseErr := url.Parse(good)
			if parseErr != nil {
				t.Fatal(parseErr)
			}
			for _, leak := range []string{"\x1b", "\u202e", u.Query().Get("code"), u.Query().Get("state")} {
				if strings.Contains(err.Error(), leak) {
					t.Errorf("%s: the error holds %q: %v", name, leak, err)
				}
			}
			if !strings.Contains(err.Error(), tt.say) || len(err.Error()) > 600 {
				t.Errorf("%s: %v", name, err)
			}
			if n := hs.Count(flowtest.Exchange); n != 0 {
				t.Errorf("%s: %d codes were sent to the server", name, n)
			}
		})
	}
}

// The answer may name the issuer, and must where the metadata promised it (RFC
// 9207).
func TestIssuerInTheAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		promised bool
		edit     func(url.Values)
		want     flow.Kind // KindBug: it goes well
	}{
		"named, not promised":   {false, setting("iss", "https://auth.example.test/"), flow.KindBug},
		"named and promised":    {true, setting("iss", "https://auth.example.test/"), flow.KindBug},
		"promised, not named":   {true, func(url.Values) {}, flow.KindInvalid},
		"promised, error alone": {true, func(q url.Values) { q.Set("error", "access_denied") }, flow.KindInvalid},
		"promised, another's":   {true, setting("iss", "https://evil.test/"), flow.KindInvalid},
	} {
		bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
			if tt.promised {
				hs.Inject(flowtest.Metadata, flowtest.Edit(func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = true }))
			}
			b := beginBrowser(t, hs, agent)
			_, _, err := b.wait(t.Context(), edited(t, b.allowed(), tt.edit))
			if (tt.want == flow.KindBug) != (err == nil) || err != nil && flow.KindOf(err) != tt.want {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// How an exchange can end. A code goes out once, unless the server cannot have
// seen it.
func TestExchange(t *testing.T) {
	wider := func(m map[string]any) { m["scope"] = m["scope"].(string) + " " + flow.ScopeSynapseAdmin }
	for name, tt := range map[string]struct {
		faults []flowtest.Fault
		mean   func(b browsing)
		want   flow.Kind // KindBug: it goes well
		sent   int
		say    string
	}{
		"good":         {want: flow.KindBug, sent: 1},
		"lost answer":  {faults: []flowtest.Fault{flowtest.LoseAnswer()}, want: flow.KindEnded, sent: 1, say: "stands in the account page"},
		"dropped":      {faults: []flowtest.Fault{flowtest.DropBefore()}, want: flow.KindEnded, sent: 1, say: "stands in the account page"},
		"bad gateway":  {faults: []flowtest.Fault{flowtest.HTML(502)}, want: flow.KindEnded, sent: 1, say: "stands in the account page"},
		"portal":       {faults: []flowtest.Fault{flowtest.HTML(200)}, want: flow.KindEnded, sent: 1, say: "stands in the account page"},
		"firewall":     {faults: []flowtest.Fault{flowtest.HTML(403)}, want: flow.KindRefused, sent: 1},
		"redirect":     {faults: []flowtest.Fault{flowtest.Redirect(307, "https://evil.test/")}, want: flow.KindInvalid, sent: 1},
		"used before":  {faults: []flowtest.Fault{flowtest.OAuthError(400, "invalid_grant")}, want: flow.KindExpired, sent: 1, say: "too late, or was used before"},
		"declined":     {faults: []flowtest.Fault{flowtest.OAuthError(403, "access_denied")}, want: flow.KindDeclined, sent: 1},
		"no grant":     {faults: []flowtest.Fault{flowtest.OAuthError(401, "unauthorized_client")}, want: flow.KindRefused, sent: 1},
		"wider":        {faults: []flowtest.Fault{flowtest.Edit(wider)}, want: flow.KindInvalid, sent: 1, say: "that session was ended"},
		"no refresh":   {faults: []flowtest.Fault{flowtest.Edit(func(m map[string]any) { delete(m, "refresh_token") })}, want: flow.KindInvalid, sent: 1, say: "no refresh token"},
		"token_type":   {faults: []flowtest.Fault{flowtest.Edit(func(m map[string]any) { m["token_type"] = "mac" })}, want: flow.KindInvalid, sent: 1, say: "ended"},
		"error inside": {faults: []flowtest.Fault{flowtest.Edit(func(m map[string]any) { m["error"] = "invalid_grant" })}, want: flow.KindExpired, sent: 1},
		"too late":     {mean: func(b browsing) { time.Sleep(601 * time.Second) }, want: flow.KindExpired, sent: 0, say: "within 10m0s"},
		"back in time": {mean: func(b browsing) {
			b.hs.AuthDown(true)
			go func() { time.Sleep(9 * time.Second); b.hs.AuthDown(false) }()
		}, want: flow.KindBug, sent: 1},
		"down for good": {mean: func(b browsing) { b.hs.AuthDown(true) }, want: flow.KindTemporary, sent: 0},
	} {
		bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
			b := beginBrowser(t, hs, agent)
			address := b.allowed()
			if tt.mean != nil {
				tt.mean(b)
			}
			hs.Inject(flowtest.Exchange, tt.faults...)
			if tt.say == "within 10m0s" {
				address = ""
			}
			s, kinds, err := b.wait(t.Context(), address)
			if tt.want == flow.KindBug && (err != nil || s.RefreshToken.Empty()) || tt.want != flow.KindBug && (err == nil || flow.KindOf(err) != tt.want) {
				t.Errorf("%s: %v", name, err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.say) {
				t.Errorf("%s: %v", name, err)
			}
			if strings.Contains(tt.say, "account page") && !strings.Contains(err.Error(), b.auth.DeviceID) {
				t.Errorf("%s: the device is not named: %v", name, err)
			}
			if n := hs.Count(flowtest.Exchange); n != tt.sent {
				t.Errorf("%s: %d requests with the code, want %d", name, n, tt.sent)
			}
			if name == "back in time" && !slices.Equal(kinds, []flow.EventKind{flow.EventAnswered, flow.EventOffline, flow.EventOffline, flow.EventOffline, flow.EventOffline, flow.EventOnline}) {
				t.Errorf("%s: %v", name, kinds)
			}
		})
	}
}

// Nobody answers: the wait ends by itself, after ten minutes, or with its context.
func TestNobodyAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		b := beginBrowser(t, hs, agent)
		begin := time.Now()
		_, _, err := b.wait(t.Context())
		wantKind(t, "nobody", err, flow.KindExpired)
		if took := time.Since(begin); took != 10*time.Minute {
			t.Errorf("after %v", took)
		}
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		b = beginBrowser(t, hs, agent)
		time.AfterFunc(time.Minute, func() { cancel(why) })
		if _, _, err := b.wait(ctx); !errors.Is(err, why) {
			t.Errorf("%v", err)
		}
	})
}

// Who gives up while the tokens are on their way gets them, to revoke them.
func TestGiveUpDuringTheExchange(t *testing.T) {
	bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		b := beginBrowser(t, hs, agent)
		address := b.allowed()
		hs.Inject(flowtest.Exchange, flowtest.Hold(time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		s, _, err := b.wait(ctx, address)
		if err != nil || s.RefreshToken.Empty() || ctx.Err() == nil {
			t.Errorf("%v", err)
		}
	})
}

// A server that cannot keep a code from others is not used, and neither is one
// that meddles with the request.
func TestBrowserLoginRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(map[string]any)
		want flow.Kind
	}{
		"no endpoint": {func(m map[string]any) { delete(m, "authorization_endpoint") }, flow.KindUnsupported},
		"no PKCE":     {func(m map[string]any) { delete(m, "code_challenge_methods_supported") }, flow.KindUnsupported},
		"only plain":  {func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} }, flow.KindUnsupported},
		"malformed":   {func(m map[string]any) { m["code_challenge_methods_supported"] = "S256" }, flow.KindUnsupported},
		"no register": {func(m map[string]any) { delete(m, "registration_endpoint") }, flow.KindUnsupported},
		"sets redirect": {func(m map[string]any) {
			m["authorization_endpoint"] = "https://auth.example.test/a?redirect_uri=https://evil.test/"
		}, flow.KindInvalid},
		"sets challenge": {func(m map[string]any) {
			m["authorization_endpoint"] = "https://auth.example.test/a?x=1&code_challenge=x"
		}, flow.KindInvalid},
		"own parameter": {func(m map[string]any) { m["authorization_endpoint"] = "https://auth.example.test/a?tenant=1" }, flow.KindBug},
	} {
		bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
			hs.Inject(flowtest.Metadata, flowtest.Edit(tt.edit))
			server, err := agent.Discover(t.Context(), hs.ServerName)
			if err != nil {
				t.Fatal(err)
			}
			_, auth, err := agent.BeginBrowser(t.Context(), server, flow.Client{}, flow.Registration{}, flow.Request{Scope: flow.ScopeAPI}, testRedirect)
			if tt.want == flow.KindBug {
				if err != nil || !strings.HasPrefix(auth.URI, "https://auth.example.test/a?tenant=1&") {
					t.Errorf("%s: %s, %v", name, auth.URI, err)
				}
				return
			}
			wantKind(t, name, err, tt.want)
		})
	}
}

// The way to a login by browser is shown by a login with a code that cannot be,
// and only where it leads somewhere.
func TestBrowserOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(map[string]any)
		want bool
	}{
		"without the device grant": {func(map[string]any) {}, true},
		"without both":             {func(m map[string]any) { delete(m, "authorization_endpoint") }, false},
		"without PKCE":             {func(m map[string]any) { delete(m, "code_challenge_methods_supported") }, false},
	} {
		bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
			hs.Inject(flowtest.Metadata, flowtest.Edit(tt.edit))
			server, err := agent.Discover(t.Context(), hs.ServerName)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = agent.Begin(t.Context(), server, flow.Client{}, flow.Registration{}, flow.Request{Scope: flow.ScopeAPI})
			wantKind(t, name, err, flow.KindUnsupported)
			if errors.Is(err, flow.ErrBrowserOnly) != tt.want {
				t.Errorf("%s: %v", name, err)
			}
		}, flowtest.WithDeviceGrant(false))
	}
}

// A homeserver's memory of the metadata names the device grant for a while after
// it was turned off. What is refused then is not the login by browser.
func TestBrowserOnlyNow(t *testing.T) {
	bubble(t, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		server, err := agent.Discover(t.Context(), hs.ServerName)
		if err != nil {
			t.Fatal(err)
		}
		hs.SetDeviceGrant(false)
		_, _, err = agent.Begin(t.Context(), server, flow.Client{}, flow.Registration{}, flow.Request{Scope: flow.ScopeAPI})
		wantKind(t, "turned off", err, flow.KindUnsupported)
		if !errors.Is(err, flow.ErrBrowserOnly) {
			t.Error(err)
		}
	})
}
