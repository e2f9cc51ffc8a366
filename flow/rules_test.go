package flow_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/flow/flowtest"
)

// A rule is a sentence of a specification that a client must keep. check holds an
// Agent to it, in virtual time. M1 to M8 are of Matrix's client-server API, OAuth
// 2.0 API.
type rule struct {
	name    string
	options []flowtest.Option
	check   func(t *testing.T, hs *flowtest.Server, agent *flow.Agent)
}

// shownElsewhere are the rules that other tests show, here or in other packages.
var shownElsewhere = map[string]string{
	"RFC_8628_section_3.3.1_code_and_address_beside_the_QR": "tui: TestWhereQRCodesAre, TestLinesQR",
	"RFC_8628_section_5.2_device_code_is_never_shown":       "cmd/mxauth: every test of the binary (canaries), TestHostileLocal/L5",
	"RFC_8628_section_5.4_only_approve_what_you_started":    "tui: TestGolden, TestLines",
	"RFC_8628_section_5.5_code_is_cleared":                  "cmd/mxauth: TestScreen, TestHostileLocal/L5",
	"RFC_9700_section_4.9.1_token_to_its_homeserver_only":   "cmd/internal/model, TestRedirectsWithCredentials",
	"RFC_7591_section_3.2.1_the_server_changes_metadata":    "TestRegisteredClient, TestClientSecretOnTheWire",
	"RFC_7591_section_3.2.1_registration_access_token":      "cmd/mxauth: TestHostileLocal/L14",
	"RFC_7591_section_5_TLS_with_certificates":              "TestTLS",
}

// TestRules has each rule by its name.
func TestRules(t *testing.T) {
	for name, where := range shownElsewhere {
		t.Run(name+"_elsewhere", func(t *testing.T) { t.Log("see " + where) })
	}
	for _, r := range slices.Concat(matrixRules, deviceRules, securityRules, tokenRules) {
		t.Run(r.name, func(t *testing.T) { bubble(t, r.check, r.options...) })
	}
}

var matrixRules = []rule{
	{"M1_registers_for_each_login", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		for n := 1; n <= 2; n++ {
			if s := logIn(t, hs, agent); s.Client.ID == "" || hs.Count(flowtest.Register) != n {
				t.Errorf("login %d: client %q, %d registrations", n, s.Client.ID, hs.Count(flowtest.Register))
			}
		}
	}},
	{"M2_one_device_in_the_scope", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		logIn(t, hs, agent)
		device := regexp.MustCompile(`^urn:matrix:client:device:[A-Za-z0-9._~-]{10,}$`)
		found := 0
		for word := range strings.FieldsSeq(last(hs, flowtest.Device).Scope) {
			if strings.Contains(word, "device") {
				found++
				if !device.MatchString(word) {
					t.Error(word)
				}
			}
		}
		if found != 1 {
			t.Errorf("%d devices", found)
		}
	}},
	{"M2_100000_devices_without_a_repeat", nil, func(t *testing.T, _ *flowtest.Server, _ *flow.Agent) {
		seen := map[string]bool{}
		for range 100_000 {
			seen[flow.NewDeviceID()] = true
		}
		if len(seen) != 100_000 {
			t.Errorf("%d different ones", len(seen))
		}
	}},
	{"M3_refresh_again_with_the_old_token", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		for _, fault := range []flowtest.Fault{flowtest.DropBefore(), flowtest.LoseAnswer(), flowtest.Status(500), flowtest.HTML(502)} {
			hs.Inject(flowtest.Refresh, fault)
			var err error
			if s, err = agent.Refresh(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"M4_and_RFC_9700_section_4.14_no_token_twice", []flowtest.Option{flowtest.WithStrictRotation()}, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		for range 5 { // a token that came again would end the session
			next, err := agent.Refresh(t.Context(), s)
			if err != nil || next.RefreshToken.Equal(s.RefreshToken) {
				t.Fatalf("the same token: %t, %v", next.RefreshToken.Equal(s.RefreshToken), err)
			}
			s = next
		}
		if _, err := agent.WhoAmI(t.Context(), s); err != nil {
			t.Error(err)
		}
	}},
	{"M5_well-known", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		raw := func(body string) flowtest.Fault { return flowtest.Raw(200, "application/json", body) }
		for what, tt := range map[string]struct {
			fault flowtest.Fault
			want  flow.Kind
		}{
			"500": {flowtest.Status(500), flow.KindTemporary}, "not JSON": {raw("<p>"), flow.KindInvalid}, "no address": {raw("{}"), flow.KindInvalid},
			"bad address": {raw(`{"m.homeserver":{"base_url":"ftp://x"}}`), flow.KindInvalid}, "circle": {flowtest.Redirect(302, "https://"+hs.ServerName+"/.well-known/matrix/client"), flow.KindInvalid},
		} {
			hs.Inject(flowtest.WellKnown, slices.Repeat([]flowtest.Fault{tt.fault}, 8)...)
			_, err := agent.Discover(t.Context(), hs.ServerName)
			wantKind(t, what, err, tt.want)
			for hs.Injected(flowtest.WellKnown) > 0 {
				_, _ = agent.Discover(t.Context(), hs.ServerName) // uses up the rest
			}
		}
		for _, slash := range []string{"", "/"} {
			hs.Inject(flowtest.WellKnown, raw(`{"m.homeserver":{"base_url":"`+hs.URL+slash+`"}}`))
			if s, err := agent.Discover(t.Context(), hs.ServerName); err != nil || s.Homeserver != hs.URL {
				t.Errorf("%q: %v", s.Homeserver, err)
			}
		}
	}},
	{"M7_locked_is_not_logged_out", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		hs.Inject(flowtest.Refresh, slices.Repeat([]flowtest.Fault{flowtest.Raw(403, "application/json", `{"errcode":"M_USER_LOCKED","error":"no","soft_logout":true}`)}, 16)...)
		_, err := agent.Refresh(t.Context(), s)
		wantKind(t, "locked", err, flow.KindTemporary)
	}},
	{"M8_logout_is_a_revocation", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		if err := agent.Revoke(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if keys := last(hs, flowtest.Revoke).FormKeys; !slices.Contains(keys, "token") || !slices.Contains(keys, "client_id") {
			t.Errorf("the form has %v", keys)
		}
		_, err := agent.Refresh(t.Context(), s)
		wantKind(t, "afterwards", err, flow.KindEnded)
	}},
}

