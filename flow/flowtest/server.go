package flowtest

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"sync"
	"time"
)

// A Server is a homeserver with its authorization server. Its methods may be
// called from any goroutine at any time.
type Server struct {
	// URL is the homeserver, without a slash at the end: what a person types
	// as the server. It answers /.well-known/matrix/client as well.
	URL string

	// Issuer is the authorization server's issuer. It ends in a slash, as
	// those of Matrix servers do. Empty for a server made WithLegacyOnly.
	Issuer string

	// ServerName is the part of user IDs after the colon.
	ServerName string

	// Secret is what the homeserver presents as a Bearer token when it asks the
	// authorization server for introspection (MAS's matrix.secret).
	Secret string

	conf   config
	traits traits
	routes map[side][]route
	net    network
	pages  func() *template.Template
	key    func() *ecdsa.PrivateKey

	mu    sync.Mutex // guards state, and is held while a request is handled
	state state
}

// state is everything that changes.
type state struct {
	ahead       time.Duration // how far Advance has moved the clock
	deviceGrant bool
	authDown    bool
	people      map[string]*person
	clients     map[string]*client
	dedup       map[[32]byte]*client
	grants      []*grant
	codes       []*codeGrant
	sessions    []*session
	access      map[string]*accessToken
	refresh     map[string]*refreshToken
	bucket      bucket             // of Tuwunel's device endpoint
	browsers    map[string]*person // who is logged in, by session cookie
	memory      map[string]remembered
	metadata    []byte // the homeserver's copy, fetched once
	faults      map[Endpoint][]Fault
	log         []Request
	secrets     []Secret // that left
}

// side is one of the two servers in the box.
type side int

const (
	homeserver side = iota
	authServer
)

// New returns a server in memory. Only the client that Client returns reaches
// it, at https://hs.example.test and https://auth.example.test (other names
// WithServerName). It starts no goroutine, so it can be used in a bubble of
// testing/synctest.
func New(opts ...Option) *Server {
	s := newServer(opts)
	s.URL = "https://hs." + s.ServerName
	switch {
	case s.conf.legacy:
	case s.traits.oneOrigin:
		s.Issuer = s.URL + "/"
	default:
		s.Issuer = "https://auth." + s.ServerName + "/"
	}
	s.net = &memory{s}
	return s
}

// NewServer returns a server that listens on loopback: the homeserver on one
// port, the authorization server on another. It panics if it cannot listen, as
// httptest.NewServer does; see Listen.
func NewServer(opts ...Option) *Server {
	s, err := Listen(opts...)
	if err != nil {
		panic("flowtest: " + err.Error())
	}
	return s
}

// Listen is NewServer for callers who chose the address and want to hear that
// it is taken.
func Listen(opts ...Option) (*Server, error) {
	s := newServer(opts)
	n := newSockets()
	s.net = n
	hs, err := net.Listen("tcp", s.conf.addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	s.URL = baseURL(hs.Addr())
	if s.traits.oneOrigin && !s.conf.legacy {
		s.Issuer = s.URL + "/"
	}
	if s.conf.legacy || s.traits.oneOrigin {
		n.serve(s, homeserver, hs)
		return s, nil
	}
	as, err := net.Listen("tcp", s.conf.authAddr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot listen: %w", err), hs.Close())
	}
	s.Issuer = baseURL(as.Addr()) + "/"
	n.serve(s, homeserver, hs)
	n.serve(s, authServer, as)
	return s, nil
}

func newServer(opts []Option) *Server {
	conf := configured(opts)
	s := &Server{
		ServerName: conf.serverName,
		Secret:     randomString(32),
		conf:       conf,
		traits:     conf.personality.traits(),
		pages:      sync.OnceValue(parsePages),
		key:        sync.OnceValue(newSigningKey),
		state: state{
			deviceGrant: conf.deviceGrant,
			people:      map[string]*person{},
			clients:     map[string]*client{},
			dedup:       map[[32]byte]*client{},
			access:      map[string]*accessToken{},
			refresh:     map[string]*refreshToken{},
			browsers:    map[string]*person{},
			memory:      map[string]remembered{},
			faults:      map[Endpoint][]Fault{},
		},
	}
	s.routes = s.table()
	s.AddUser("alice", "alice")
	s.AddUser("root", "root", Admin())
	return s
}

// Close ends all connections, frees the ports, and waits until no request is
// being handled.
func (s *Server) Close() { s.net.close() }

// Client returns an HTTP client that reaches the server, and nothing but it if
// the server is in memory. Like any client it follows redirects; it has no
// cookie jar.
func (s *Server) Client() *http.Client {
	return &http.Client{Transport: s.net.transport()}
}

// CloseClientConnections cuts the connections that are open now, with whatever
// is under way on them. In memory there are none.
func (s *Server) CloseClientConnections() { s.net.cut() }

// network is how requests reach a server.
type network interface {
	transport() http.RoundTripper
	cut()
	close()
	closed() <-chan struct{}
}

// now is the server's time. The caller holds the mutex.
func (s *Server) now() time.Time { return s.conf.clock().Add(s.state.ahead) }

// sleep waits, unless the client goes away or the server is closed.
func (s *Server) sleep(ctx context.Context, d time.Duration) error {
	var alarm <-chan time.Time
	if d != forever {
		t := time.NewTimer(d)
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-alarm:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.net.closed():
		return errDropped
	}
}
