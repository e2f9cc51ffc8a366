package flow

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	intervalDefault = 5 * time.Second // RFC 8628 section 3.2
	intervalMin     = time.Second
	intervalMax     = time.Minute
	codeLifeMax     = time.Hour
)

// Begin registers a client, unless c has an ID already, and asks for a code.
//
// Where a server refuses the code because the registration lacks the device
// grant, Begin registers once more with other metadata: MAS remembers a
// registration from the time when the grant was off. The client that was
// registered is returned with an error of Start too.
//
// Errors: those of [Server.CheckDeviceLogin], Register and Start. A refusal by a
// server that would take a login by browser wraps ErrBrowserOnly: metadata that a
// homeserver remembers may name the grant after it was turned off.
func (a *Agent) Begin(ctx context.Context, s Server, c Client, r Registration, want Request) (Client, Code, error) {
	client, code, err := a.begin(ctx, s, c, r, want)
	var e *Error
	if errors.As(err, &e) && (lacksGrant(err) || e.Code == "invalid_request") && e.Op == opStart.String() && s.CheckBrowserLogin(client.ID != "") == nil {
		e.Kind, e.Err = KindUnsupported, ErrBrowserOnly
	}
	return client, code, err
}

func (a *Agent) begin(ctx context.Context, s Server, c Client, r Registration, want Request) (Client, Code, error) {
	given := c.ID != ""
	if err := s.CheckDeviceLogin(given); err != nil {
		return Client{}, Code{}, err
	}
	if given {
		code, err := a.Start(ctx, s, c, want)
		return c, code, err
	}
	c, err := a.Register(ctx, s, r)
	if err != nil {
		return Client{}, Code{}, err
	}
	code, err := a.Start(ctx, s, c, want)
	if !lacksGrant(err) {
		return c, code, err
	}
	r.Again = true
	again, err2 := a.Register(ctx, s, r)
	if err2 != nil || again.ID == c.ID {
		return c, code, err
	}
	code, err = a.Start(ctx, s, again, want)
	return again, code, err
}

// lacksGrant tells the refusal of a client that may not use the device grant.
func lacksGrant(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == "unauthorized_client"
}

// Start asks for a code (RFC 8628 section 3.1). The code lives an hour at most,
// whatever the server says; the pause between two polls is 1 s to 60 s, and 5 s
// where the server states none.
//
// Errors: KindUnsupported if the registration may not use the device grant,
// KindRefused, KindTemporary, and KindInvalid for an answer that lacks
// something, or whose page is not the server's (see [*SiteError]).
func (a *Agent) Start(ctx context.Context, s Server, c Client, want Request) (Code, error) {
	asked := time.Now()
	form := url.Values{}
	if want.Scope != "" { // MAS takes no empty one
		form.Set("scope", want.Scope)
	}
	ans, err := a.post(ctx, opStart, s.Device, want.DeviceName, c, form)
	if err != nil {
		return Code{}, err
	}
	switch v := judge(ans); {
	case v == success:
		return readCode(ans, s, want, asked)
	case v == clientDead && ans.code == "unauthorized_client":
		return Code{}, ans.fail(KindUnsupported, ans.host+" does not let this registration log in by device code; its administrator may have the grant turned off")
	default:
		return Code{}, ans.refusal(v)
	}
}

// A SiteError says that the verification page belongs to another site than the
// server. A person who was shown both may go on, with its Host as
// Request.OtherSite. It is found with errors.As beside the *Error that wraps it.
type SiteError struct {
	Page   string // verification_uri
	Issuer string
}

// Host is what Request.OtherSite takes: the page's host, with its port if it
// names one.
func (e *SiteError) Host() string { return hostOf(e.Page) }

// Error names both.
func (e *SiteError) Error() string { return e.Page + " is no page of " + e.Issuer }

// codeAnswer is RFC 8628 section 3.2.
type codeAnswer struct {
	DeviceCode string         `json:"device_code"`
	UserCode   string         `json:"user_code"`
	URI        string         `json:"verification_uri"`
	Complete   string         `json:"verification_uri_complete"`
	ExpiresIn  jsontext.Value `json:"expires_in"`
	Interval   jsontext.Value `json:"interval"`
}

func readCode(ans answer, s Server, want Request, asked time.Time) (Code, error) {
	var doc codeAnswer
	if err := ans.decode(&doc); err != nil {
		return Code{}, err
	}
	bad := func(what string) (Code, error) {
		return Code{}, ans.fail(KindInvalid, ans.host+" sent a code answer "+what)
	}
	life, _, err := seconds(doc.ExpiresIn)
	if err != nil || life <= 0 {
		return bad("without a usable expires_in")
	}
	interval, err := pollInterval(doc.Interval)
	if err != nil {
		return bad("with a malformed interval")
	}
	switch {
	case !printable(doc.DeviceCode, tokenMax):
		return bad("without a usable device_code")
	case !goodUserCode(doc.UserCode):
		return bad("without a usable user_code")
	}
	if _, err := ParseAddress(doc.URI); err != nil {
		return bad("whose verification_uri " + err.Error())
	}
	if !related(doc.URI, s) && !strings.EqualFold(hostOf(doc.URI), want.OtherSite) {
		e := ans.fail(KindInvalid, ans.host+" sends you to "+hostOf(doc.URI)+", which does not belong to "+hostOf(s.Issuer))
		e.Err = &SiteError{Page: doc.URI, Issuer: s.Issuer}
		return Code{}, e
	}
	code := Code{UserCode: doc.UserCode, VerificationURI: doc.URI, Interval: interval,
		Expiry: asked.Add(min(life, codeLifeMax)), DeviceID: want.DeviceID, Scope: want.Scope,
		DeviceName: want.DeviceName, deviceCode: NewSecret(doc.DeviceCode)}
	if goodComplete(doc) {
		code.VerificationURIComplete = doc.Complete
	}
	return code, nil
}

// pollInterval bounds what a server asks for: absent, zero or negative is the
// RFC's five seconds (Keycloak sends 0 and then fails every poll).
func pollInterval(v jsontext.Value) (time.Duration, error) {
	d, stated, err := seconds(v)
	if err != nil {
		return 0, err
	}
	if !stated || d <= 0 {
		return intervalDefault, nil
	}
	return min(max(d, intervalMin), intervalMax), nil
}

// goodUserCode keeps to what people can read and type: letters, digits, dashes.
func goodUserCode(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' {
			return false
		}
	}
	return true
}

// goodComplete believes a verification_uri_complete only if it leads to the
// same place and holds the code that the person sees.
func goodComplete(doc codeAnswer) bool {
	u, err := ParseAddress(doc.Complete)
	if err != nil || !sameOrigin(doc.Complete, doc.URI) {
		return false
	}
	plain := strings.ReplaceAll(doc.UserCode, "-", "")
	return strings.Contains(strings.ReplaceAll(u.RequestURI(), "-", ""), plain)
}

// related reports whether a page belongs to the server: the issuer's or the
// homeserver's host, or one that shares its last two labels with either.
func related(page string, s Server) bool {
	u, err := url.Parse(page)
	if err != nil {
		return false
	}
	for _, known := range []string{s.Issuer, s.Device, s.Homeserver} {
		k, err := url.Parse(known)
		if err != nil || known == "" {
			continue
		}
		if strings.EqualFold(k.Hostname(), u.Hostname()) || site(k.Hostname()) != "" && site(k.Hostname()) == site(u.Hostname()) {
			return true
		}
	}
	return false
}
