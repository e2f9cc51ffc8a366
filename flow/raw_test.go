package flow

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A rawServer answers each connection with the next of its answers, byte by
// byte as a test wants it; the last one is repeated. It lives in a pipe, so its
// hours pass at once in a bubble of testing/synctest.
type rawServer struct {
	answers []func(io.Writer)
	conns   int
	sent    atomic.Int64 // bytes that the client took
	serving sync.WaitGroup
}

// agent returns an Agent whose connections all end at the server. TLS is left
// out of it, and the transport is otherwise the real one.
func (s *rawServer) agent(t *testing.T) *Agent {
	tr := NewHTTPClient().Transport.(*http.Transport)
	tr.Proxy, tr.DisableKeepAlives = nil, true
	tr.DialTLSContext = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		answer := s.answers[min(s.conns, len(s.answers)-1)]
		s.conns++
		s.serving.Go(func() {
			defer func() { _ = server.Close() }()
			if _, err := http.ReadRequest(bufio.NewReader(server)); err != nil {
				t.Errorf("the request: %v", err)
			}
			answer(counted{server, &s.sent})
		})
		return client, nil
	}
	t.Cleanup(s.serving.Wait)
	return &Agent{HTTP: &http.Client{Transport: tr}}
}

type counted struct {
	io.Writer
	n *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// says answers with these bytes and closes.
func says(raw string) func(io.Writer) {
	return func(w io.Writer) { _, _ = io.WriteString(w, raw) } // the client may have gone, as it should
}

func saysJSON(status int, body string) func(io.Writer) {
	return says(fmt.Sprintf("HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body))
}

// endless answers with a head and then with the same piece until nobody reads
// any more, pausing before each.
func endless(head, piece string, pause time.Duration) func(io.Writer) {
	return func(w io.Writer) {
		_, err := io.WriteString(w, head)
		for err == nil {
			time.Sleep(pause)
			_, err = io.WriteString(w, piece)
		}
	}
}

func bomb() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.CopyN(z, zeros{}, 16<<20) // into memory: cannot fail
	_ = z.Close()
	return "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: application/json\r\n\r\n" + b.String()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// hostile are answers that are none, by the rows of the catalogue of faults.
// What is invalid is so at discovery; on a refresh all of it is temporary.
func hostile() []struct {
	name    string
	answer  func(io.Writer)
	invalid bool
	within  time.Duration
} {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	kilo := strings.Repeat("x", 1<<10)
	return []struct {
		name    string
		answer  func(io.Writer)
		invalid bool
		within  time.Duration
	}{
		{"S4 endless body", endless(head+"\r\n", kilo, 0), true, 0},
		{"S4 10 GiB body", endless(head+"Content-Length: 10737418240\r\n\r\n", kilo, 0), true, 0},
		{"S4 endless chunks", endless(head+"Transfer-Encoding: chunked\r\n\r\n", "400\r\n"+kilo+"\r\n", 0), true, 0},
		{"S4 gzip bomb", says(bomb()), true, 0},
		{"S5 body by drops", endless(head+"\r\n", "x", time.Second), false, requestTimeout},
		{"S5 headers by drops", endless(head+"X: ", "x", time.Second), false, requestTimeout},
		{"S5 headers without end", endless(head, "X: y\r\n", 0), false, 0},
		{"S5 silence", func(io.Writer) { time.Sleep(time.Hour) }, false, requestTimeout},
		{"S40 cut body", says(head + "Content-Length: 500\r\n\r\n{"), false, 0},
		{"S40 cut head", says(head), false, 0},
		{"S40 nothing", says(""), false, 0},
		{"S40 bad chunk", says(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"), false, 0},
		{"S40 bad gzip", says(head + "Content-Encoding: gzip\r\n\r\n{}"), false, 0},
		{"S40 flood of 1xx", endless("", "HTTP/1.1 103 Early Hints\r\nX: "+kilo+"\r\n\r\n", 0), false, 0},
		{"S40 header of 1 MiB", says(head + "X: " + strings.Repeat(kilo, 1<<10) + "\r\n\r\n{}"), false, 0},
		{"S40 two lengths", says(head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"), false, 0},
		{"S40 not HTTP", says("SSH-2.0-\x1b[31mOpenSSH\r\n"), false, 0},
	}
}

func TestHostileAnswers(t *testing.T) {
	for _, tt := range hostile() {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &rawServer{answers: []func(io.Writer){tt.answer}}
				begin := time.Now()
				_, err := s.agent(t).Discover(t.Context(), "example.org")
				want := KindTemporary
				if tt.invalid {
					want = KindInvalid
				}
				wantKind(t, "discovery", err, want)
				if took := time.Since(begin); took != tt.within {
					t.Errorf("discovery took %v, want %v", took, tt.within)
				}
				if s.sent.Load() > 2<<20 {
					t.Errorf("%d bytes were taken", s.sent.Load())
				}
			})
			synctest.Test(t, func(t *testing.T) {
				s := &rawServer{answers: []func(io.Writer){tt.answer}}
				begin := time.Now()
				session, err := s.agent(t).Refresh(t.Context(), testSession())
				wantKind(t, "refresh", err, KindTemporary)
				if took := time.Since(begin); took > refreshBudget || s.conns < 2 {
					t.Errorf("%d refreshes in %v", s.conns, took)
				}
				if session.RefreshToken.Reveal() != "mar_old" {
					t.Error("the session was changed")
				}
			})
		})
	}
}

// S31, S40: one hostile answer neither ends a login nor a refresh.
func TestHostileAnswerInPassing(t *testing.T) {
	for _, tt := range hostile() {
		synctest.Test(t, func(t *testing.T) {
			s := &rawServer{answers: []func(io.Writer){tt.answer, saysJSON(403, pendBody), saysJSON(200, tokenBody)}}
			code := Code{Expiry: time.Now().Add(time.Minute), Interval: intervalDefault, Scope: ScopeAPI, deviceCode: NewSecret("dc")}
			session, err := s.agent(t).Wait(t.Context(), testServer(), Client{ID: "cid"}, code, nil)
			if err != nil || session.AccessToken.Reveal() != "mat_new" || s.conns != 3 {
				t.Errorf("%s: login: %v after %d polls", tt.name, err, s.conns)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			s := &rawServer{answers: []func(io.Writer){tt.answer, saysJSON(200, tokenBody)}}
			session, err := s.agent(t).Refresh(t.Context(), testSession())
			if err != nil || session.AccessToken.Reveal() != "mat_new" || s.conns != 2 {
				t.Errorf("%s: refresh: %v after %d tries", tt.name, err, s.conns)
			}
		})
	}
}
