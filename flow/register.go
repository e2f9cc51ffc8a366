package flow

import (
	"bytes"
	"context"
	"net/http"

	"github.com/go-json-experiment/json"
)

const grantDeviceCode = "urn:ietf:params:oauth:grant-type:device_code"

// Registration says how to register where the usual way is not enough.
type Registration struct {
	// InitialToken is an RFC 7591 initial access token from the
	// administrator; empty for open registration.
	InitialToken Secret

	// Again asks for another registration than the usual one. MAS keeps a
	// registration that was made while the device grant was off, and gives
	// it back, without the grant, to everyone who sends the same metadata.
	Again bool

	// Browser registers for the authorization code grant alone. A server
	// without the device grant may refuse a client that names it.
	Browser bool
}

// body is the registration that MAS, Tuwunel, Continuwuity and
// node-oidc-provider all accept. Members that a server does not know make
// Keycloak refuse, and a version would make MAS keep a client per release, so
// there is nothing more in it.
type registrationBody struct {
	ClientName      string   `json:"client_name"`
	ClientURI       string   `json:"client_uri"`
	ApplicationType string   `json:"application_type"`
	RedirectURIs    []string `json:"redirect_uris"`
	ResponseTypes   []string `json:"response_types"`
	GrantTypes      []string `json:"grant_types"`
	AuthMethod      string   `json:"token_endpoint_auth_method"`
}

func newRegistration(r Registration) registrationBody {
	path := redirectPath
	if r.Again { // unseen by people, but other metadata
		path = "/redirect"
	}
	grants := []string{"authorization_code", "refresh_token"}
	if !r.Browser {
		grants = append(grants, grantDeviceCode)
	}
	return registrationBody{
		ClientName:      clientName,
		ClientURI:       clientURI,
		ApplicationType: "native",
		RedirectURIs:    []string{"http://127.0.0.1" + path, "http://[::1]" + path},
		ResponseTypes:   []string{"code"},
		GrantTypes:      grants,
		AuthMethod:      "none",
	}
}

// Register makes a client at the server (RFC 7591). Matrix servers want a new
// one at the start of each login. That the device grant is missing from the
// answer means nothing yet: Tuwunel leaves it out and takes it all the same.
//
// Errors: KindUnsupported without a registration endpoint, KindRefused,
// KindTemporary, KindInvalid.
func (a *Agent) Register(ctx context.Context, s Server, r Registration) (Client, error) {
	if err := s.checkRegistration(false); err != nil {
		return Client{}, err
	}
	body, err := json.Marshal(newRegistration(r))
	if err != nil {
		return Client{}, &Error{Kind: KindBug, Op: opRegister.String(), Problem: "the registration cannot be written", Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Registration, bytes.NewReader(body))
	if err != nil {
		return Client{}, &Error{Kind: KindBug, Op: opRegister.String(), Problem: "the request cannot be made"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", a.userAgent(""))
	if !r.InitialToken.Empty() {
		req.Header.Set("Authorization", "Bearer "+r.InitialToken.Reveal())
	}
	ans, err := a.send(opRegister, req)
	if err != nil {
		return Client{}, err
	}
	if v := judge(ans); v != success {
		return Client{}, registrationRefusal(ans, v, !r.InitialToken.Empty())
	}
	return readClient(ans)
}

// A ClosedError says that a server registers no program without its
// administrator. It is found with errors.As beside the *Error that wraps it.
type ClosedError struct {
	Host  string
	Token bool // an initial access token was sent, and not accepted
}

// Error says which door is closed.
func (e *ClosedError) Error() string {
	if e.Token {
		return e.Host + " does not accept the initial access token"
	}
	return e.Host + " registers programs only with its administrator's help"
}

// registrationRefusal tells a door that is closed (Keycloak says 403
// insufficient_scope or 401 invalid_token, Tuwunel 403 M_FORBIDDEN, others have
// nothing there although they name it) from a registration that is not liked.
func registrationRefusal(ans answer, v verdict, token bool) error {
	e := ans.refusal(v)
	forbidden := ans.object && (ans.status == http.StatusForbidden || ans.status == http.StatusUnauthorized)
	if absent := ans.status == http.StatusNotFound || ans.status == http.StatusMethodNotAllowed; v == unknown && (forbidden || absent) {
		closed := &ClosedError{Host: ans.host, Token: token && forbidden}
		e.Problem, e.Err = closed.Error(), closed
	}
	return e
}

// readClient takes the method that the server decided on, whatever was asked for
// (RFC 7591 section 3.2.1). A secret without a method is for
// client_secret_basic, the default of section 2.
func readClient(ans answer) (Client, error) {
	var doc struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
		Method string `json:"token_endpoint_auth_method"`
	}
	if err := ans.decode(&doc); err != nil {
		return Client{}, err
	}
	if !printable(doc.ID, 512) {
		return Client{}, ans.fail(KindInvalid, ans.host+" registered a client without a usable client_id")
	}
	switch {
	case doc.Method == "none", doc.Method == "" && doc.Secret == "":
		return Client{ID: doc.ID}, nil
	case doc.Method != "" && doc.Method != "client_secret_basic" && doc.Method != "client_secret_post":
		return Client{}, ans.fail(KindUnsupported, ans.host+" wants this client to authenticate by "+ans.quote(doc.Method, 40)+", which it cannot")
	case !printable(doc.Secret, 1024):
		return Client{}, ans.fail(KindInvalid, ans.host+" registered a client without a usable client_secret")
	}
	return Client{ID: doc.ID, Secret: NewSecret(doc.Secret), Basic: doc.Method != "client_secret_post"}, nil
}
