package flow

import (
	"cmp"
	"context"
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
		{"null", []reply{{status: 200, body: "null"}, good}, KindBug, time.Second},
		{"two access tokens", []reply{{status: 200, body: `{"access_token":"a","access_token":"b","token_type":"Bearer"}`}, good}, KindBug, time.Second},
		{"empty error members", []reply{{status: 200, body: `{"error":null,"error_description":"",` + tokenBody[1:]}}, KindBug, 0},
		{"firewall", []reply{{status: 403, body: "<h1>"}, good}, KindBug, time.Second},
		{"another code", []reply{{status: 400, body: `{"error":"strange"}`}, good}, KindBug, time.Second},
		{"Matrix error", []reply{{status: 403, body: `{"errcode":"M_FORBIDDEN","error":"invalid_grant"}`}, good}, KindBug, time.Second},
		{"down", []reply{{}}, KindTemporary, 12 * time.Second},
		{"hangs", []reply{{status: 200, wait: time.Hour}}, KindTemporary, 12 * time.Second},
		{"dead", []reply{{status: 400, body: `{"error":"invalid_grant"}`}}, KindEnded, time.Second},
		{"client dead", []reply{{status: 401, body: `{"error":"unauthorized_client"}`}}, KindEnded, time.Second},
		{"grant off", []reply{{status: 400, body: `{"error":"invalid_request"}`}}, KindRefused, time.Second},
		{"redirect", []reply{{status: 308, header: "Location: https://evil.test/token"}}, KindInvalid, time.Second},
		{"invalid scope", []reply{{status: 400, body: `{"error":"invalid_scope"}`}}, KindRefused, time.Second},
		{"error beside tokens", []reply{{status: 200, body: `{"error":"invalid_grant",` + tokenBody[1:]}}, KindEnded, time.Second},
		{"mac", []reply{{status: 200, body: `{"access_token":"a","token_type":"mac"}`}}, KindInvalid, time.Second},
		{"token with a blank", []reply{{status: 200, body: `{"access_token":"a b","token_type":"Bearer"}`}}, KindInvalid, time.Second},
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

// What a server asks for is waited for within the 12 s, and told beyond them.
func TestRefreshRetryAfter(t *testing.T) {
	for value, want := range map[string]struct {
		after time.Duration // until the second try; 0: there is none
		told  time.Duration // in the error
	}{
		"":                              {500 * time.Millisecond, 0},
		"0":                             {500 * time.Millisecond, 0},
		"5":                             {5 * time.Second, 0},
		"11":                            {11 * time.Second, 0},
		"12":                            {0, 12 * time.Second},
		"13":                            {0, 13 * time.Second},
		"1000000000":                    {0, 24 * time.Hour},
		"99999999999999999999":          {0, 24 * time.Hour},
		"-5":                            {500 * time.Millisecond, 0},
		"soon":                          {500 * time.Millisecond, 0},
		"3.5":                           {500 * time.Millisecond, 0},
		"Sat, 01 Jan 2000 00:00:07 GMT": {7 * time.Second, 0}, // the bubble begins with that year
		"Sat, 01 Jan 2000 01:00:00 GMT": {0, time.Hour},
		"Fri, 31 Dec 1999 00:00:00 GMT": {500 * time.Millisecond, 0},
	} {
		t.Run("S42 "+value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sc := &script{replies: map[string][]reply{asURL + "token": {{status: 429, header: "Retry-After: " + value}, {status: 200, body: tokenBody}}}}
				begin := time.Now()
				_, err := sc.agent().Refresh(t.Context(), testSession())
				took := time.Since(begin)
				var e *Error
				switch {
				case want.after > 0 && (err != nil || took != want.after):
					t.Errorf("%v after %v", err, took)
				case want.after == 0 && (!errors.As(err, &e) || e.Kind != KindTemporary || e.RetryAfter != want.told || took != 0):
					t.Errorf("%+v after %v", err, took)
				}
			})
		})
	}
}

