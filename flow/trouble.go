package flow

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// transportError names why no answer came. TLS that does not hold is no network
// trouble: trying again would not help, and must not be tempting.
func transportError(ctx context.Context, op operation, host string, err error, secrets []Secret) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	e := &Error{Kind: KindTemporary, Op: op.String(), Host: host, Problem: host + " " + reason(err, secrets)}
	if tlsTrouble(err, secrets) != "" {
		e.Kind = KindInvalid
	}
	var dial *net.OpError
	switch {
	case untrusted(err):
		e.Err = ErrUnknownAuthority
	case errors.As(err, &dial) && dial.Op == "dial":
		e.Err = errNotSent
	}
	return e
}

// ErrUnknownAuthority is wrapped by the [*Error] of a request that failed because
// nobody whom this machine trusts vouches for the server.
var ErrUnknownAuthority = errors.New("unknown certificate authority")

func untrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	var none x509.SystemRootsError // this machine trusts nobody
	return errors.As(err, &unknown) || errors.As(err, &none)
}

// errNotSent says that there was no connection, so that the server has certainly
// not seen the request.
var errNotSent = errors.New("the request was not sent")

// reason words a transport error, as what is to be said of a host. Library texts
// may quote the peer, and the peer may quote us: what is not known is cleared of
// the secrets, cleaned and cut.
func reason(err error, secrets []Secret) string {
	if problem := tlsTrouble(err, secrets); problem != "" {
		return problem
	}
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return "is behind a proxy that " + reason(op.Err, secrets)
	case errors.As(err, &dns) && dns.IsNotFound:
		return "is not known to the name service"
	case errors.As(err, &dns):
		return "cannot be looked up: the name service does not answer"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "did not answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused the connection"
	case errors.Is(err, errBrokenOff):
		return "broke off its answer"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "broke the connection"
	case errors.As(err, &op):
		return "cannot be reached: " + repeat(op.Err.Error(), secrets, 120)
	}
	text := strings.TrimPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: ")
	return "gave no usable answer: " + repeat(text, secrets, 120)
}

// tlsTrouble words what is wrong with the server's TLS, "" if nothing is.
// crypto/tls has no type for most of it, but its texts all begin alike.
func tlsTrouble(err error, secrets []Secret) string {
	var (
		cert    *tls.CertificateVerificationError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &name):
		return "has a certificate that is for another name"
	case untrusted(err):
		return "has a certificate from an authority that this machine does not trust"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "has a certificate that has expired or is not valid yet, unless this machine's clock is wrong"
	case errors.As(err, &cert):
		return "has a certificate that does not hold: " + repeat(cert.Err.Error(), secrets, 120)
	case errors.Is(err, http.ErrSchemeMismatch):
		return "does not speak TLS"
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		return "does not speak TLS"
	}
	if _, what, ok := strings.Cut(err.Error(), "tls: "); ok {
		return "does not agree on TLS: " + repeat(what, secrets, 120)
	}
	return ""
}
