package flow

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	tokenMax    = 64 << 10              // longest token that is believed, in bytes
	lifetimeMax = 100 * 365 * 24 * 3600 // seconds; more would overflow somewhere
)

// tokenAnswer is RFC 6749 section 5.1.
type tokenAnswer struct {
	AccessToken  string         `json:"access_token"`
	RefreshToken string         `json:"refresh_token"`
	TokenType    string         `json:"token_type"`
	ExpiresIn    jsontext.Value `json:"expires_in"`
	Scope        *string        `json:"scope"`

	RefreshExpiresIn jsontext.Value `json:"refresh_expires_in"` // of no RFC; Keycloak
}

// refreshLife is 0 for what is not stated, not readable, or "never".
func (t tokenAnswer) refreshLife() time.Duration {
	life, _, err := seconds(t.RefreshExpiresIn)
	if err != nil {
		return 0
	}
	return max(life, 0)
}

// readTokens checks a success answer of the token endpoint. asked is when the
// request was sent: an expiry is counted from there.
func readTokens(ans answer, asked time.Time) (tokenAnswer, time.Time, error) {
	var t tokenAnswer
	if err := ans.decode(&t); err != nil {
		return t, time.Time{}, err
	}
	bad := func(what string) (tokenAnswer, time.Time, error) {
		return t, time.Time{}, ans.fail(KindInvalid, ans.host+" sent a token answer "+what)
	}
	switch {
	case !goodToken(t.AccessToken):
		return bad("without a usable access_token")
	case t.RefreshToken != "" && !goodToken(t.RefreshToken):
		return bad("with a malformed refresh_token")
	case !strings.EqualFold(t.TokenType, "Bearer"):
		return bad("with a token_type other than Bearer")
	case t.Scope != nil && !goodScope(*t.Scope):
		return bad("with a malformed scope")
	}
	life, stated, err := seconds(t.ExpiresIn)
	if err != nil {
		return bad("with a malformed expires_in")
	}
	if !stated {
		return t, time.Time{}, nil
	}
	return t, asked.Add(life).Round(0), nil
}

// goodToken is stricter than RFC 6749 appendix A by the blank, which would end
// the token in an Authorization header.
func goodToken(s string) bool { return printable(s, tokenMax) && !strings.Contains(s, " ") }

func goodScope(s string) bool {
	for _, w := range strings.Fields(s) {
		if !scopeToken(w) {
			return false
		}
	}
	return s == "" || printable(s, 8<<10)
}

// seconds reads a number of seconds: an integer, an integral float, or either
// in a string, as servers send them. Beyond 100 years it is 100 years.
func seconds(v jsontext.Value) (d time.Duration, stated bool, err error) {
	text := strings.TrimSpace(string(v))
	if text == "" || text == "null" {
		return 0, false, nil
	}
	if v.Kind() == '"' {
		if err := json.Unmarshal(v, &text); err != nil {
			return 0, false, err
		}
	}
	if n := jsontext.Value(text); n.Kind() != '0' || !n.IsValid() {
		return 0, false, errors.New("not a number")
	}
	f, err := strconv.ParseFloat(text, 64)
	if big := math.IsInf(f, 0); !big && (err != nil || f != math.Trunc(f)) {
		return 0, false, errors.New("not a whole number of seconds")
	}
	f = min(max(f, -lifetimeMax), lifetimeMax)
	return time.Duration(f) * time.Second, true, nil
}
