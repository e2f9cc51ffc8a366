package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
)

// A hostileServer is every host of one case. The client reaches it as a proxy, so
// that the hosts have the names of the corpus and no packet leaves loopback: it
// answers CONNECT and then speaks TLS itself.
type hostileServer struct {
	net.Listener
	base  map[string]hostileAnswer
	case_ hostileCase
	certs *hostileCerts

	mu      sync.Mutex
	asked   map[string]int // by endpoint and by host
	scope   string         // what the client asked for
	revoked bool
}

// startHostile serves until its listener is closed.
func startHostile(base map[string]hostileAnswer, c hostileCase, certs *hostileCerts, scope string) (*hostileServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &hostileServer{Listener: l, base: base, case_: c, certs: certs, asked: map[string]int{}, scope: scope}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s, nil
}

// serve handles one connection. What goes wrong on it is the client's business:
// it may have gone, as it should.
func (s *hostileServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	host := s.case_.direct
	if host == "" {
		r, err := http.ReadRequest(bufio.NewReader(conn)) // the client waits for the answer: nothing is read too far
		if err != nil || r.Method != http.MethodConnect {
			return
		}
		host = strings.TrimSuffix(r.Host, ":443")
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	}
	s.count(host)
	s.count("any")
	kind := s.case_.tls[host]
	if kind == "" {
		kind = s.case_.tls[""]
	}
	if kind == "none" {
		_, _ = conn.Read(make([]byte, 64<<10)) // else the answer may be lost with what was not read
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
		return
	}
	secure := tls.Server(conn, s.certs.config(kind))
	in := bufio.NewReader(secure)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || !s.answer(secure, conn, host, r, body) {
			return
		}
	}
}

func (s *hostileServer) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[what]++
}

// answer finds out what is asked, and sends what the case says, or the base. It
// reports whether the connection goes on.
func (s *hostileServer) answer(w io.Writer, conn net.Conn, host string, r *http.Request, body []byte) bool {
	form, _ := url.ParseQuery(string(body))
	at := s.endpoint(r.Method+" https://"+host+r.URL.RequestURI(), form)
	s.mu.Lock()
	n := s.asked[at]
	s.asked[at]++
	if scope := form.Get("scope"); scope != "" {
		s.scope = scope
	}
	a := s.pick(at, n)
	fill := s.filler(r, form, a.good)
	if at == "revocation" && len(s.case_.answers[at]) == 0 {
		s.revoked = true
	}
	s.mu.Unlock()
	return a.send(w, conn, fill)
}

// endpoint names a request by the base, or by itself.
func (s *hostileServer) endpoint(request string, form url.Values) string {
	for name, a := range s.base {
		at, when, conditional := strings.Cut(a.at, " when ")
		if at != request {
			continue
		}
		key, value, _ := strings.Cut(when, "=")
		if !conditional || form.Get(key) == value {
			return name
		}
	}
	return request
}

// A reply is an answer with what the base says in its place.
type reply struct {
	hostileAnswer
	good string
}

func (s *hostileServer) pick(at string, n int) reply {
	base, known := s.base[at]
	if !known {
		base = s.base["unknown"]
	}
	if at == "refresh" && s.revoked {
		base = s.base["refresh-after-revocation"]
	}
	answers := s.case_.answers[at]
	if len(answers) == 0 {
		return reply{base, base.body}
	}
	a := answers[min(n, len(answers)-1)]
	if a.status == 0 {
		a.status = base.status
		if !known {
			a.status = http.StatusOK
		}
	}
	a.header = withDefaults(a.header, base.header)
	switch a.kind {
	case "":
		if a.body == "" {
			a.body = base.body
		}
	case "merge":
		a.body = mergePatch(base.body, a.body)
	}
	return reply{a, base.body}
}

// withDefaults adds the headers of the base that an answer has not got.
func withDefaults(header, base []string) []string {
	header = slices.Clone(header)
	for _, line := range base {
		name, _, _ := strings.Cut(line, ":")
		if !slices.ContainsFunc(header, func(h string) bool { return strings.HasPrefix(strings.ToLower(h), strings.ToLower(name)+":") }) {
			header = append(header, line)
		}
	}
	return header
}

// mergePatch changes the members of an object (RFC 7396, of one level).
func mergePatch(object, patch string) string {
	var members, changes map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &members); err != nil {
		return "the base is no object"
	}
	if err := json.Unmarshal([]byte(patch), &changes); err != nil {
		return "the patch is no object: " + err.Error()
	}
	for name, value := range changes {
		if string(value) == "null" {
			delete(members, name)
			continue
		}
		members[name] = value
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		out = append(out, strconv.Quote(name)+":"+string(members[name]))
	}
	return "{" + strings.Join(out, ",") + "}"
}

var hostileSent = regexp.MustCompile(`\$\(sent ([a-z_]+)\)`)

