package flow

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const masked = "[secret]"

// A Secret is a string that does not show itself: under every verb of fmt, in
// JSON and in slog it reads "[secret]". Only Reveal gives the value away, so
// that every place where a secret leaves can be found by that one name.
//
// The value lies behind a pointer, because fmt does not call the methods of
// unexported fields and would print a plain string found there. Secrets are
// compared with Equal, not with ==. The zero Secret is empty.
type Secret struct{ value *string }

// NewSecret wraps s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{value: &s}
}

// Reveal returns the wrapped string.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether there is nothing to hide.
func (s Secret) Empty() bool { return s.value == nil }

// Equal compares two secrets in constant time.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// Format implements fmt.Formatter for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// String implements fmt.Stringer.
func (Secret) String() string { return masked }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + masked + `"`), nil }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(masked) }
