package keystore

import (
	"context"
	"time"

	"golang.org/x/oauth2"

	"github.com/mxauth/mxauth/flow"
)

const (
	// sourceMin is how long a token of a TokenSource is good at least.
	sourceMin = 30 * time.Second
	// sourceLast is when x/oauth2 takes a token for expired: 10 s early.
	sourceLast = 11 * time.Second
)

// TokenSource hands out the access tokens of a stored session, refreshed when
// they must be, durable before they are used, and shared with every other
// process that uses the session. A token is good for 30 s at least, or for half
// of its life where that is less; while the server is out of reach, for 11 s.
//
// ctx bounds its calls; it is safe for concurrent use. refresh is usually
// [flow.Agent.Refresh]. Errors are those of [Keystore.Fresh].
//
// Every token costs one read of the store, so wrap it in [oauth2.ReuseTokenSource]
// only where no other process refreshes: a refresh ends the token before it.
func (k *Keystore) TokenSource(ctx context.Context, e Entry, refresh RefreshFunc) oauth2.TokenSource {
	return &tokenSource{ctx, k, e, refresh}
}

type tokenSource struct {
	ctx     context.Context
	store   *Keystore
	entry   Entry
	refresh RefreshFunc
}

// Token returns an access token without its refresh token.
func (t *tokenSource) Token() (*oauth2.Token, error) {
	s, err := t.store.Fresh(t.ctx, t.entry, t.refresh, func(s flow.Session) bool { return s.FreshFor(time.Now(), sourceMin) })
	if err != nil {
		if flow.KindOf(err) != flow.KindTemporary || !s.Lasts(time.Now(), sourceLast) {
			return nil, err
		}
		t.store.warn("The token could not be refreshed", err)
	}
	return s.Token(), nil
}
