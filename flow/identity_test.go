package flow

import (
	"errors"
	"strings"
	"testing"
)

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
	locked := &script{replies: map[string][]reply{who: {{status: 401, body: `{"errcode":"M_USER_LOCKED","error":"x","soft_logout":true}`}}}}
	_, lockedErr := locked.agent().WhoAmI(t.Context(), testSession())
	wantKind(t, "locked", lockedErr, KindRefused)
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

func TestUserinfo(t *testing.T) {
	s := testSession()
	s.Server.Homeserver, s.Server.Userinfo, s.Scope = "", asURL+"userinfo", "openid"
	for body, want := range map[string]Identity{
		`{"sub":"01ABC"}`: {UserID: "01ABC"},
		`{"sub":"01ABC","username":"alice","preferred_username":"al"}`: {UserID: "01ABC", Name: "alice"},
		`{"sub":"01ABC","preferred_username":"al\u001b[31mice"}`:       {UserID: "01ABC", Name: "al [31mice"},
	} {
		sc := &script{replies: map[string][]reply{asURL + "userinfo": ok(body)}}
		id, err := sc.agent().WhoAmI(t.Context(), s)
		if err != nil || id != want || sc.seen[0].bearer != "Bearer mat_old" || sc.seen[0].agent != "mxauth/1.2.3" {
			t.Errorf("%s: %+v, %v", body, id, err)
		}
	}
	for _, body := range []string{`{}`, `{"sub":""}`, `{"sub":"a\nb"}`, `{"sub":5}`, `{"sub":"` + strings.Repeat("x", 256) + `"}`} {
		_, err := (&script{replies: map[string][]reply{asURL + "userinfo": ok(body)}}).agent().WhoAmI(t.Context(), s)
		wantKind(t, body, err, KindInvalid)
	}
	_, err := (&script{replies: map[string][]reply{asURL + "userinfo": {{status: 401}}}}).agent().WhoAmI(t.Context(), s)
	wantKind(t, "401 without a body", err, KindEnded)
}
