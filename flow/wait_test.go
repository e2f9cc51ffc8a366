package flow

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// poll runs a whole wait in virtual time and returns when the polls went out,
// in seconds after the code.
func poll(t *testing.T, code string, replies ...reply) (polls []time.Duration, took time.Duration, s Session, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sc := &script{replies: map[string][]reply{
			asURL + "device": {{status: 200, body: code}}, asURL + "token": replies,
			asURL + "revoke": {{status: 200}},
		}}
		c, startErr := start(t, sc)
		if startErr != nil {
			t.Fatal(startErr)
		}
		begin := time.Now()
		s, err = sc.agent().Wait(t.Context(), testServer(), Client{ID: "cid"}, c, nil)
		took = time.Since(begin)
		for _, r := range sc.seen {
			if r.form.Get("grant_type") == grantDeviceCode {
				polls = append(polls, r.at.Sub(begin).Round(time.Second))
			}
		}
	})
	return
}

var pend = reply{status: 403, body: pendBody}

func seconds64(d []time.Duration) (out []int) {
	for _, x := range d {
		out = append(out, int(x.Seconds()))
	}
	return
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestWaitSlowsDownForGood(t *testing.T) {
	slow := reply{status: 400, body: `{"error":"slow_down"}`}
	polls, _, s, err := poll(t, codeBody, slow, slow, slow, pend, reply{status: 200, body: tokenBody})
	if err != nil || s.AccessToken.Reveal() != "mat_new" {
		t.Fatal(err)
	}
	// 5, then +10, +15, +20, +20: RFC 8628 section 3.5
	if want := []int{5, 15, 30, 50, 71}; !equal(seconds64(polls), want) {
		t.Errorf("polls at %v, want %v", seconds64(polls), want)
	}
}

func TestWaitSurvivesTrouble(t *testing.T) {
	for name, r := range map[string]reply{
		"lost connection": {}, "502 HTML": {status: 502, body: "<h1>no</h1>"}, "429": {status: 429, header: "Retry-After: 20", body: "<p>"},
		"Matrix 429": {status: 429, body: `{"errcode":"M_LIMIT_EXCEEDED","error":"no"}`}, "hang": {status: 200, body: "{}", wait: time.Hour},
		"server_error": {status: 500, body: `{"error":"server_error"}`}, "captive portal, twice": {status: 200, body: "<html>"},
	} {
		polls, _, _, err := poll(t, codeBody, r, r, pend, reply{status: 200, body: tokenBody})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := 1; i < len(polls); i++ {
			if polls[i]-polls[i-1] < 5*time.Second {
				t.Errorf("%s: polls too close: %v", name, polls)
			}
		}
	}
}

func TestWaitEnds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		replies []reply
		want    Kind
	}{
		{"declined", []reply{pend, {status: 403, body: `{"error":"access_denied"}`}}, KindDeclined},
		{"expired", []reply{pend, {status: 400, body: `{"error":"expired_token"}`}}, KindExpired},
		{"never decided", []reply{pend}, KindExpired},
		{"offline to the end", []reply{{}}, KindExpired},
		{"tokens lost on the way", []reply{{}, {status: 400, body: `{"error":"invalid_grant"}`}}, KindEnded},
		{"no such code", []reply{{status: 400, body: `{"error":"invalid_grant"}`}}, KindDeclined},
		{"unknown error", []reply{{status: 400, body: `{"error":"weird"}`}}, KindRefused},
		{"client is gone", []reply{{status: 401, body: `{"error":"invalid_client"}`}}, KindRefused},
		{"portal for good", []reply{{status: 200, body: "<html>"}}, KindInvalid},
		{"redirect", []reply{{status: 307, header: "Location: https://evil.test/"}}, KindInvalid},
		{"no access token", []reply{{status: 200, body: `{"token_type":"Bearer"}`}}, KindInvalid},
		{"no refresh token", []reply{{status: 200, body: `{"access_token":"a","token_type":"Bearer"}`}}, KindInvalid},
		{"mac token", []reply{{status: 200, body: `{"access_token":"a","refresh_token":"b","token_type":"mac"}`}}, KindInvalid},
		{"token with a newline", []reply{{status: 200, body: `{"access_token":"a\nb","refresh_token":"b","token_type":"Bearer"}`}}, KindInvalid},
		{"wider scope", []reply{{status: 200, body: `{"access_token":"a","refresh_token":"b","token_type":"Bearer","scope":"urn:matrix:client:api:* urn:synapse:admin:*"}`}}, KindInvalid},
		{"two access tokens", []reply{{status: 200, body: `{"access_token":"a","access_token":"b","refresh_token":"b","token_type":"Bearer"}`}}, KindInvalid},
		{"error beside tokens", []reply{{status: 200, body: `{"error":"access_denied","access_token":"a","refresh_token":"b","token_type":"Bearer"}`}}, KindDeclined},
	} {
		_, took, _, err := poll(t, codeBody, tt.replies...)
		wantKind(t, tt.name, err, tt.want)
		if tt.want == KindExpired && len(tt.replies) == 1 && took != 20*time.Minute {
			t.Errorf("%s: ended after %v, want 20m0s", tt.name, took)
		}
	}
}

func TestWaitRevokesWhatItRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{replies: map[string][]reply{
			asURL + "device": {{status: 200, body: codeBody}},
			asURL + "token":  {{status: 200, body: `{"access_token":"a","refresh_token":"b","token_type":"Bearer","scope":"urn:matrix:client:api:* urn:mas:admin"}`}, {status: 400, body: `{"error":"invalid_grant"}`}},
			asURL + "revoke": {{status: 200}},
		}}
		c, err := start(t, sc)
		if err != nil {
			t.Fatal(err)
		}
		_, err = sc.agent().Wait(t.Context(), testServer(), Client{ID: "cid"}, c, nil)
		wantKind(t, "wider", err, KindInvalid)
		if sc.count(asURL+"revoke") != 1 {
			t.Error("the tokens were not revoked")
		}
	})
}

func TestWaitIntervals(t *testing.T) {
	for code, first := range map[string]int{
		`{"device_code":"dc","user_code":"A","verification_uri":"https://auth.example.org/","expires_in":60}`:                 5,
		`{"device_code":"dc","user_code":"A","verification_uri":"https://auth.example.org/","expires_in":60,"interval":0}`:    5,
		`{"device_code":"dc","user_code":"A","verification_uri":"https://auth.example.org/","expires_in":60,"interval":-1}`:   5,
		`{"device_code":"dc","user_code":"A","verification_uri":"https://auth.example.org/","expires_in":"60","interval":2}`:  2,
		`{"device_code":"dc","user_code":"A","verification_uri":"https://auth.example.org/","expires_in":600,"interval":1e9}`: 60,
	} {
		polls, _, _, err := poll(t, code, reply{status: 200, body: tokenBody})
		if err != nil || len(polls) != 1 || int(polls[0].Seconds()) != first {
			t.Errorf("%s: polls at %v, %v", code, polls, err)
		}
	}
}

func TestWaitGivesUpWithTheCaller(t *testing.T) {
	gone := errors.New("gone")
	for name, hang := range map[string]time.Duration{"between polls": 0, "in a poll that hangs": time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			sc := &script{replies: map[string][]reply{asURL + "device": {{status: 200, body: codeBody}}, asURL + "token": {{status: 403, body: pendBody, wait: hang}}}}
			c, err := start(t, sc)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(7*time.Second, func() { cancel(gone) })
			begin := time.Now()
			_, err = sc.agent().Wait(ctx, testServer(), Client{ID: "cid"}, c, nil)
			if took := time.Since(begin); !errors.Is(err, gone) || took > 9*time.Second {
				t.Errorf("%s: %v after %v", name, err, took)
			}
		})
	}
}

// Tokens that arrive in the moment of giving up are not lost: they come back.
func TestWaitReturnsTokensOfTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{replies: map[string][]reply{asURL + "device": {{status: 200, body: codeBody}}, asURL + "token": {{status: 200, body: tokenBody, wait: time.Second}}}}
		c, err := start(t, sc)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5500*time.Millisecond, cancel)
		s, err := sc.agent().Wait(ctx, testServer(), Client{ID: "cid"}, c, nil)
		if err != nil || s.RefreshToken.Reveal() != "mar_new" {
			t.Errorf("the tokens are lost: %v", err)
		}
	})
}

func TestWaitTellsOfTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{replies: map[string][]reply{asURL + "device": {{status: 200, body: codeBody}}, asURL + "token": {{}, pend, {status: 200, body: tokenBody}}}}
		c, err := start(t, sc)
		if err != nil {
			t.Fatal(err)
		}
		events := make(chan Event, 10)
		if _, err := sc.agent().Wait(t.Context(), testServer(), Client{ID: "cid"}, c, events); err != nil {
			t.Fatal(err)
		}
		if e := <-events; e.Kind != EventOffline || e.Err == nil || e.Retry.Sub(e.Time) < 5*time.Second {
			t.Errorf("first event: %+v", e)
		}
		if e := <-events; e.Kind != EventOnline {
			t.Errorf("second event: %+v", e)
		}
	})
}
