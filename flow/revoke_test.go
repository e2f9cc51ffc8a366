package flow

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRevoke(t *testing.T) {
	dead := reply{status: 400, body: `{"error":"invalid_grant"}`}
	alive := reply{status: 200, body: tokenBody}
	still := reply{status: 200, body: `{"access_token":"mat_newer","refresh_token":"mar_newer","token_type":"Bearer"}`}
	ok := reply{status: 200}
	for _, tt := range []struct {
		name   string
		revoke []reply
		probe  []reply
		want   Kind // KindBug: success
		rounds int
		newest string // the refresh token that is to be kept, if another
	}{
		{"dead", []reply{ok}, []reply{dead}, KindBug, 1, ""},
		{"dead, with the client", []reply{ok}, []reply{{status: 401, body: `{"error":"invalid_client"}`}}, KindBug, 1, ""},
		{"consumed token, or a job, then dead", []reply{ok}, []reply{alive, dead}, KindBug, 2, ""},
		{"never dead", []reply{ok}, []reply{alive, still}, KindInvalid, 2, "mar_newer"},
		{"alive, then 503", []reply{ok, {status: 503}}, []reply{alive}, KindTemporary, 2, "mar_new"},
		{"alive, then no proof", []reply{ok}, []reply{alive, {}}, KindTemporary, 2, "mar_new"},
		{"unknown token (Continuwuity)", []reply{dead}, []reply{dead}, KindBug, 1, ""},
		{"unknown token (Keycloak)", []reply{{status: 200, body: `{"error":"invalid_token"}`}}, []reply{dead}, KindBug, 1, ""},
		{"unknown token, but alive", []reply{{status: 200, body: `{"error":"invalid_token"}`}}, []reply{alive}, KindInvalid, 2, "mar_new"},
		{"200 text (node-oidc-provider)", []reply{{status: 200, header: "Content-Type: text/plain"}}, []reply{dead}, KindBug, 1, ""},
		{"S43 503", []reply{{status: 503}}, nil, KindTemporary, 1, ""},
		{"S43 400", []reply{{status: 400, body: `{"error":"invalid_request"}`}}, nil, KindRefused, 1, ""},
		{"S43 401", []reply{{status: 401, body: `{"error":"invalid_client"}`}}, nil, KindRefused, 1, ""},
		{"error with 200", []reply{{status: 200, body: `{"error":"server_error"}`}}, nil, KindTemporary, 1, ""},
		{"lost answer", []reply{{}}, nil, KindTemporary, 1, ""},
		{"redirect", []reply{{status: 302, header: "Location: https://evil.test/"}}, nil, KindInvalid, 1, ""},
		{"proof fails", []reply{ok}, []reply{{status: 503}}, KindTemporary, 1, ""},
		{"proof refused", []reply{ok}, []reply{{status: 400, body: `{"error":"invalid_request"}`}}, KindRefused, 1, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			sc := &script{replies: map[string][]reply{asURL + "revoke": tt.revoke, asURL + "token": tt.probe}}
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
			var rotated *RotatedError
			if errors.As(err, &rotated) != (tt.newest != "") || rotated != nil && rotated.Session.RefreshToken.Reveal() != tt.newest {
				t.Errorf("%s: %+v is to be kept", tt.name, rotated)
			}
		})
	}
}

// The second round revokes what the first one's proof brought, after a pause.
func TestRevokeGoesForTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{replies: map[string][]reply{asURL + "revoke": {{status: 200}},
			asURL + "token": {{status: 200, body: tokenBody}, {status: 400, body: `{"error":"invalid_grant"}`}}}}
		if err := sc.agent().Revoke(t.Context(), testSession()); err != nil {
			t.Fatal(err)
		}
		var sent []string
		for _, r := range sc.seen {
			sent = append(sent, r.form.Get("token")+r.form.Get("refresh_token"))
		}
		if len(sent) != 4 || sent[0] != "mar_old" || sent[1] != "mar_old" || sent[2] != "mar_new" || sent[3] != "mar_new" {
			t.Errorf("sent %v", sent)
		}
		if pause := sc.seen[2].at.Sub(sc.seen[1].at); pause != revokePause {
			t.Errorf("%v between the rounds", pause)
		}
		if hint := sc.seen[0].form.Get("token_type_hint"); hint != "refresh_token" || sc.seen[0].form.Get("client_id") != "cid" {
			t.Errorf("sent %v", sc.seen[0].form)
		}
	})
}

func TestRevokeWhatCannotBeProved(t *testing.T) {
	s := testSession()
	s.Server.Revocation = ""
	wantKind(t, "no endpoint", (&script{}).agent().Revoke(t.Context(), s), KindUnsupported)

	sc := &script{replies: map[string][]reply{asURL + "revoke": {{status: 200}}, asURL + "token": {{status: 503, header: "Retry-After: 9"}}}}
	err := sc.agent().Revoke(t.Context(), testSession())
	var e *Error
	if !errors.As(err, &e) || e.Error() != "cannot make sure that the session is dead: auth.example.org answered 503" || e.RetryAfter != 9*time.Second {
		t.Errorf("%v", err)
	}

	s = testSession()
	s.RefreshToken = Secret{}
	sc = &script{replies: map[string][]reply{asURL + "revoke": {{status: 200}}}}
	wantKind(t, "no refresh token", sc.agent().Revoke(t.Context(), s), KindUnsupported)
	if len(sc.seen) != 1 || sc.seen[0].form.Get("token") != "mat_old" || sc.seen[0].form.Get("token_type_hint") != "access_token" {
		t.Errorf("sent %+v", sc.seen)
	}
}

func TestRevokeGivesUpWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		sc := &script{replies: map[string][]reply{asURL + "revoke": {{status: 200}}, asURL + "token": {{status: 200, body: tokenBody}}}}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		err := sc.agent().Revoke(ctx, testSession())
		var rotated *RotatedError
		if !errors.Is(err, gone) || !errors.As(err, &rotated) || rotated.Session.RefreshToken.Reveal() != "mar_new" {
			t.Errorf("%v", err)
		}
	})
}
