//go:build darwin || windows

package keystore

import "context"

// probeRing finds nothing to ask: the keychain answers for itself.
func probeRing(context.Context) error { return nil }

// soleItem has nothing to do: a name has one item here.
func soleItem(string) error { return nil }

// sync has nothing to do: the keychain syncs what it keeps.
func (*ring) sync() error { return nil }

// canPrompt is for the platform to decide.
func canPrompt() bool { return true }
