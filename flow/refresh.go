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
// when no whole answer came, for up to 12 s in all.
//
// The caller must hold a lock over the session, and must store the result
// durably before its access token is used: until then, and only then, a Matrix
// server takes the old refresh token once more.
//
// Errors: KindEnded if the server ended the session (invalid_grant) or does not
// accept the registration; KindTemporary, KindInvalid and KindRefused leave the
// session as it was.
func (a *Agent) Refresh(ctx context.Context, s Session) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshBudget)
	defer cancel()
	pause := 500 * time.Millisecond
	for {
		next, err := a.refreshOnce(ctx, s)
		var e *Error
		if err == nil || !errors.As(err, &e) || e.Kind != KindTemporary {
			return next, err
		}
		wait := max(pause, e.RetryAfter)
		deadline, _ := ctx.Deadline()
		if time.Now().Add(wait).After(deadline) {
			return s, err
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return s, err
		case <-t.C:
		}
		pause *= 2
	}
}

func (a *Agent) refreshOnce(ctx context.Context, s Session) (Session, error) {
	asked := time.Now()
	ans, err := a.post(ctx, opRefresh, s.Server.Token, s.DeviceName, s.Client, url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {s.RefreshToken.Reveal()},
	})
	if err != nil {
		return s, err
	}
	if v := judge(ans); v != success {
		return s, ans.refusal(v)
	}
	if !ans.whole || !ans.object {
		return s, ans.refusal(temporary)
	}
	t, expiry, err := readTokens(ans, asked)
	if err != nil {
		return s, err
	}
	next := s
	next.AccessToken, next.Issued, next.Expiry = NewSecret(t.AccessToken), asked.Round(0), expiry
	if t.RefreshToken != "" { // RFC 6749 section 6: else the old one stays
		next.RefreshToken = NewSecret(t.RefreshToken)
	}
	if t.Scope == nil || *t.Scope == "" { // Tuwunel and Dex say nothing here
		return next, nil
	}
	if more, _ := CompareScopes(s.Scope, *t.Scope); len(more) > 0 && s.Server.Matrix() {
		return s, ans.fail(KindInvalid, ans.host+" now grants more than the session has: "+Clean(more[0], 120))
	}
	next.Scope = *t.Scope
	return next, nil
}