// Who gives up between two tries hears his own reason, and keeps the session.
func TestRefreshGivesUpWithTheCaller(t *testing.T) {
	gone := errors.New("gone")
	for name, r := range map[string]reply{"between tries": {status: 503}, "in a try": {status: 200, wait: time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			sc := &script{replies: map[string][]reply{asURL + "token": {r}}}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(200*time.Millisecond, func() { cancel(gone) })
			s, err := sc.agent().Refresh(ctx, testSession())
			if !errors.Is(err, gone) || s.RefreshToken.Reveal() != "mar_old" {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestRefreshNarrowsTheScope(t *testing.T) {
	before := testSession()
	before.Scope, before.DeviceID = ScopeAPI+" "+ScopeDevice+"ABCDEFGHIJKL", "ABCDEFGHIJKL"
	for granted, device := range map[string]string{
		ScopeAPI: "", before.Scope: "ABCDEFGHIJKL", "": "ABCDEFGHIJKL", // Hydra: empty is not said
		unstablePrefix + "device:ABCDEFGHIJKL " + unstablePrefix + "api:*": "ABCDEFGHIJKL",
	} {
		sc := &script{replies: map[string][]reply{asURL + "token": {{status: 200, body: `{"access_token":"a","token_type":"Bearer","scope":"` + granted + `"}`}}}}
		s, err := sc.agent().Refresh(t.Context(), before)
		if want := cmp.Or(granted, before.Scope); err != nil || s.Scope != want || s.DeviceID != device {
			t.Errorf("%s: %v, scope %q, device %q", granted, err, s.Scope, s.DeviceID)
		}
	}
	before.Server.Homeserver = "" // S35: a plain issuer may add its defaults
	sc := &script{replies: map[string][]reply{asURL + "token": {{status: 200, body: `{"access_token":"a","token_type":"Bearer","scope":"openid profile"}`}}}}
	if s, err := sc.agent().Refresh(t.Context(), before); err != nil || s.Scope != "openid profile" {
		t.Errorf("at an issuer: %v, %q", err, s.Scope)
	}
}

// Whatever a server says, what is secret goes to the places of the login and to no
// other.
func TestTokensGoToPinnedPlaces(t *testing.T) {
	const evil = `"token_endpoint":"https://evil.example/","revocation_endpoint":"https://evil.example/","userinfo_endpoint":"https://evil.example/",
		"issuer":"https://evil.example/","m.homeserver":{"base_url":"https://evil.example"}`
	synctest.Test(t, func(t *testing.T) {
		s := testSession()
		whoami := s.Server.Homeserver + "/_matrix/client/v3/account/whoami"
		token := strings.TrimSuffix(tokenBody, "}") + "," + evil + "}"
		sc := &script{replies: map[string][]reply{
			s.Server.Token:      {{status: 200, header: "Location: https://evil.example/", body: token}, {status: 400, body: `{"error":"invalid_grant",` + evil + `}`}},
			s.Server.Revocation: ok("{" + evil + "}"),
			whoami:              {{status: 200, header: "Link: <https://evil.example/>", body: `{"user_id":"@a:example.org",` + evil + `}`}},
		}}
		a := sc.agent()
		s, err := a.Refresh(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.WhoAmI(t.Context(), s); err != nil {
			t.Error(err)
		}
		if err := a.Revoke(t.Context(), s); err != nil {
			t.Error(err)
		}
		for _, r := range sc.seen {
			if r.address != s.Server.Token && r.address != s.Server.Revocation && r.address != whoami || s.Server.Token != testServer().Token {
				t.Errorf("%s was asked", r.address)
			}
			if (r.bearer != "") != (r.address == whoami) {
				t.Errorf("%s was sent an access token as a bearer: %v", r.address, r.bearer != "")
			}
		}
		if len(sc.seen) != 4 {
			t.Errorf("%d requests, want 4", len(sc.seen))
		}
	})
}
