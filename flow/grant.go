package flow

import (
	"context"
	"errors"
	"time"
)

// session checks what was granted for want. Tokens that must not be kept are
// revoked.
func (a *Agent) session(ctx context.Context, server Server, c Client, want Request, ans answer, asked time.Time) (Session, error) {
	s := Session{Server: server, Client: c, DeviceID: want.DeviceID, DeviceName: want.DeviceName,
		Scope: want.Scope, Issued: asked.Round(0)}
	t, expiry, err := readTokens(ans, asked)
	switch {
	case err != nil:
	case t.RefreshToken == "":
		err = ans.fail(KindInvalid, ans.host+" gave no refresh token, so the login would die with its first access token")
	case t.Scope != nil && *t.Scope != "":
		s = s.granted(*t.Scope)
		if more := beyond(want, s); len(more) > 0 && server.Matrix() {
			err = ans.fail(KindInvalid, ans.host+" granted more than was asked for: "+ans.quote(more[0], 120))
		}
	}
	if err != nil {
		return Session{}, a.discard(ctx, s, ans, err)
	}
	s.AccessToken, s.RefreshToken, s.Expiry = NewSecret(t.AccessToken), NewSecret(t.RefreshToken), expiry
	s.RefreshLife = t.refreshLife()
	return s, nil
}

// beyond is what was granted beyond what was asked for. A device that the server
// chose, because none was named, is not: it opens nothing (MSC2967; Tuwunel does
// so, src/api/oidc/token.rs:259).
func beyond(want Request, s Session) []string {
	asked := want.Scope
	if want.DeviceID == "" && s.DeviceID != "" {
		asked += " " + ScopeDevice + s.DeviceID
	}
	more, _ := CompareScopes(asked, s.Scope)
	return more
}

// discard revokes the tokens of an answer, if there are any, because of why. It
// returns why, with what is to be known about it.
func (a *Agent) discard(ctx context.Context, s Session, ans answer, why error) error {
	if goodToken(ans.access.Reveal()) {
		s.AccessToken = ans.access
	}
	if goodToken(ans.refresh.Reveal()) {
		s.RefreshToken = ans.refresh
	}
	var e *Error
	if s.AccessToken.Empty() && s.RefreshToken.Empty() || !errors.As(why, &e) {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	if err := a.Revoke(ctx, s); err != nil {
		a.debug(ctx, "unwanted tokens may live on", "host", ans.host, "why", err)
		e.Problem += "; that session may still stand in the account page"
	} else {
		e.Problem += "; that session was ended"
	}
	return why
}