// filler fills in what is known only when a request is there.
func (s *hostileServer) filler(r *http.Request, form url.Values, good string) func(string) string {
	scope, device := s.scope, ""
	for _, word := range strings.Fields(scope) {
		if id, ok := strings.CutPrefix(word, "urn:matrix:client:device:"); ok {
			device = id
		}
	}
	known := strings.NewReplacer("$SCOPE", scope, "$DEVICE", device, "$BEARER", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	good = known.Replace(good)
	inner := strings.TrimSuffix(strings.TrimPrefix(good, "{"), "}")
	first := strings.NewReplacer("$GOOD", good, "$MEMBERS", inner)
	return func(text string) string {
		text = known.Replace(first.Replace(text))
		return hostileSent.ReplaceAllStringFunc(text, func(m string) string {
			return form.Get(hostileSent.FindStringSubmatch(m)[1])
		})
	}
}

// send writes an answer, and reports whether the connection goes on.
func (a reply) send(w io.Writer, conn net.Conn, fill func(string) string) bool {
	time.Sleep(time.Duration(a.wait) * time.Second)
	switch a.end {
	case "reset":
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
		return false
	case "close":
		return false
	}
	text, _ := unfold(a.body) // the reader of the file has tried it
	body := []byte(fill(text))
	if a.kind == "empty" {
		body = nil
	}
	if a.kind == "raw" {
		return a.write(w, body) && false
	}
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	for _, line := range a.header {
		head += fill(line) + "\r\n"
	}
	switch a.encoding {
	case "utf-16":
		body = wide(body)
	case "gzip":
		head += "Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
		if _, err := io.WriteString(w, head); err != nil {
			return false
		}
		z := gzip.NewWriter(w)
		return a.write(z, body) && z.Close() == nil && false
	}
	if a.endless == "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	if a.cut >= 0 {
		body = body[:a.cut]
	}
	if _, err := io.WriteString(w, head+"\r\n"); err != nil {
		return false
	}
	return a.write(w, body) && a.endless == "" && a.cut < 0
}

// write writes a body as fast as the answer says, and then its endless part.
func (a reply) write(w io.Writer, body []byte) bool {
	piece := len(body)
	if a.drip > 0 {
		piece = 1
	}
	for len(body) > 0 {
		if _, err := w.Write(body[:piece]); err != nil {
			return false
		}
		if body = body[piece:]; a.drip > 0 {
			time.Sleep(time.Second / time.Duration(a.drip))
		}
	}
	if a.endless == "" {
		return true
	}
	chunk := []byte(a.endless)
	if a.drip == 0 {
		chunk = bytes.Repeat(chunk, 1+(64<<10)/len(chunk))
	}
	for {
		if _, err := w.Write(chunk); err != nil {
			return false
		}
		if a.drip > 0 {
			time.Sleep(time.Second / time.Duration(a.drip))
		}
	}
}

// wide is UTF-16, little-endian, with its mark.
func wide(text []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(string(text))) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return out
}

// hostileCerts are an authority and the certificates of all kinds.
type hostileCerts struct {
	file  string // the authority, for SSL_CERT_FILE
	kinds map[string]tls.Certificate
}

var hostileHosts = []string{"example.org", "*.example.org", "example.com", "*.example.com", "evil.test", "*.evil.test"}

func newHostileCerts(t *testing.T) *hostileCerts {
	t.Helper()
	c := &hostileCerts{file: t.TempDir() + "/ca.pem", kinds: map[string]tls.Certificate{}}
	now := time.Now()
	hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	issue := func(name string, hosts []string, begin, end time.Time, by *tls.Certificate) tls.Certificate {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), DNSNames: hosts, NotBefore: begin, NotAfter: end,
			IsCA: by == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
		template.Subject.CommonName = name
		parent, signer := template, any(key)
		if by != nil {
			parent, signer = by.Leaf, by.PrivateKey
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	}
	ca, other := issue("test CA", nil, hour(-1), hour(24), nil), issue("other CA", nil, hour(-1), hour(24), nil)
	for kind, cert := range map[string]tls.Certificate{
		"good":        issue("good", hostileHosts, hour(-1), hour(24), &ca),
		"expired":     issue("old", hostileHosts, hour(-48), hour(-24), &ca),
		"early":       issue("early", hostileHosts, hour(24), hour(48), &ca),
		"wrong-name":  issue("wrong", []string{"elsewhere.test"}, hour(-1), hour(24), &ca),
		"unknown-ca":  issue("unknown", hostileHosts, hour(-1), hour(24), &other),
		"self-signed": issue("self", hostileHosts, hour(-1), hour(24), nil),
	} {
		c.kinds[kind] = cert
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Leaf.Raw})
	if err := os.WriteFile(c.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// config is the TLS of one kind. HTTP/2 is not offered.
func (c *hostileCerts) config(kind string) *tls.Config {
	o := &tls.Config{Certificates: []tls.Certificate{c.kinds["good"]}, MinVersion: tls.VersionTLS12}
	if kind == "tls1.1" {
		o.MinVersion, o.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	} else if cert, ok := c.kinds[kind]; ok {
		o.Certificates[0] = cert
	}
	return o
}
