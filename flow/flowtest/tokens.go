package flowtest

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"strings"
	"time"
)

const (
	alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	upperDigits  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	crockford    = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// The prefixes of MAS's tokens say what they are.
const (
	prefixAccess        = "mat"
	prefixRefresh       = "mar"
	prefixCompatAccess  = "mct"
	prefixCompatRefresh = "mcr"
)

func randomString(n int) string { return randomFrom(alphanumeric, n) }

func randomFrom(alphabet string, n int) string {
	size := big.NewInt(int64(len(alphabet)))
	b := make([]byte, n)
	for i := range b {
		k, err := rand.Int(rand.Reader, size)
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		b[i] = alphabet[k.Int64()]
	}
	return string(b)
}

// newToken makes a token as MAS does: prefix, 30 alphanumerics, checksum.
func newToken(prefix string) string {
	body := prefix + "_" + randomString(30)
	return body + "_" + checksum(body)
}

// checksum is the CRC-32 of what comes before it, in base 62, the least
// significant digit first, padded on the left.
func checksum(body string) string {
	crc := crc32.ChecksumIEEE([]byte(body))
	var digits []byte
	for crc > 0 {
		digits = append(digits, alphanumeric[crc%62])
		crc /= 62
	}
	return strings.Repeat("0", 6-len(digits)) + string(digits)
}

// tokenPrefix returns the prefix of a well-formed token, "" for anything else.
func tokenPrefix(token string) string {
	i := strings.LastIndexByte(token, '_')
	if i < 0 || token[i+1:] != checksum(token[:i]) {
		return ""
	}
	prefix, random, _ := strings.Cut(token[:i], "_")
	if len(random) != 30 {
		return ""
	}
	return prefix
}

// newULID makes an identifier as MAS's are: time and chance in Crockford's
// base 32, 26 characters.
func newULID(now time.Time) string {
	ms := now.UnixMilli()
	b := make([]byte, 10)
	for i := 9; i >= 0; i-- {
		b[i] = crockford[ms&31]
		ms >>= 5
	}
	return string(b) + randomFrom(crockford, 16)
}

// An accessToken is dead once it is revoked or expired, or its session is over.
type accessToken struct {
	value   string
	session *session
	issued  time.Time
	expires time.Time // zero: never
	revoked bool
	used    bool // seen by the homeserver or by MAS's own APIs
}

func (t *accessToken) valid(now time.Time) bool {
	return !t.revoked && (t.expires.IsZero() || t.expires.After(now))
}

// A refreshToken is valid, consumed (then it knows its successor) or revoked.
type refreshToken struct {
	value   string
	session *session
	access  *accessToken
	next    *refreshToken
	spent   time.Time // when next came, where that matters
	revoked bool
}

func (t *refreshToken) valid() bool { return !t.revoked && t.next == nil }

// A session is one login.
type session struct {
	id     string
	client *client // nil for a login of the old kind
	person *person
	scope  scope
	agent  string // User-Agent of the token request: it names the device
	ended  bool

	current *refreshToken // the newest
}

// issue makes a pair of tokens, the refresh token only where it is wanted.
func (s *Server) issue(se *session, withRefresh bool) (*accessToken, *refreshToken) {
	now := s.now()
	accessValue, refreshValue := s.traits.tokens()
	access := &accessToken{value: accessValue, session: se, issued: now, expires: now.Add(s.conf.tokenLifetime)}
	s.state.access[access.value] = access
	if !withRefresh {
		return access, nil
	}
	refresh := &refreshToken{value: refreshValue, session: se, access: access}
	s.state.refresh[refresh.value] = refresh
	se.current = refresh
	return access, refresh
}

// sessionOf is the living session of a person's device, nil if there is none.
func (s *Server) sessionOf(p *person, deviceID string) *session {
	for _, se := range s.state.sessions {
		if !se.ended && se.person == p && se.scope.deviceID() == deviceID {
			return se
		}
	}
	return nil
}

// end ends a session. MAS deletes its device at the homeserver by a job, which
// makes the homeserver forget what it remembered about the device's tokens.
func (s *Server) end(se *session) {
	se.ended = true
	id := se.scope.deviceID()
	if id == "" {
		return
	}
	for _, other := range s.state.sessions {
		if !other.ended && other.person == se.person && other.scope.deviceID() == id {
			return
		}
	}
	delete(se.person.devices, id)
	for token, m := range s.state.memory {
		if m.person == se.person && m.deviceID == id {
			delete(s.state.memory, token)
		}
	}
}