var deviceRules = []rule{
	{"RFC_8628_section_3.2_five_seconds_without_an_interval", []flowtest.Option{flowtest.WithInterval(0)}, polled([]time.Duration{5, 5, 5},
		flowtest.OAuthError(400, "authorization_pending"), flowtest.OAuthError(400, "authorization_pending"))},
	{"RFC_8628_section_3.5_slow_down", nil, polled([]time.Duration{5, 10, 15, 20}, flowtest.SlowDown(), flowtest.SlowDown(), flowtest.SlowDown())},
	{"RFC_8628_section_3.5_back_off_after_a_timeout", nil, polled([]time.Duration{5, 10}, flowtest.DropBefore())},
	{"RFC_8628_section_3.5_other_errors_end_it", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		for code, want := range map[string]flow.Kind{"strange": flow.KindRefused, "access_denied": flow.KindDeclined, "expired_token": flow.KindExpired} {
			hs.ForgetRequests()
			hs.Inject(flowtest.Poll, flowtest.OAuthError(400, code))
			server, client, c := begun(t, hs, agent)
			_, err := agent.Wait(t.Context(), server, client, c, nil)
			wantKind(t, code, err, want)
			if hs.Count(flowtest.Poll) != 1 || hs.Count(flowtest.Device) != 1 {
				t.Errorf("%s: %d polls, %d codes", code, hs.Count(flowtest.Poll), hs.Count(flowtest.Device))
			}
		}
	}},
	{"RFC_8628_section_5.6_public_client", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		logIn(t, hs, agent)
		for _, r := range hs.Requests() {
			if slices.Contains(r.FormKeys, "client_secret") || r.Header.Get("Authorization") != "" {
				t.Errorf("%s carries a secret", r.Endpoint)
			}
		}
	}},
}

var securityRules = []rule{
	{"RFC_9700_section_4.4_endpoints_of_the_login", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		hs.ForgetRequests()
		moved := flowtest.Edit(func(m map[string]any) { m["token_endpoint"] = "https://evil.test/token" })
		hs.Inject(flowtest.Metadata, moved, moved)
		if _, err := agent.Refresh(t.Context(), s); err != nil {
			t.Error(err)
		}
		if n := len(hs.Requests()); n != 1 || hs.Count(flowtest.Refresh) != 1 {
			t.Errorf("%d requests", n)
		}
	}},
	{"RFC_9700_section_2.3_no_wider_scope", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		server, client, c := begun(t, hs, agent)
		hs.Inject(flowtest.Poll, flowtest.Edit(func(m map[string]any) { m["scope"] = c.Scope + " urn:mas:admin" }))
		if err := hs.Approve(c.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		_, err := agent.Wait(t.Context(), server, client, c, nil)
		wantKind(t, "wider", err, flow.KindInvalid)
		if hs.Succeeded(flowtest.Revoke) != 1 {
			t.Error("it was not revoked")
		}
	}},
	{"RFC_9700_section_4.12_no_form_is_sent_on", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		for _, status := range []int{301, 302, 303, 307, 308} {
			hs.ForgetRequests()
			hs.Inject(flowtest.Refresh, flowtest.Redirect(status, hs.URL+"/elsewhere"))
			_, err := agent.Refresh(t.Context(), s)
			wantKind(t, http.StatusText(status), err, flow.KindInvalid)
			if n := len(hs.Requests()); n != 1 {
				t.Errorf("%d: %d requests", status, n)
			}
		}
	}},
	{"RFC_8414_section_3.3_issuer", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		for _, issuer := range []string{"http://auth.example.test/", hs.Issuer + "?q", hs.Issuer + "#f", "https://u:p@auth.example.test/", ""} {
			hs.Inject(flowtest.Metadata, flowtest.Edit(func(m map[string]any) { m["issuer"] = issuer }))
			_, err := agent.Discover(t.Context(), hs.ServerName)
			wantKind(t, issuer, err, flow.KindInvalid)
		}
	}},
}

