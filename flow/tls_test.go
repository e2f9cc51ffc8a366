package flow

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certificate makes one for 127.0.0.1 that is its own authority.
func certificate(t *testing.T, begin, end time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: begin, NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// S9: TLS that does not hold is invalid, said in plain words, and nothing was
// sent.
func TestTLS(t *testing.T) {
	now := time.Now()
	good := certificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	for name, tt := range map[string]struct {
		cert     tls.Certificate
		most     uint16
		host     string
		distrust bool
		want     string // "" if it holds
	}{
		"good":         {cert: good, host: "127.0.0.1"},
		"expired":      {cert: certificate(t, now.Add(-2*time.Hour), now.Add(-time.Hour)), host: "127.0.0.1", want: "expired"},
		"not yet":      {cert: certificate(t, now.Add(time.Hour), now.Add(2*time.Hour)), host: "127.0.0.1", want: "not valid yet"},
		"self-signed":  {cert: good, host: "127.0.0.1", distrust: true, want: "does not trust"},
		"another name": {cert: good, host: "localhost", want: "another name"},
		"TLS 1.1":      {cert: good, host: "127.0.0.1", most: tls.VersionTLS11, want: "does not agree on TLS"},
	} {
		t.Run("S9 "+name, func(t *testing.T) {
			requests := 0
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				if r.ProtoMajor != 1 { // GODEBUG=http2debug would print the token
					t.Errorf("it speaks %s", r.Proto)
				}
				_, _ = io.WriteString(w, tokenBody)
			}))
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{tt.cert}, MinVersion: tls.VersionTLS10, MaxVersion: tt.most}
			srv.EnableHTTP2 = true
			srv.StartTLS()
			defer srv.Close()
			hc := NewHTTPClient()
			tr := hc.Transport.(*http.Transport)
			defer tr.CloseIdleConnections()
			roots := x509.NewCertPool()
			if !tt.distrust {
				roots.AddCert(tt.cert.Leaf)
			}
			tr.TLSClientConfig = &tls.Config{RootCAs: roots}
			_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
			s := testSession()
			s.Server.Token = "https://" + net.JoinHostPort(tt.host, port) + "/token"
			_, err := (&Agent{HTTP: hc}).Refresh(t.Context(), s)
			if tt.want == "" {
				if err != nil || requests != 1 {
					t.Errorf("%v", err)
				}
				return
			}
			wantKind(t, name, err, KindInvalid)
			if requests != 0 || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%d requests, %v", requests, err)
			}
		})
	}
}

func TestNoTLSAtAll(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	s := testSession()
	s.Server.Token = "https://" + srv.Listener.Addr().String() + "/token"
	_, err := (&Agent{}).Refresh(t.Context(), s)
	wantKind(t, "plain http", err, KindInvalid)
	if !strings.Contains(err.Error(), "does not speak TLS") {
		t.Error(err)
	}
}

// S10: why nobody answered, in words, and that it is worth another try.
func TestTrouble(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"no such name":      {dial(&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}), "is not known to the name service"},
		"name service down": {dial(&net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true}), "the name service does not answer"},
		"refused":           {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "refused the connection"},
		"no way":            {dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), "cannot be reached: connect: network is unreachable"},
		"reset":             {&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "broke the connection"},
		"black hole":        {dial(context.DeadlineExceeded), "did not answer in time"},
		"proxy refuses":     {&net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))}, "is behind a proxy that refused the connection"},
		"text of the peer":  {errors.New("bad \x1b[31m\u202etext " + strings.Repeat("x", 1000)), "gave no usable answer: bad [31m text"},
	} {
		a := &Agent{HTTP: &http.Client{Transport: failing{tt.err}}}
		_, err := a.Discover(t.Context(), "example.org")
		wantKind(t, name, err, KindTemporary)
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// failing is a network on which every request fails.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }
