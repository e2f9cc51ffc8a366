package flow

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRefresh(t *testing.T) {
	good := reply{status: 200, body: tokenBody}
	for _, tt := range []struct {
		name    string
		replies []reply
		want    Kind // KindBug: success
		within  time.Duration
	}{
		{"plain", []reply{good}, KindBug, time.Second},
		{"lost answer, then good", []reply{{}, good}, KindBug, time.Second},
		{"502 twice", []reply{{status: 502, body: "<h1>"}, {status: 502, body: "<h1>"}, good}, KindBug, 3 * time.Second},
		{"HTML with 200", []reply{{status: 200, body: "<html>"}, good}, KindBug, time.Second},
		{"truncated", []reply{{status: 200, body: tokenBody[:60]}, good}, KindBug, time.Second},
		{"Retry-After within the budget", []reply{{status: 429, header: "Retry-After: 3", body: "{}"}, good}, KindBug, 4 * time.Second},
		{"Retry-After beyond it", []reply{{status: 429, header: "Retry-After: 60", body: "{}"}, good}, KindTemporary, time.Second},
		{"Retry-After absurd", []reply{{status: 429, header: "Retry-After: 99999999999999999999", body: "{}"}, good}, KindBug, 2 * time.Second},
		{"down", []reply{{}}, KindTemporary, 12 * time.Second},
		{"hangs", []reply{{status: 200, wait: time.Hour}}, KindTemporary, 12 * time.Second},
		{"dead", []reply{{status: 400, body: `{"error":"invalid_grant"}`}}, KindEnded, time.Second},
		{"client dead", []reply{{status: 401, body: `{"error":"unauthorized_client"}`}}, KindEnded, time.Second},
		{"grant off", []reply{{status: 400, body: `{"error":"invalid_request"}`}}, KindRefused, time.Second},
		{"redirect", []reply{{status: 308, header: "Location: https://evil.test/token"}}, KindInvalid, time.Second},
		{"mac", []reply{{status: 200, body: `{"access_token":"a","token_type":"mac"}`}}, KindInvalid, time.Second},
		{"wider", []reply{{status: 200, body: `{"access_token":"a","token_type":"Bearer","scope":"urn:mas:admin"}`}}, KindInvalid, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			sc := &script{replies: map[string][]reply{asURL + "token": tt.replies}}
			before := testSession()
			begin := time.Now()
			s, err := sc.agent().Refresh(t.Context(), before)
			if took := time.Since(begin); took > tt.within {
				t.Errorf("%s: took %v", tt.name, took)
			}
			if tt.want == KindBug {
				if err != nil || s.AccessToken.Reveal() != "mat_new" || s.RefreshToken.Reveal() != "mar_new" || s.Expiry.Sub(s.Issued) != 5*time.Minute {
					t.Errorf("%s: %v %+v", tt.name, err, s.Expiry.Sub(s.Issued))
				}
			} else {
				wantKind(t, tt.name, err, tt.want)
				if !s.RefreshToken.Equal(before.RefreshToken) {
					t.Errorf("%s: the session was changed", tt.name)
				}
			}
			for _, r := range sc.seen {
				if r.form.Get("refresh_token") != "mar_old" || r.form.Has("scope") || r.bearer != "" {
					t.Errorf("%s: sent %v", tt.name, r.form)
				}
				if !strings.HasPrefix(r.agent, "mxauth/1.2.3 (box; ") {
					t.Errorf("%s: User-Agent %q", tt.name, r.agent)
				}
			}
		})
	}
}

func TestRefreshKeepsWhatTheServerLeavesOut(t *testing.T) {
	sc := &script{replies: map[string][]reply{asURL + "token": {{status: 200, body: `{"access_token":"a","token_type":"bearer"}`}}}}
	s, err := sc.agent().Refresh(t.Context(), testSession())
	if err != nil || s.RefreshToken.Reveal() != "mar_old" || s.Scope != ScopeAPI || !s.Expiry.IsZero() {
		t.Errorf("%v %+v", err, s)
	}
}