var tokenRules = []rule{
	{"RFC_6749_section_5.1_and_7.1_token_type", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		for _, kind := range []any{nil, "", "mac", "N_A", 7} {
			s := logIn(t, hs, agent)
			hs.Inject(flowtest.Refresh, flowtest.Edit(func(m map[string]any) { m["token_type"] = kind }))
			if next, err := agent.Refresh(t.Context(), s); err == nil && !next.AccessToken.Equal(s.AccessToken) && hs.Count(flowtest.Refresh) == 1 {
				t.Errorf("%v was taken", kind)
			}
			hs.ForgetRequests()
		}
	}},
	{"RFC_6749_section_5.1_unknown_members", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		hs.Inject(flowtest.Refresh, flowtest.Edit(func(m map[string]any) { m["new"], m["token-type"] = map[string]any{"a": 1}, "mac" }))
		if _, err := agent.Refresh(t.Context(), s); err != nil {
			t.Error(err)
		}
	}},
	{"RFC_6749_appendix_A_tokens_are_VSCHAR", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		for _, bad := range []string{"a b", "a\nb", "a\x1bb", "ä", "a\x00b"} {
			s := logIn(t, hs, agent)
			hs.Inject(flowtest.Refresh, flowtest.Edit(func(m map[string]any) { m["access_token"] = bad }))
			if next, err := agent.Refresh(t.Context(), s); err == nil && next.AccessToken.Reveal() == bad {
				t.Errorf("%q was taken", bad)
			}
		}
	}},
	{"RFC_6749_section_5.2_error_text_is_cleaned", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		hs.Inject(flowtest.Refresh, flowtest.Raw(400, "application/json", `{"error":"invalid_request","error_description":"a\u001b[31m\u202eb\u0000\nc"}`))
		_, err := agent.Refresh(t.Context(), s)
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\u202e\x00\n") || !strings.Contains(err.Error(), "[31m") {
			t.Errorf("%q", err)
		}
	}},
	{"RFC_6750_section_2.3_nothing_in_an_address", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		s, err := agent.Refresh(t.Context(), s)
		if err == nil {
			_, err = agent.WhoAmI(t.Context(), s)
		}
		if err == nil {
			err = agent.Revoke(t.Context(), s)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range hs.Requests() {
			if r.Query != "" {
				t.Errorf("%s?%s", r.Path, r.Query)
			}
		}
	}},
	{"RFC_7009_section_2.2_200_proves_nothing", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		hs.Inject(flowtest.Revoke, flowtest.Status(200)) // and nothing is done
		if err := agent.Revoke(t.Context(), s); err != nil || hs.Count(flowtest.Revoke) != 2 {
			t.Errorf("%d revocations, %v", hs.Count(flowtest.Revoke), err)
		}
		_, err := agent.Refresh(t.Context(), s)
		wantKind(t, "afterwards", err, flow.KindEnded)
	}},
	{"RFC_7009_section_2.2_503_is_alive", nil, func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		s := logIn(t, hs, agent)
		hs.Inject(flowtest.Revoke, flowtest.Status(503))
		wantKind(t, "503", agent.Revoke(t.Context(), s), flow.KindTemporary)
		if _, err := agent.WhoAmI(t.Context(), s); err != nil {
			t.Error(err)
		}
	}},
}

// last is the last request at an endpoint.
func last(hs *flowtest.Server, at flowtest.Endpoint) (found flowtest.Request) {
	for _, r := range hs.Requests() {
		if r.Endpoint == at {
			found = r
		}
	}
	return found
}

// polled lets polls go wrong, and wants so many seconds at least, and not twice as
// many, before each.
func polled(seconds []time.Duration, faults ...flowtest.Fault) func(*testing.T, *flowtest.Server, *flow.Agent) {
	return func(t *testing.T, hs *flowtest.Server, agent *flow.Agent) {
		server, client, code := begun(t, hs, agent)
		hs.Inject(flowtest.Poll, faults...)
		if err := hs.Approve(code.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		if _, err := agent.Wait(t.Context(), server, client, code, nil); err != nil {
			t.Fatal(err)
		}
		var pauses []time.Duration
		for _, r := range hs.Requests() {
			if r.Endpoint == flowtest.Poll {
				pauses = append(pauses, r.Time.Sub(before))
				before = r.Time
			}
		}
		if len(pauses) != len(seconds) {
			t.Fatalf("polled after %v", pauses)
		}
		for i, pause := range pauses {
			if least := seconds[i] * time.Second; pause < least || pause >= 2*least {
				t.Errorf("poll %d came after %v, want %v", i+1, pause, least)
			}
		}
	}
}
