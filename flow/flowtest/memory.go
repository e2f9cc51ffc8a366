package flowtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// memory is the network of a server without sockets: a request is handled in
// the goroutine that made it.
type memory struct{ s *Server }

func (m *memory) transport() http.RoundTripper { return m }
func (m *memory) cut()                         {}
func (m *memory) close()                       {}

// closed is nil on purpose: a channel from outside of a bubble of
// testing/synctest would keep its clock from moving.
func (m *memory) closed() <-chan struct{} { return nil }

// RoundTrip implements http.RoundTripper. A dropped connection is an io.EOF, as
// it would be from http.Transport; a server that is down refuses connections.
func (m *memory) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	sd, err := m.dial(r.URL.Scheme, r.URL.Host)
	if err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.Host, in.RemoteAddr = r.URL.Host, "192.0.2.1:50000"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	a, err := m.s.exchange(sd, in)
	switch {
	case errors.Is(err, errDropped):
		return nil, io.EOF
	case errors.Is(err, errRefused):
		return nil, refused()
	case err != nil:
		return nil, err
	case r.Context().Err() != nil:
		return nil, r.Context().Err()
	}
	return response(r, a), nil
}

// dial finds the server that a name stands for.
func (m *memory) dial(scheme, host string) (side, error) {
	name := strings.TrimSuffix(host, ":443")
	switch {
	case scheme != "https":
		return 0, refused()
	case name == "hs."+m.s.ServerName || name == m.s.ServerName:
		return homeserver, nil
	case name == "auth."+m.s.ServerName && !m.s.conf.legacy && !m.s.traits.oneOrigin:
		return authServer, nil
	}
	return 0, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}}
}

func refused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

func response(r *http.Request, a answer) *http.Response {
	var body io.Reader = bytes.NewReader(a.body)
	if a.truncated() {
		body = io.MultiReader(bytes.NewReader(a.body[:a.cut]), broken{})
	}
	if r.Method == http.MethodHead {
		body = http.NoBody
	}
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)),
		StatusCode: a.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        a.header.Clone(),
		Body:          io.NopCloser(body),
		ContentLength: int64(len(a.body)),
		Request:       r,
	}
}

// broken is where a truncated answer ends.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
