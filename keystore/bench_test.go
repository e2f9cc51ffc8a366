package keystore

import (
	"context"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow"
)

// BenchmarkGet is the warm path: one read of a store.
func BenchmarkGet(b *testing.B) {
	for name, start := range places() {
		b.Run(name, func(b *testing.B) {
			p := start(b)
			k := p.open(b, b.TempDir())
			e := login(b, k, p.kind, "bot", session(1))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Get(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUpdate is a rotation without its server: durable and read back.
func BenchmarkUpdate(b *testing.B) {
	for name, start := range places() {
		b.Run(name, func(b *testing.B) {
			p := start(b)
			k := p.open(b, b.TempDir())
			e := login(b, k, p.kind, "bot", session(1))
			n := 0
			for b.Loop() {
				n++
				if _, err := k.Update(b.Context(), e, next(n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkToken is the warm path of a long-lived program, whose Entry was read
// before the last refresh.
func BenchmarkToken(b *testing.B) {
	k := plainStore(b)
	e := login(b, k, KindPlaintext, "bot", expired(1))
	if _, err := k.Update(b.Context(), e, func(ctx context.Context, s flow.Session) (flow.Session, error) {
		s, err := next(2)(ctx, s)
		s.Expiry = s.Issued.Add(time.Hour)
		return s, err
	}); err != nil {
		b.Fatal(err)
	}
	source := k.TokenSource(b.Context(), e, never(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := source.Token(); err != nil {
			b.Fatal(err)
		}
	}
}
