package flow

import (
	"context"
	"errors"
	"net/url"
	"time"
)

// refreshBudget bounds all tries of one refresh together. Tuwunel takes a
// refresh token again for 15 s after its answer was lost.
const refreshBudget = 12 * time.Second

// Refresh exchanges the refresh token for new tokens (RFC 6749 section 6) and
// returns the session with them. It tries again, with the same refresh token,
// when no whole answer came, for up to 12 s in all. A Retry-After that leads
// beyond those is not waited for, it is in the Error.
//
// The caller must hold a lock over the session, and must store the result
// durably before its access token is used: until then, and only then, a Matrix
// server takes the old refresh token once more.
//
// With an error the session is returned as it was. KindEnded: the server ended
// the session (invalid_grant), or does not accept the registration any more.
// KindTemporary, KindInvalid (a redirect, tokens that cannot be used) and
// KindRefused (invalid_request and its like) do not show that it is over. An end
// of ctx is its cause.
func (a *Agent) Refresh(ctx context.Context, s Session) (Session, error) {
	budget, cancel := context.WithTimeout(ctx, refreshBudget)
	defer cancel()
	end, _ := budget.Deadline()
	for pause := 500 * time.Millisecond; ; pause *= 2 {
		next, err := a.refreshOnce(budget, s)
		var e *Error
		if err == nil || !errors.As(err, &e) || e.Kind != KindTemporary {
			return next, err
		}
		wait := max(pause, e.RetryAfter)
		if !time.Now().Add(wait).Before(end) {
			return s, err
		}
		if err := sleep(ctx, wait); err != nil {
			return s, err
		}
	}
}

// sleep waits for d; the error is the context's cause.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// refreshOnce asks once. With an error it returns the session as it was.
func (a *Agent) refreshOnce(ctx context.Context, s Session) (Session, error) {
	asked := time.Now()
	ans, err := a.post(ctx, opRefresh, s.Server.Token, s.DeviceName, s.Client, url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {s.RefreshToken.Reveal()},
	}, s.RefreshToken, s.AccessToken)
	if err != nil {
		return s, err
	}
	if v := judge(ans); v != success {
		return s, ans.refusal(v)
	}
	if !ans.object { // not whole, or not the server's
		return s, ans.refusal(temporary)
	}
	t, expiry, err := readTokens(ans, asked)
	if err != nil {
		return s, err
	}
	next := s
	next.AccessToken, next.Issued, next.Expiry = NewSecret(t.AccessToken), asked.Round(0), expiry
	next.RefreshLife = t.refreshLife()
	if t.RefreshToken != "" { // RFC 6749 section 6: else the old one stays
		next.RefreshToken = NewSecret(t.RefreshToken)
	}
	if t.Scope == nil || *t.Scope == "" { // Tuwunel and Dex say nothing here
		return next, nil
	}
	if more, _ := CompareScopes(s.Scope, *t.Scope); len(more) > 0 && s.Server.Matrix() {
		return s, ans.fail(KindInvalid, ans.host+" now grants more than the session has: "+ans.quote(more[0], 120))
	}
	return next.granted(*t.Scope), nil
}
