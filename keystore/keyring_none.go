//go:build !linux && !netbsd && !openbsd && !darwin && !windows

package keystore

import "context"

const itemMax = 0 // there is no item

func probeRing(context.Context) error {
	return &Error{Kind: Missing, Store: KindKeyring, Problem: "there is no OS keyring on this platform without cgo"}
}

func soleItem(string) error { return nil }

func (*ring) sync() error { return nil }

func canPrompt() bool { return false }
