package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A proxy leads to a server in memory, under the names and with the TLS that a real
// one has. It would speak HTTP/2.
type proxy struct {
	env []string // leads the binary through it

	mu        sync.Mutex
	protocols map[string]int
	tunnels   int
}

func startProxy(t *testing.T, s *flowtest.Server) *proxy {
	t.Helper()
	p := &proxy{protocols: map[string]int{}}
	certificate := selfSigned(t, "hs."+s.ServerName, "auth."+s.ServerName, s.ServerName)
	inside := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.protocols[r.Proto]++
		p.mu.Unlock()
		r.URL.Scheme, r.URL.Host = "https", r.Host
		answer, err := s.Client().Transport.RoundTrip(r)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer func() { _ = answer.Body.Close() }()
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body) // a client that has gone is its own business
	}))
	inside.EnableHTTP2, inside.TLS = true, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	inside.StartTLS()
	t.Cleanup(inside.Close)
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.tunnels++
		p.mu.Unlock()
		there, err := net.Dial("tcp", inside.Listener.Addr().String())
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			_ = there.Close()
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(there, here); _ = there.Close() }()
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}))
	t.Cleanup(outside.Close)
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env = []string{"SSL_CERT_FILE=" + root, "HTTPS_PROXY=" + strings.Replace(outside.URL, "://", "://user:the-password-of-the-proxy@", 1)}
	return p
}

func selfSigned(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// debuggedHTTP lives through a whole session over TLS, at a server that offers
// HTTP/2, with everything that makes Go's network code talk. HTTP/2's would print
// the Authorization header.
func debuggedHTTP(t *testing.T) {
	s := flowtest.New(flowtest.WithInterval(time.Second))
	canaries.watch(s)
	t.Cleanup(func() { canaries.leave(s) })
	p := startProxy(t, s)
	b := newBox(t, append(p.env, "MXAUTH_STORE=plaintext", "GODEBUG=http2debug=2,http2client=1,http2server=1,netdns=2,netedns0=1,x509ignoreCN=0,gctrace=0")...)
	b.loggedIn(s, "-vv")
	for _, args := range [][]string{{"whoami", "-vv"}, {"refresh", "-vv"}, {"token", "-vv"}, {"doctor", "-vv"}, {"logout", "-vv"}} {
		b.must(0, args...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.protocols) != 1 || p.protocols["HTTP/1.1"] < 8 {
		t.Errorf("requests came as %v, want HTTP/1.1", p.protocols)
	}
}

// proxyWithPassword has a proxy whose password must not be repeated: it leads to
// the server, it is not there, or it refuses.
func proxyWithPassword(t *testing.T) {
	s := flowtest.New(flowtest.WithInterval(time.Second))
	canaries.watch(s)
	t.Cleanup(func() { canaries.leave(s) })
	good := startProxy(t, s)
	b := newBox(t, append(good.env, "MXAUTH_STORE=plaintext")...)
	b.loggedIn(s, "-vv")
	if good.tunnels == 0 {
		t.Error("it went another way")
	}
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
		_, _ = io.WriteString(w, r.Header.Get("Proxy-Authorization"))
	}))
	defer refusing.Close()
	for _, address := range []string{deadEnd(t), refusing.URL, "http://127.0.0.1:1/%zz", "ftp://127.0.0.1:1"} {
		b.env = append(b.env, "HTTPS_PROXY="+strings.Replace(address, "://", "://user:another-password-of-the-proxy@", 1))
		for _, args := range [][]string{{"whoami", "-vv"}, {"doctor", "--json", "-vv"}, {"login", "matrix.example.org", "-vv", "--name", "other"}} {
			if r := b.run(args...); r.code == 0 {
				t.Errorf("%s, %v: exit 0", address, args)
			}
		}
	}
}
