package flow

import (
	"context"
	"errors"
	"net/url"
	"time"
)

// revokePause is what a server that ends sessions by a job gets to do so.
const revokePause = 2 * time.Second

// A RotatedError is a failure of Revoke after the session's tokens rotated: to
// show that a session is dead takes a refresh, and the session was not. Session
// has the newest tokens. Who keeps the session must store them: the ones before
// may be of no use any more.
type RotatedError struct {
	Session Session
	Err     error // why Revoke failed
}

// Error is that of Err.
func (e *RotatedError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *RotatedError) Unwrap() error { return e.Err }

// Revoke ends the session at the server (RFC 7009) and then shows that it is
// dead, by a refresh that must fail: servers answer 200 to a revocation that
// does nothing. If the refresh goes well, Revoke tries once more, two seconds
// later, with what it brought. The caller must hold a lock over the session.
//
// nil means that the session is dead. With an error it may live on: KindInvalid
// if it was seen to, KindUnsupported where the server has no revocation
// endpoint or the session no refresh token to show it by, KindTemporary,
// KindRefused. If errors.As finds a [*RotatedError], its session must be stored.
func (a *Agent) Revoke(ctx context.Context, s Session) error {
	if s.Server.Revocation == "" {
		return &Error{Kind: KindUnsupported, Op: opRevoke.String(), Host: hostOf(s.Server.Issuer),
			Problem: hostOf(s.Server.Issuer) + " offers no way to end a session from here"}
	}
	newest, err := a.end(ctx, s)
	if err == nil || newest.AccessToken.Equal(s.AccessToken) && newest.RefreshToken.Equal(s.RefreshToken) {
		return err
	}
	return &RotatedError{Session: newest, Err: err}
}

// end revokes and proves, twice at most. With an error it returns the session
// with its newest tokens.
func (a *Agent) end(ctx context.Context, s Session) (newest Session, err error) {
	for last := false; ; last = true {
		if err := a.revokeOnce(ctx, s); err != nil {
			return s, err
		}
		if s.RefreshToken.Empty() {
			return s, &Error{Kind: KindUnsupported, Op: opProof, Host: hostOf(s.Server.Issuer), Problem: "it has no refresh token to try"}
		}
		next, err := a.refreshOnce(ctx, s)
		switch {
		case err != nil && KindOf(err) == KindEnded:
			return s, nil
		case err != nil:
			return s, unproven(err)
		case last:
			return next, &Error{Kind: KindInvalid, Op: opRevoke.String(), Host: hostOf(s.Server.Issuer),
				Problem: hostOf(s.Server.Issuer) + " says that it ended the session, and goes on giving out tokens for it"}
		}
		s = next
		if err := sleep(ctx, revokePause); err != nil {
			return s, err
		}
	}
}

const opProof = "make sure that the session is dead"

// unproven says of a failed refresh what it was for.
func unproven(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	proof := *e
	proof.Op = opProof
	return &proof
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
	}, s.RefreshToken, s.AccessToken)
	if err != nil {
		return err
	}
	if v := judge(ans); v != success && v != grantDead && ans.code != "invalid_token" {
		return ans.refusal(v)
	}
	return nil
}
