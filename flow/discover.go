package flow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// redirectsMax is how many redirects discovery follows.
const redirectsMax = 5

// Discover finds the authorization server of a Matrix homeserver from a server
// name, a Matrix ID or a URL (Matrix specification, "Server discovery" and "GET
// /_matrix/client/v1/auth_metadata"; for older servers MSC2965). Every endpoint
// is checked. It makes two requests where the server is up to date.
//
// Errors: KindUsage for a name that is none, KindTemporary, KindInvalid, and
// KindUnsupported (see [*LegacyError]) for a homeserver without OAuth.
func (a *Agent) Discover(ctx context.Context, name string) (Server, error) {
	p, err := parsePlace(name)
	if err != nil {
		return Server{}, err
	}
	known, err := a.wellKnown(ctx, p)
	if err != nil {
		return Server{}, err
	}
	doc, err := a.metadata(ctx, known)
	if err != nil {
		return Server{}, err
	}
	s, err := doc.server()
	if err != nil {
		return Server{}, err
	}
	s.Name, s.Homeserver = p.shown, known.base
	return s, nil
}

// DiscoverIssuer reads the metadata of an authorization server that no
// homeserver stands in front of (OpenID Connect Discovery section 4, RFC 8414).
// The issuer may be given with or without its last slash.
func (a *Agent) DiscoverIssuer(ctx context.Context, issuer string) (Server, error) {
	u, err := parseIssuer(issuer)
	if err != nil {
		return Server{}, &Error{Kind: KindUsage, Op: "read the issuer's address", Problem: "it " + err.Error()}
	}
	doc, err := a.openidConfiguration(ctx, issuer)
	if err != nil {
		return Server{}, err
	}
	s, err := doc.server()
	if err != nil {
		return Server{}, err
	}
	if strings.TrimRight(s.Issuer, "/") != strings.TrimRight(issuer, "/") {
		return Server{}, &Error{Kind: KindInvalid, Op: opDiscover.String(), Host: u.Host,
			Problem: u.Host + " names another issuer than the one asked for: " + Clean(s.Issuer, 120)}
	}
	s.Name = issuerName(u)
	return s, nil
}

// A lead is what .well-known told.
type lead struct {
	base   string // of the client-server API, without its last slash
	issuer string // MSC2965, older servers; may be empty
}

func (a *Agent) wellKnown(ctx context.Context, p place) (lead, error) {
	var ans answer
	var err error
	for _, origin := range p.hosts {
		ans, err = a.fetch(ctx, origin+"/.well-known/matrix/client")
		if err == nil {
			break
		}
		if KindOf(err) != KindTemporary {
			return lead{}, err
		}
	}
	switch {
	case err != nil:
		return lead{}, err
	case ans.status == http.StatusNotFound:
		return lead{base: p.base}, nil
	case passing(ans.status):
		return lead{}, ans.fail(KindTemporary, fmt.Sprintf("%s answered %d", ans.host, ans.status))
	case ans.status != http.StatusOK:
		return lead{}, ans.fail(KindInvalid, fmt.Sprintf("%s answered %d where its .well-known/matrix/client should be", ans.host, ans.status))
	}
	var doc struct {
		Homeserver struct {
			Base string `json:"base_url"`
		} `json:"m.homeserver"`
		Authentication struct {
			Issuer string `json:"issuer"`
		} `json:"org.matrix.msc2965.authentication"`
	}
	if err := ans.decode(&doc); err != nil {
		return lead{}, err
	}
	if _, err := ParseAddress(doc.Homeserver.Base); err != nil {
		return lead{}, ans.fail(KindInvalid, "the homeserver's base_url "+err.Error())
	}
	return lead{base: strings.TrimRight(doc.Homeserver.Base, "/"), issuer: doc.Authentication.Issuer}, nil
}

