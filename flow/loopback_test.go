package flow

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// A landingPlace is a Listener that waits for the answer to auth.
type landingPlace struct {
	t         *testing.T
	auth      Authorization
	host      string
	addresses chan string
	stop      func() // ends it, and waits for that
}

func serveLoopback(t *testing.T) landingPlace {
	t.Helper()
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	return serveAt(t, l)
}

func serveAt(t *testing.T, l *Listener) landingPlace {
	t.Helper()
	s := testServer()
	s.Authorization, s.PKCE = asURL+"authorize", true
	auth, err := new(Agent).Authorize(s, Client{ID: "cid"}, Request{Scope: ScopeAPI}, l.RedirectURI())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := landingPlace{t: t, auth: auth, host: l.host, addresses: make(chan string, 10)}
	var serving sync.WaitGroup
	serving.Go(func() { l.Serve(ctx, auth, p.addresses) })
	p.stop = func() { cancel(); serving.Wait() }
	t.Cleanup(p.stop)
	return p
}

// query is one that answers the request.
func (p landingPlace) query() string {
	return url.Values{"code": {"secret-code"}, "state": {p.auth.state.Reveal()}}.Encode()
}

// raw sends bytes and returns the answer as it came, empty if there was none.
func (p landingPlace) raw(request string) string {
	p.t.Helper()
	c, err := net.Dial("tcp", p.host)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	_, _ = io.WriteString(c, request) // it may be cut off before its end
	answer, _ := io.ReadAll(c)        // until then
	return string(answer)
}

func (p landingPlace) ask(method, target, host string, headers ...string) string {
	return p.raw(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n")
}

// taken reports how many addresses came through.
func (p landingPlace) taken() int { return len(p.addresses) }

// Strangers learn nothing and change nothing: other names for this machine, other
// methods and paths, and everybody without the state.
func TestLoopbackTellsStrangersNothing(t *testing.T) {
	p := serveLoopback(t)
	q, state := p.query(), p.auth.state.Reveal()
	_, port, err := net.SplitHostPort(p.host)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 64<<10)
	for name, tt := range map[string]struct {
		answer string
		status string
	}{
		"another name (rebinding)":  {p.ask("GET", "/callback?"+q, "evil.test:"+port), "403"},
		"localhost":                 {p.ask("GET", "/callback?"+q, "localhost:"+port), "403"},
		"no port":                   {p.ask("GET", "/callback?"+q, "127.0.0.1"), "403"},
		"another in the target":     {p.ask("GET", "http://evil.test/callback?"+q, p.host), "403"},
		"no Host":                   {p.raw("GET /callback?" + q + " HTTP/1.0\r\n\r\n"), "403"},
		"POST":                      {p.ask("POST", "/callback?"+q, p.host, "Content-Length: 0"), "405"},
		"HEAD":                      {p.ask("HEAD", "/callback?"+q, p.host), "405"},
		"OPTIONS":                   {p.ask("OPTIONS", "/callback?"+q, p.host, "Origin: https://evil.test", "Access-Control-Request-Method: GET"), "405"},
		"OPTIONS of all":            {p.ask("OPTIONS", "*", p.host), "405"},
		"CONNECT":                   {p.ask("CONNECT", p.host, p.host), "405"},
		"a port scan":               {p.ask("GET", "/", p.host, "Origin: https://evil.test"), "404"},
		"an icon":                   {p.ask("GET", "/favicon.ico", p.host), "404"},
		"the page before its time":  {p.ask("GET", "/done", p.host), "404"},
		"no query":                  {p.ask("GET", "/callback", p.host), "404"},
		"no state":                  {p.ask("GET", "/callback?code=x", p.host), "404"},
		"wrong state":               {p.ask("GET", "/callback?code=x&state=x", p.host), "404"},
		"an error without state":    {p.ask("GET", "/callback?error=access_denied", p.host), "404"},
		"two states":                {p.ask("GET", "/callback?"+q+"&state=x", p.host), "404"},
		"malformed":                 {p.ask("GET", "/callback?"+q+"&x=%zz", p.host), "404"},
		"another path":              {p.ask("GET", "/callback/?"+q, p.host), "404"},
		"a path above":              {p.ask("GET", "/x/../callback?"+q, p.host), "404"},
		"two slashes":               {p.ask("GET", "//callback?"+q, p.host), "404"},
		"a huge query":              {p.ask("GET", "/callback?"+q+"&x="+long, p.host), "431"},
		"a huge header":             {p.ask("GET", "/callback?"+q, p.host, "X: "+long), "431"},
		"no HTTP":                   {p.raw("\x16\x03\x01\x02\x00\r\n\r\n"), "400"},
		"a wish to be led (return)": {p.ask("GET", "/done?return=https://evil.test/", p.host), "404"},
	} {
		head, body, _ := strings.Cut(tt.answer, "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.") || !strings.Contains(strings.SplitN(head, "\r\n", 2)[0], " "+tt.status+" ") {
			t.Errorf("%s: %q, want %s", name, head, tt.status)
		}
		for _, leak := range []string{state, "mxauth", "callback", asURL, "Location", "Access-Control"} {
			if strings.Contains(tt.answer, leak) {
				t.Errorf("%s: the answer holds %s:\n%s", name, leak, tt.answer)
			}
		}
		if ours := tt.status == "403" || tt.status == "404" || tt.status == "405"; ours && body != "" {
			t.Errorf("%s: the answer has a body: %q", name, body)
		}
	}
	if n := p.taken(); n != 0 {
		t.Errorf("%d addresses came through", n)
	}
	if got := p.ask("GET", "/callback?"+q, p.host); !strings.Contains(got, " 303 ") {
		t.Errorf("the browser hears %q", got)
	}
	if got := <-p.addresses; got != p.auth.RedirectURI+"?"+q {
		t.Errorf("%s came through", got)
	}
	if got := p.ask("GET", "/done", p.host); !strings.Contains(got, " 200 ") {
		t.Errorf("the browser hears %q", got)
	}
}

