package flowtest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// A client is a registration.
type client struct {
	id       string
	secret   string
	issued   int64
	grants   []string
	method   string // of authentication; "" where the registration named none
	metadata map[string]any
}

func (c *client) name() string {
	if name, ok := c.metadata["client_name"].(string); ok {
		return name
	}
	return c.id
}

// credentials are how a client says who it is (RFC 6749 section 2.3).
type credentials struct {
	method string // none, client_secret_basic, client_secret_post, or bearer
	id     string
	secret string
}

// present reads the credentials, and has the form checked on the way, in MAS's
// order: the header, the form, how they fit together. check returns why the form
// is malformed.
func present(c *call, check func(url.Values) string) (credentials, *answer) {
	header, ok := authorization(c.Header.Get("Authorization"))
	if !ok {
		return refuse(oauthError(http.StatusBadRequest, "invalid_request"))
	}
	switch {
	case c.bad != nil:
		return refuse(malformed("failed to decode the form"))
	case c.form != nil:
		if problem := check(c.form); problem != "" {
			return refuse(malformed(problem))
		}
	}
	id := c.form.Get("client_id")
	switch {
	case header.method == "bearer" && c.form.Has("client_id"):
		return refuse(oauthError(http.StatusBadRequest, "invalid_request"))
	case header.method == "client_secret_basic" && id != "" && id != header.id:
		return refuse(oauthError(http.StatusBadRequest, "invalid_grant"))
	case header.method != "":
		return header, nil
	case c.form.Has("client_id") && c.form.Has("client_secret"):
		return credentials{"client_secret_post", id, c.form.Get("client_secret")}, nil
	case c.form.Has("client_id"):
		return credentials{method: "none", id: id}, nil
	}
	return refuse(oauthProblem(http.StatusBadRequest, "invalid_request", "No credentials were presented"))
}

func refuse(a answer) (credentials, *answer) { return credentials{}, &a }

// authorization reads the Authorization header; false means that it cannot be
// read.
func authorization(h string) (credentials, bool) {
	if h == "" {
		return credentials{}, true
	}
	scheme, value, _ := strings.Cut(h, " ")
	switch strings.ToLower(scheme) {
	case "bearer":
		return credentials{method: "bearer", secret: value}, value != ""
	case "basic":
		raw, err := base64.StdEncoding.DecodeString(value)
		id, secret, ok := strings.Cut(string(raw), ":")
		return credentials{"client_secret_basic", id, secret}, err == nil && ok
	}
	return credentials{}, false
}

// identify finds the client that the credentials name.
func (s *Server) identify(cr credentials) (*client, *answer) {
	if cl := s.state.clients[cr.id]; cl != nil && cr.method != "bearer" {
		return cl, nil
	}
	a := oauthError(http.StatusUnauthorized, "invalid_client")
	return nil, &a
}

// verify holds the credentials against the registration. A client that named no
// method at its registration is refused for ever.
func (cl *client) verify(cr credentials) *answer {
	var a answer
	switch {
	case cl.method == "":
		a = oauthError(http.StatusUnauthorized, "unauthorized_client")
	case cl.method != cr.method || cl.secret != cr.secret:
		a = oauthError(http.StatusUnauthorized, "invalid_client")
	default:
		return nil
	}
	return &a
}

// authenticate is present, identify and verify in one. A request that is not a
// form but has a header gets as far as its client, then it is a bad request.
func (s *Server) authenticate(c *call, check func(url.Values) string) (*client, *answer) {
	cr, refused := present(c, check)
	if refused != nil {
		return nil, refused
	}
	cl, refused := s.identify(cr)
	if refused != nil {
		return nil, refused
	}
	if refused := cl.verify(cr); refused != nil {
		return nil, refused
	}
	if c.form == nil {
		a := oauthError(http.StatusBadRequest, "invalid_request")
		return nil, &a
	}
	return cl, nil
}

// need is the check of a form in which some fields must be there and none twice.
func need(form url.Values, fields ...string) string {
	for _, f := range fields {
		if !form.Has(f) {
			return "missing field `" + f + "`"
		}
	}
	for _, f := range append(fields, "client_id", "client_secret", "scope", "token_type_hint") {
		if len(form[f]) > 1 {
			return "duplicate field `" + f + "`"
		}
	}
	return ""
}

// scoped is the check of a scope field that may be missing.
func scoped(form url.Values) string {
	if !form.Has("scope") {
		return ""
	}
	if _, ok := parseScope(form.Get("scope")); !ok {
		return "Invalid scope format"
	}
	return ""
}