// A server that echoes the refresh token in its error does not get it printed.
func TestErrorsHoldNoSecret(t *testing.T) {
	sc := &script{replies: map[string][]reply{asURL + "token": {{status: 400, body: `{"error":"invalid_grant","error_description":"mar_old is \u001b[31m dead mar_old"}`}}}}
	_, err := sc.agent().Refresh(t.Context(), testSession())
	if err == nil || strings.Contains(err.Error(), "mar_old") || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%q", err)
	}
}

func TestRevoke(t *testing.T) {
	dead := reply{status: 400, body: `{"error":"invalid_grant"}`}
	alive := reply{status: 200, body: tokenBody}
	for _, tt := range []struct {
		name   string
		revoke reply
		probe  []reply
		want   Kind
		rounds int
	}{
		{"dead", reply{status: 200}, []reply{dead}, KindBug, 1},
		{"consumed token, then dead", reply{status: 200}, []reply{alive, dead}, KindBug, 2},
		{"never dead", reply{status: 200}, []reply{alive}, KindInvalid, 2},
		{"unknown token (Continuwuity)", reply{status: 400, body: `{"error":"invalid_grant"}`}, []reply{dead}, KindBug, 1},
		{"unknown token (Keycloak)", reply{status: 200, body: `{"error":"invalid_token"}`}, []reply{dead}, KindBug, 1},
		{"503", reply{status: 503}, nil, KindTemporary, 1},
		{"401", reply{status: 401, body: `{"error":"invalid_client"}`}, nil, KindRefused, 1},
		{"redirect", reply{status: 302}, nil, KindInvalid, 1},
		{"proof fails", reply{status: 200}, []reply{{status: 503}}, KindTemporary, 1},
	} {
		sc := &script{replies: map[string][]reply{asURL + "revoke": {tt.revoke}, asURL + "token": tt.probe}}
		err := sc.agent().Revoke(t.Context(), testSession())
		if tt.want == KindBug && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.want != KindBug {
			wantKind(t, tt.name, err, tt.want)
		}
		if n := sc.count(asURL + "revoke"); n != tt.rounds {
			t.Errorf("%s: %d revocations", tt.name, n)
		}
	}
	s := testSession()
	s.Server.Revocation = ""
	if err := (&script{}).agent().Revoke(t.Context(), s); KindOf(err) != KindUnsupported {
		t.Error(err)
	}
}

func TestWhoAmI(t *testing.T) {
	const who = "https://example.org/_matrix/client/v3/account/whoami"
	for body, want := range map[string]Kind{
		`{"user_id":"@alice:example.org"}`:   KindBug,
		`{"user_id":"alice"}`:                KindInvalid,
		`{"user_id":"@a\u001b:example.org"}`: KindInvalid,
		`{}`:                                 KindInvalid,
	} {
		sc := &script{replies: map[string][]reply{who: {{status: 200, body: body}}}}
		id, err := sc.agent().WhoAmI(t.Context(), testSession())
		if want == KindBug && (err != nil || id.UserID != "@alice:example.org" || sc.seen[0].bearer != "Bearer mat_old" || sc.seen[0].agent != "mxauth/1.2.3") {
			t.Errorf("%s: %v", body, err)
		} else if want != KindBug {
			wantKind(t, body, err, want)
		}
	}
	for status, want := range map[int]Kind{503: KindTemporary, 500: KindTemporary, 401: KindEnded, 403: KindRefused, 302: KindInvalid} {
		sc := &script{replies: map[string][]reply{who: {{status: status, body: `{"errcode":"M_UNKNOWN","error":"x"}`}}}}
		_, err := sc.agent().WhoAmI(t.Context(), testSession())
		wantKind(t, "status", err, want)
	}
	s := testSession()
	s.Scope = ScopeMASAdmin
	if _, err := (&script{}).agent().WhoAmI(t.Context(), s); KindOf(err) != KindUnsupported || s.CanIdentify() {
		t.Error("a session without the API scope was asked for its user")
	}
	s = testSession()
	s.DeviceID = "ABCDEFGHIJKL"
	sc := &script{replies: map[string][]reply{who: {{status: 200, body: `{"user_id":"@a:b","device_id":"OTHER"}`}}}}
	_, err := sc.agent().WhoAmI(t.Context(), s)
	wantKind(t, "other device", err, KindInvalid)
	if errors.Unwrap(err) != nil {
		t.Error("no cause expected")
	}
}
