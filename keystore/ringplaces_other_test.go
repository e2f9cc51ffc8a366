//go:build !linux

package keystore

import "testing"

// ringPlaces is empty: a test must not write to the keyring of whoever runs it.
func ringPlaces() map[string]func(testing.TB) place { return nil }