// A browser with the answer is led on to a page that holds neither the answer nor
// a way out, as often as it comes, and the answer is passed on once.
func TestLoopbackPage(t *testing.T) {
	p := serveLoopback(t)
	jarless := &http.Client{Transport: NewHTTPClient().Transport}
	for range 3 {
		resp, err := jarless.Get(p.auth.RedirectURI + "?" + p.query() + "&return=https://evil.test/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if at := resp.Request.URL.String(); at != "http://"+p.host+"/done" {
			t.Errorf("the browser ends on %s", at)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"} {
			if resp.Header.Get(name) != want {
				t.Errorf("%s: %q", name, resp.Header.Get(name))
			}
		}
		if policy := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none';") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("Content-Security-Policy: %q", policy)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%v", resp.Header)
		}
		for _, leak := range []string{"secret-code", p.auth.state.Reveal(), "<script", "href", "src=", "evil", "http"} {
			if strings.Contains(strings.ReplaceAll(string(body), "http-equiv", ""), leak) {
				t.Errorf("the page holds %s:\n%s", leak, body)
			}
		}
	}
	answer := p.ask("GET", "/callback?"+p.query(), p.host)
	if !strings.Contains(answer, "\r\nLocation: /done\r\n") || !strings.Contains(answer, "Referrer-Policy: no-referrer") || strings.Contains(answer, "secret-code") {
		t.Errorf("the redirect is %q", answer)
	}
	<-p.addresses
	if n := p.taken(); n != 0 {
		t.Errorf("the answer came through %d times more", n)
	}
	p.stop()
	if c, err := net.Dial("tcp", p.host); err == nil {
		_ = c.Close()
		t.Error("the port is still open")
	}
}

// The page has left when it counts as shown.
func TestLoopbackPageIsFlushed(t *testing.T) {
	h, w := &landing{shown: make(chan struct{})}, httptest.NewRecorder()
	h.page(w)
	if <-h.shown; !w.Flushed {
		t.Error("the page may still be here when the server closes")
	}
}

// Whoever connects and says nothing keeps nobody waiting, neither the browser nor
// the end.
func TestLoopbackSlowClients(t *testing.T) {
	p := serveLoopback(t)
	for i := range 20 {
		c, err := net.Dial("tcp", p.host)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if i%2 == 0 {
			if _, err := io.WriteString(c, "GET /callback?"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := p.ask("GET", "/callback?"+p.query(), p.host); !strings.Contains(got, " 303 ") {
		t.Errorf("the browser hears %q", got)
	}
	c, err := net.Dial("tcp", p.host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "GET /done HTTP/1.1\r\nHost: "+p.host+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	p.stop() // while the page is on its way, and half of a request too
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != donePage {
		t.Errorf("the page came as %q, %v", body, err)
	}
}

// A connection that never becomes a request is cut off.
func TestLoopbackCutsOffWhoSaysNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes the five seconds that a client has")
	}
	t.Parallel()
	p := serveLoopback(t)
	c, err := net.Dial("tcp", p.host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /callback?"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("half of a request is waited for: %v", err)
	}
}

// The port is the system's choice, on loopback and by its number, and is free
// again afterwards; two logins do not meet.
func TestListen(t *testing.T) {
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	other, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*Listener{l, other} {
		u, err := url.Parse(l.RedirectURI())
		if err != nil || u.Scheme != "http" || net.ParseIP(u.Hostname()) == nil || !Loopback(u.Hostname()) || u.Path != "/callback" || u.Port() == "" {
			t.Errorf("%s, %v", l.RedirectURI(), err)
		}
	}
	if l.RedirectURI() == other.RedirectURI() {
		t.Error("two listeners have one port")
	}
	for _, l := range []*Listener{l, other} {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// On IPv6 alone the address is in brackets, in the link and in the Host.
func TestLoopbackIPv6(t *testing.T) {
	socket, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6 loopback address")
	}
	l := listenerAt(socket)
	if !strings.HasPrefix(l.RedirectURI(), "http://[::1]:") {
		t.Fatal(l.RedirectURI())
	}
	p := serveAt(t, l)
	resp, err := http.Get(p.auth.RedirectURI + "?code=x&state=" + p.auth.state.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if code, err := p.auth.Redirected(<-p.addresses); err != nil || code.Reveal() != "x" {
		t.Errorf("%v", err)
	}
}
