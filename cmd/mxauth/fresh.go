package main

import (
	"context"
	"time"

	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

// A need says how long a token must last.
type need struct {
	ttl   time.Duration // least life left, 0 or more
	exact bool          // somebody asked for it: it counts beyond half of the token's life
}

func (n *need) flag(f *pflag.FlagSet) {
	f.DurationVar(&n.ttl, "min-ttl", time.Minute, "least life that the token must have left (default never more than half of its life)")
}

func (n need) check() error {
	if n.ttl < 0 {
		return exit.Usagef("--min-ttl cannot be negative")
	}
	return nil
}

// young is how old a token may be that counts as new where no token lives as long
// as --min-ttl asks: processes that start together must not end each other's.
const young = 10 * time.Second

// met reports whether a token need not be refreshed. A refresh ends the token
// before it, which somebody may be using: it is put off as long as the need can
// be met without, and not done for a need that no token meets.
func (n need) met(s flow.Session) bool {
	now := time.Now()
	if !n.exact {
		return s.FreshFor(now, n.ttl)
	}
	life, age := s.Expiry.Sub(s.Issued), now.Sub(s.Issued)
	return s.Lasts(now, n.ttl) || life <= n.ttl && age < min(young, life/2) && s.Lasts(now, 0)
}

// fresh returns a session whose token may be used. When the server cannot be
// asked for a new token and the old one still lives, that one is good enough.
func (a *app) fresh(ctx context.Context, k *keystore.Keystore, e keystore.Entry, n need) (flow.Session, error) {
	s, err := k.Fresh(ctx, e, a.refresh, n.met)
	if err != nil {
		if flow.KindOf(err) != flow.KindTemporary || !s.Lasts(time.Now(), 5*time.Second) {
			return s, err
		}
		a.say("mxauth: %s. The token is good for another %s.", err, time.Until(s.Expiry).Round(time.Second))
		return s, nil
	}
	if n.exact && !s.Expiry.IsZero() && !s.Lasts(time.Now(), n.ttl) {
		a.say("mxauth: %s gives tokens for %s only.", e.Server, s.Expiry.Sub(s.Issued).Round(time.Second))
	}
	return s, nil
}