// metadata tries the places where a homeserver may name its authorization
// server, newest first.
func (a *Agent) metadata(ctx context.Context, l lead) (metadata, error) {
	for _, path := range []string{
		"/_matrix/client/v1/auth_metadata",
		"/_matrix/client/unstable/org.matrix.msc2965/auth_metadata",
	} {
		ans, err := a.fetch(ctx, l.base+path)
		if err != nil {
			return metadata{}, err
		}
		if !absent(ans) {
			return readMetadata(ans)
		}
	}
	issuer, err := a.authIssuer(ctx, l)
	if err != nil {
		return metadata{}, err
	}
	if issuer == "" {
		return metadata{}, a.legacy(ctx, l.base)
	}
	if _, err := parseIssuer(issuer); err != nil {
		return metadata{}, &Error{Kind: KindInvalid, Op: opDiscover.String(), Host: hostOf(l.base),
			Problem: "the issuer that " + hostOf(l.base) + " names " + err.Error()}
	}
	return a.openidConfiguration(ctx, issuer)
}

// authIssuer asks the way that servers of 2024 knew, then falls back to what
// .well-known said.
func (a *Agent) authIssuer(ctx context.Context, l lead) (string, error) {
	ans, err := a.fetch(ctx, l.base+"/_matrix/client/unstable/org.matrix.msc2965/auth_issuer")
	if err != nil {
		return "", err
	}
	if absent(ans) {
		return l.issuer, nil
	}
	if ans.status != http.StatusOK {
		return "", ans.statusError()
	}
	var doc struct {
		Issuer string `json:"issuer"`
	}
	err = ans.decode(&doc)
	return doc.Issuer, err
}

func (a *Agent) openidConfiguration(ctx context.Context, issuer string) (metadata, error) {
	ans, err := a.fetch(ctx, join(issuer, ".well-known/openid-configuration"))
	if err != nil {
		return metadata{}, err
	}
	return readMetadata(ans)
}

// absent tells an endpoint that a homeserver does not have.
func absent(a answer) bool {
	return a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed || a.errcode == "M_UNRECOGNIZED"
}

func readMetadata(ans answer) (metadata, error) {
	if ans.status != http.StatusOK {
		return metadata{}, ans.statusError()
	}
	doc := metadata{from: ans}
	err := ans.decode(&doc)
	return doc, err
}

// statusError words an answer to a GET that is not the document asked for.
func (a answer) statusError() error {
	if passing(a.status) {
		return a.fail(KindTemporary, fmt.Sprintf("%s answered %d", a.host, a.status))
	}
	return a.fail(KindInvalid, fmt.Sprintf("%s answered %d, which no Matrix server or issuer does here", a.host, a.status))
}

// fetch gets a public document and follows redirects: at most five, never from
// https to http, never in a circle. It carries no credentials.
func (a *Agent) fetch(ctx context.Context, address string) (answer, error) {
	seen := map[string]bool{}
	for hop := 0; ; hop++ {
		seen[address] = true
		ans, err := a.get(ctx, opDiscover, address, Secret{})
		if err != nil || ans.status < 300 || ans.status >= 400 {
			return ans, err
		}
		next, err := nextHop(address, ans.header.Get("Location"))
		if err != nil {
			return ans, ans.fail(KindInvalid, fmt.Sprintf("%s redirects (%d) to an address that %s", ans.host, ans.status, err))
		}
		switch {
		case hop >= redirectsMax:
			return ans, ans.fail(KindInvalid, fmt.Sprintf("%s redirects once more after %d redirects", ans.host, redirectsMax))
		case seen[next]:
			return ans, ans.fail(KindInvalid, ans.host+" redirects in a circle")
		}
		address = next
	}
}

func nextHop(from, location string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", errors.New("is not a URL")
	}
	ref, err := url.Parse(location)
	if err != nil || location == "" {
		return "", errors.New("is not a URL")
	}
	u, err := ParseAddress(base.ResolveReference(ref).String())
	if err != nil {
		return "", err
	}
	if base.Scheme == "https" && u.Scheme != "https" {
		return "", errors.New("is not https")
	}
	return u.String(), nil
}
