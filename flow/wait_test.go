package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
				polls = append(polls, r.at.Sub(begin))
			}
		}
		if sc.most > 1 {
			t.Errorf("%d requests at once", sc.most)
		}
	})
	return
}

var pend = reply{status: 403, body: pendBody}

// pauses returns what lay between a poll and the one before it, in milliseconds.
func pauses(polls []time.Duration) (out []int64) {
	var last time.Duration
	for _, at := range polls {
		out = append(out, (at - last).Milliseconds())
		last = at
	}
	return out
}

// Every pause is 100 ms longer than the interval and begins with the end of the
// last answer.
func TestWaitPauses(t *testing.T) {
	done := reply{status: 200, body: tokenBody}
	slow := func(status int, header string) reply {
		return reply{status: status, header: header, body: `{"error":"slow_down"}`}
	}
	late := func(r reply) reply { r.wait = 3 * time.Second; return r }
	down := reply{status: 503}
	for _, tt := range []struct {
		name    string
		replies []reply
		want    []int64
	}{
		{"pending", []reply{pend, pend, done}, []int64{5100, 5100, 5100}},
		{"slow answers", []reply{late(pend), late(pend), done}, []int64{5100, 8100, 8100}},
		{"S30 slow_down", []reply{slow(400, ""), slow(400, ""), slow(400, ""), pend, done}, []int64{5100, 10100, 15100, 20100, 20100}},
		{"S30 slow_down, 429 (Tuwunel)", []reply{slow(429, ""), pend, done}, []int64{5100, 10100, 10100}},
		{"slow_down, 429 with Retry-After", []reply{slow(429, "Retry-After: 15"), pend, done}, []int64{5100, 15100, 10100}},
		{"S31 trouble", []reply{down, down, down, down, pend, done}, []int64{5100, 10100, 20100, 30100, 30100, 5100}},
		{"S42 Retry-After", []reply{{status: 429, header: "Retry-After: 20"}, pend, done}, []int64{5100, 20100, 5100}},
		{"S42 Retry-After within the interval", []reply{{status: 429, header: "Retry-After: 1"}, pend, done}, []int64{5100, 5100, 5100}},
		{"S42 Retry-After for ever", []reply{{status: 429, header: "Retry-After: 1000000000"}, pend, done}, []int64{5100, 60100, 5100}},
	} {
		polls, _, s, err := poll(t, codeBody, tt.replies...)
		if err != nil || s.AccessToken.Reveal() != "mat_new" {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := pauses(polls); !slices.Equal(got, tt.want) {
			t.Errorf("%s: pauses of %v ms, want %v", tt.name, got, tt.want)
		}
	}
}

// Trouble must not put off the next poll beyond the end of the code, as long as
// the interval is kept.
func TestWaitLastCall(t *testing.T) {
	const code = `{"device_code":"dc","user_code":"A","verification_uri":"https://auth.example.org/","expires_in":30}`
	polls, _, _, err := poll(t, code, reply{status: 503}, reply{status: 503}, reply{status: 200, body: tokenBody})
	if want := []int64{5100, 10100, 12900}; err != nil || !slices.Equal(pauses(polls), want) {
		t.Errorf("pauses of %v ms, want %v; %v", pauses(polls), want, err)
	}
	polls, took, _, err := poll(t, code, pend)
	wantKind(t, "never decided", err, KindExpired)
	if len(polls) != 5 || took != 30*time.Second {
		t.Errorf("%d polls, ended after %v", len(polls), took)
	}
}

func TestWaitSurvivesTrouble(t *testing.T) {
	for name, r := range map[string]reply{
		"lost connection": {}, "truncated": {status: 200, body: tokenBody[:60]}, "504": {status: 504}, "408": {status: 408}, "null": {status: 200, body: "null"},
		"firewall, twice": {status: 403, body: "<h1>"}, "502 HTML": {status: 502, body: "<h1>no</h1>"}, "429": {status: 429, header: "Retry-After: 20", body: "<p>"},
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
	gone := reply{status: 400, body: `{"error":"invalid_grant"}`}
	for _, tt := range []struct {
		name    string
		replies []reply
		want    Kind
	}{
		{"declined", []reply{pend, {status: 403, body: `{"error":"access_denied"}`}}, KindDeclined},
		{"expired", []reply{pend, {status: 400, body: `{"error":"expired_token"}`}}, KindExpired},
		{"never decided", []reply{pend}, KindExpired},
		{"offline to the end", []reply{{}}, KindExpired},
		{"tokens lost on the way", []reply{{}, gone}, KindEnded},
		{"tokens lost at a proxy", []reply{{status: 504, body: "<h1>"}, gone}, KindEnded},
		{"tokens lost in half", []reply{{status: 200, body: tokenBody[:60]}, gone}, KindEnded},
		{"nothing lost but a pending", []reply{{}, pend, gone}, KindDeclined},
		{"no such code", []reply{gone}, KindDeclined},
		{"two access tokens", []reply{{status: 200, body: `{"access_token":"a","access_token":"b","refresh_token":"b","token_type":"Bearer"}`}, gone}, KindEnded},
		{"S33 unknown error", []reply{{status: 400, body: `{"error":"weird"}`}}, KindRefused},
		{"client is gone", []reply{{status: 401, body: `{"error":"invalid_client"}`}}, KindRefused},
		{"portal for good", []reply{{status: 200, body: "<html>"}}, KindInvalid},
		{"redirect", []reply{{status: 307, header: "Location: https://evil.test/"}}, KindInvalid},
	} {
		_, took, _, err := poll(t, codeBody, tt.replies...)
		wantKind(t, tt.name, err, tt.want)
		if tt.want == KindExpired && len(tt.replies) == 1 && took != 20*time.Minute {
			t.Errorf("%s: ended after %v, want 20m0s", tt.name, took)
		}
	}
}

// S29, S32: the code of an error counts, its status does not.
func TestWaitReadsTheCode(t *testing.T) {
	for _, status := range []int{200, 400, 401, 403, 429, 500} {
		for code, want := range map[string]Kind{"access_denied": KindDeclined, "expired_token": KindExpired, "invalid_client": KindRefused} {
			polls, _, _, err := poll(t, codeBody, reply{status: status, body: pendBody}, reply{status: status, body: `{"error":"` + code + `"}`})
			wantKind(t, fmt.Sprintf("%s with %d", code, status), err, want)
			if len(polls) != 2 {
				t.Errorf("%s with %d: %d polls", code, status, len(polls))
			}
		}
	}
}

// S34, S35: tokens that cannot be kept are revoked, the refresh token if there is
// one.
func TestWaitRevokesWhatItRefuses(t *testing.T) {
	const device = ScopeDevice + "ABCDEFGHIJKL"
	const both = `{"access_token":"at","refresh_token":"rt","token_type":"Bearer"`
	for name, tt := range map[string]struct{ body, revoked string }{
		"S34 no access token":            {`{"refresh_token":"rt","token_type":"Bearer"}`, "rt"},
		"S34 no refresh token":           {`{"access_token":"at","token_type":"Bearer"}`, "at"},
		"S34 no token_type":              {`{"access_token":"at","refresh_token":"rt"}`, "rt"},
		"S34 mac":                        {`{"access_token":"at","refresh_token":"rt","token_type":"mac"}`, "rt"},
		"S34 nothing":                    {`{"token_type":"Bearer"}`, ""},
		"S34 nothing usable":             {`{"access_token":"a\nt","token_type":"Bearer"}`, ""},
		"S34 token_type is a number":     {`{"access_token":"at","refresh_token":"rt","token_type":1}`, "rt"},
		"S34 expires_in is prose":        {both + `,"expires_in":"soon"}`, "rt"},
		"S34 access token with newline":  {`{"access_token":"a\nt","refresh_token":"rt","token_type":"Bearer"}`, "rt"},
		"S34 refresh token with newline": {`{"access_token":"at","refresh_token":"r\nt","token_type":"Bearer"}`, "at"},
		"S34 scope with newline":         {both + `,"scope":"` + ScopeAPI + `\n"}`, "rt"},
		"S35 wider":                      {both + `,"scope":"` + ScopeAPI + " " + device + ` urn:synapse:admin:*"}`, "rt"},
		"S35 another device":             {both + `,"scope":"` + ScopeAPI + " " + ScopeDevice + `ZYXWVUTSRQPO"}`, "rt"},
	} {
		for ended, probe := range map[bool]reply{true: {status: 400, body: `{"error":"invalid_grant"}`}, false: {status: 503}} {
			synctest.Test(t, func(t *testing.T) {
				sc := &script{replies: map[string][]reply{
					asURL + "token":  {{status: 200, body: tt.body}, probe},
					asURL + "revoke": {{status: 200}},
				}}
				code := Code{Expiry: time.Now().Add(time.Minute), Interval: intervalDefault, Scope: ScopeAPI + " " + device, DeviceID: "ABCDEFGHIJKL", deviceCode: NewSecret("dc")}
				s, err := sc.agent().Wait(t.Context(), testServer(), Client{ID: "cid"}, code, nil)
				wantKind(t, name, err, KindInvalid)
				if !s.AccessToken.Empty() || !s.RefreshToken.Empty() {
					t.Errorf("%s: tokens came back", name)
				}
				revoked := ""
				for _, r := range sc.seen {
					revoked += r.form.Get("token")
				}
				if revoked != tt.revoked {
					t.Errorf("%s: revoked %q, want %q", name, revoked, tt.revoked)
				}
				proved := ended && revoked == "rt"
				if revoked != "" && proved != strings.Contains(err.Error(), "was ended") {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
}

// S35: narrower is kept, and a plain issuer may add its defaults.
func TestWaitKeepsTheScopeThatWasGranted(t *testing.T) {
	const device = ScopeDevice + "ABCDEFGHIJKL"
	for name, tt := range map[string]struct {
		granted, scope, device string
		issuer                 bool
	}{
		"not said":               {"", ScopeAPI + " " + device, "ABCDEFGHIJKL", false},
		"another order":          {device + " " + ScopeAPI, device + " " + ScopeAPI, "ABCDEFGHIJKL", false},
		"narrower by the device": {ScopeAPI, ScopeAPI, "", false},
		"wider at an issuer":     {ScopeAPI + " " + device + " profile", ScopeAPI + " " + device + " profile", "ABCDEFGHIJKL", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			body := fmt.Sprintf(`{"access_token":"at","refresh_token":"rt","token_type":"bearer","expires_in":"300","scope":%q}`, tt.granted)
			sc := &script{replies: map[string][]reply{asURL + "token": {{status: 200, body: body}}}}
			server := testServer()
			if tt.issuer {
				server.Homeserver = ""
			}
			code := Code{Expiry: time.Now().Add(time.Minute), Interval: intervalDefault, Scope: ScopeAPI + " " + device, DeviceID: "ABCDEFGHIJKL", deviceCode: NewSecret("dc")}
			s, err := sc.agent().Wait(t.Context(), server, Client{ID: "cid"}, code, nil)
			if err != nil || s.Scope != tt.scope || s.DeviceID != tt.device || s.Expiry.Sub(s.Issued) != 5*time.Minute {
				t.Errorf("%s: %v, %+v", name, err, s)
			}
		})
	}
}

// S37: of an answer that says both, the error counts and no token is used.
func TestWaitUsesNoTokensBesideAnError(t *testing.T) {
	for said, want := range map[string]Kind{
		`"access_denied"`: KindDeclined, `"strange"`: KindRefused, `"It failed."`: KindRefused, `{"a":1}`: KindRefused, `true`: KindRefused,
		`null`: KindBug, `""`: KindBug, // members without a value
	} {
		_, _, s, err := poll(t, codeBody, reply{status: 200, body: `{"error":` + said + `,` + tokenBody[1:]})
		if want == KindBug {
			if err != nil {
				t.Errorf("%s: %v", said, err)
			}
			continue
		}
		wantKind(t, said, err, want)
		if !s.AccessToken.Empty() || strings.Contains(err.Error(), "mat_new") {
			t.Errorf("%s: a token came through: %v", said, err)
		}
	}
}

func TestWaitIntervals(t *testing.T) {
	for interval, first := range map[string]int64{
		"":              5100, // RFC 8628 section 3.2
		`,"interval":0`: 5100, `,"interval":-1`: 5100, `,"interval":null`: 5100,
		`,"interval":2`: 2100, `,"interval":"2"`: 2100, `,"interval":2.0`: 2100, `,"interval":2e0`: 2100,
		`,"interval":1e3`: 60100, `,"interval":1e9`: 60100, `,"interval":9223372037`: 60100, `,"interval":99999999999999999999`: 60100,
	} {
		code := `{"device_code":"dc","user_code":"A","verification_uri":"https://auth.example.org/","expires_in":600` + interval + `}`
		polls, _, _, err := poll(t, code, reply{status: 200, body: tokenBody})
		if err != nil || !slices.Equal(pauses(polls), []int64{first}) {
			t.Errorf("S17 %s: polls at %v, %v", interval, polls, err)
		}
	}
}

// S19: how long the code is believed to live.
func TestCodeLife(t *testing.T) {
	for life, want := range map[string]time.Duration{
		"1200": 20 * time.Minute, `"1200"`: 20 * time.Minute, "1200.0": 20 * time.Minute, "1": time.Second,
		"3601": time.Hour, "1000000000000": time.Hour, "1e999": time.Hour,
		"null": 0, "0": 0, "-5": 0, "3.5": 0, `"soon"`: 0, "[]": 0, "{}": 0, "true": 0, `"Infinity"`: 0, `"0x10"`: 0, `"1_0"`: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			sc := &script{replies: map[string][]reply{asURL + "device": ok(strings.Replace(codeBody, "1200", life, 1))}}
			c, err := start(t, sc)
			if want == 0 {
				wantKind(t, "S19 "+life, err, KindInvalid)
			} else if got := time.Until(c.Expiry); err != nil || got != want {
				t.Errorf("S19 %s: %v, %v", life, got, err)
			}
		})
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

// The caller has given up, and what comes is not wanted anyway: it is revoked all
// the same.
func TestWaitRevokesAfterGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{replies: map[string][]reply{
			asURL + "token":  {{status: 200, body: `{"access_token":"at","refresh_token":"rt"}`, wait: time.Second}, {status: 400, body: `{"error":"invalid_grant"}`}},
			asURL + "revoke": {{status: 200}},
		}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5500*time.Millisecond, cancel)
		code := Code{Expiry: time.Now().Add(time.Minute), Interval: intervalDefault, Scope: ScopeAPI, deviceCode: NewSecret("dc")}
		_, err := sc.agent().Wait(ctx, testServer(), Client{ID: "cid"}, code, nil)
		wantKind(t, "no token_type", err, KindInvalid)
		if !strings.Contains(err.Error(), "was ended") {
			t.Error(err)
		}
	})
}

// Three answers in a row that make no sense end a login, three apart do not.
func TestWaitForgetsOddAnswers(t *testing.T) {
	odd := reply{status: 200, body: "<html>"}
	if _, _, _, err := poll(t, codeBody, odd, odd, pend, odd, odd, reply{status: 200, body: tokenBody}); err != nil {
		t.Error(err)
	}
	polls, _, _, err := poll(t, codeBody, odd, odd, odd, pend)
	wantKind(t, "three", err, KindInvalid)
	if len(polls) != 3 {
		t.Errorf("%d polls", len(polls))
	}
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
