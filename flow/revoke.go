package flow

import (
	"context"
	"net/url"
)

// Revoke ends the session at the server (RFC 7009) and then shows that it is
// dead, by a refresh that must fail: servers answer 200 to a revocation that
// does nothing. The caller must hold a lock over the session.
//
// nil means that the session is dead. Errors: KindUnsupported where the server
// has no revocation endpoint, KindTemporary, KindRefused, KindInvalid if the
// session lives on: in each case it may still be alive.
func (a *Agent) Revoke(ctx context.Context, s Session) error {
	if s.Server.Revocation == "" {
		return &Error{Kind: KindUnsupported, Op: opRevoke.String(), Host: hostOf(s.Server.Issuer),
			Problem: hostOf(s.Server.Issuer) + " offers no way to end a session from here"}
	}
	for range 2 { // the first round may revoke a token whose successor was lost on the way
		if err := a.revokeOnce(ctx, s); err != nil {
			return err
		}
		next, err := a.refreshOnce(ctx, s)
		switch {
		case KindOf(err) == KindEnded && err != nil:
			return nil
		case err != nil:
			return &Error{Kind: KindOf(err), Op: "make sure that the session is dead", Host: hostOf(s.Server.Issuer),
				Problem: err.Error(), Err: err}
		}
		s = next
	}
	return &Error{Kind: KindInvalid, Op: opRevoke.String(), Host: hostOf(s.Server.Issuer),
		Problem: hostOf(s.Server.Issuer) + " says that it ended the session, and goes on giving out tokens for it"}
}

// revokeOnce sends the refresh token, which is the newest: MAS ignores an
// expired access token without a word. A token that the server says it does not
// know is no failure here: the proof comes after.
func (a *Agent) revokeOnce(ctx context.Context, s Session) error {
	token, hint := s.RefreshToken, "refresh_token"
	if token.Empty() {
		token, hint = s.AccessToken, "access_token"
	}
	ans, err := a.post(ctx, opRevoke, s.Server.Revocation, "", s.Client, url.Values{
		"token": {token.Reveal()}, "token_type_hint": {hint},
	})
	if err != nil {
		return err
	}
	if v := judge(ans); v != success && v != grantDead && ans.code != "invalid_token" {
		return ans.refusal(v)
	}
	return nil
}
