package flow

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// A reply is one scripted answer. A status of 0 is a broken connection.
type reply struct {
	status int
	header string // "Name: value", at most one
	body   string
	wait   time.Duration
}

func (r reply) response(req *http.Request) (*http.Response, error) {
	if r.wait > 0 {
		select {
		case <-time.After(r.wait):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	if r.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if strings.HasPrefix(r.body, "<") {
		h.Set("Content-Type", "text/html")
	}
	if name, value, ok := strings.Cut(r.header, ": "); ok {
		h.Set(name, value)
	}
	return &http.Response{StatusCode: r.status, Header: h, Body: io.NopCloser(strings.NewReader(r.body)), Request: req}, nil
}

// A script answers requests by address, in order; the last reply to an address
// is repeated. It is a server without a network, so it works in virtual time.
type script struct {
	mu      sync.Mutex
	replies map[string][]reply
	seen    []seen
	busy    int // requests in flight
	most    int // most at once
}

type seen struct {
	at      time.Time
	address string
	agent   string
	bearer  string
	form    url.Values
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	var form url.Values
	if req.Body != nil {
		b, _ := io.ReadAll(req.Body)
		form, _ = url.ParseQuery(string(b))
	}
	address := req.URL.String()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.seen = append(s.seen, seen{time.Now(), address, req.UserAgent(), req.Header.Get("Authorization"), form})
	s.busy++
	s.most = max(s.most, s.busy)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy--
	}()
	list, ok := s.replies[address]
	if len(list) > 1 {
		s.replies[address] = list[1:]
	}
	s.mu.Unlock()
	if !ok {
		return reply{status: 404, body: `{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}`}.response(req)
	}
	return list[0].response(req)
}

func (s *script) agent() *Agent { return &Agent{HTTP: &http.Client{Transport: s}, Version: "1.2.3"} }

// count returns how many requests went to an address.
func (s *script) count(address string) (n int) {
	for _, r := range s.seen {
		if r.address == address {
			n++
		}
	}
	return n
}

const (
	asURL    = "https://auth.example.org/"
	metaBody = `{"issuer":"https://auth.example.org/","token_endpoint":"https://auth.example.org/token",
		"device_authorization_endpoint":"https://auth.example.org/device","registration_endpoint":"https://auth.example.org/register",
		"revocation_endpoint":"https://auth.example.org/revoke"}`
	tokenBody = `{"access_token":"mat_new","refresh_token":"mar_new","token_type":"Bearer","expires_in":300,"scope":"urn:matrix:client:api:*"}`
	codeBody  = `{"device_code":"dc","user_code":"ABC123","verification_uri":"https://auth.example.org/link","expires_in":1200,"interval":5}`
	pendBody  = `{"error":"authorization_pending"}`
)

func testServer() Server {
	return Server{Name: "example.org", Homeserver: "https://example.org", Issuer: asURL, Token: asURL + "token", Device: asURL + "device",
		Registration: asURL + "register", Revocation: asURL + "revoke"}
}

func testSession() Session {
	return Session{Server: testServer(), Client: Client{ID: "cid"}, Scope: ScopeAPI, DeviceName: "box",
		AccessToken: NewSecret("mat_old"), RefreshToken: NewSecret("mar_old"), Issued: time.Now(), Expiry: time.Now().Add(time.Minute)}
}

func wantKind(t *testing.T, what string, err error, want Kind) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Errorf("%s: got %v (%v), want %v", what, err, KindOf(err), want)
	}
	if err != nil && (strings.ContainsFunc(err.Error(), hidden) || len(err.Error()) > 600) {
		t.Errorf("%s: the error is not fit to be shown: %q", what, err)
	}
}

func start(t *testing.T, s *script) (Code, error) {
	t.Helper()
	return s.agent().Start(context.Background(), testServer(), Client{ID: "cid"}, Request{Scope: ScopeAPI, DeviceName: "box"})
}
