package flowtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

var (
	errDropped = errors.New("the connection is dropped")
	errRefused = errors.New("the connection is refused")
)

// maxBody is more than any honest request here has.
const maxBody = 1 << 20

// A call is a request with its body read.
type call struct {
	*http.Request
	body  []byte
	form  url.Values // of a form body only
	bad   error      // why a form body is none
	param string     // what stands for the {} of the route
}

// An answer is what a handler decides. Nothing is written while the server's
// mutex is held.
type answer struct {
	status int
	header http.Header
	body   []byte
	cut    int // bytes that still arrive before the connection breaks
}

func (a answer) truncated() bool { return a.cut > 0 }

// exchange handles one request: log, faults, handler.
func (s *Server) exchange(sd side, r *http.Request) (answer, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return answer{}, errDropped
	}
	c := newCall(r, body)
	rt, f, entry, err := s.receive(sd, c)
	if err != nil {
		return answer{}, err
	}
	f.delay = max(f.delay, s.conf.latency)
	a, err := f.around(s, r.Context(), func() answer {
		s.mu.Lock()
		defer s.mu.Unlock()
		a := rt.handle(c)
		s.state.log[entry].Status = a.status
		return a
	})
	if err == nil {
		s.noteSecrets(a)
	}
	return a, err
}

func newCall(r *http.Request, body []byte) *call {
	c := &call{Request: r, body: body}
	if mediaType(r) == "application/x-www-form-urlencoded" {
		c.form, c.bad = url.ParseQuery(string(body))
	}
	return c
}

// receive notes the request and finds who handles it, and what goes wrong.
func (s *Server) receive(sd side, c *call) (route, Fault, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.authDown && (sd == authServer || s.traits.oneOrigin) {
		return route{}, Fault{}, 0, errRefused
	}
	rt := s.route(sd, c)
	f := s.nextFault(rt.endpoint)
	s.state.log = append(s.state.log, logged(c, rt.endpoint, f, s.now()))
	return rt, f, len(s.state.log) - 1, nil
}

// A Request is one line of the server's log. It holds no secrets: of form
// fields the names, of an Authorization header the scheme.
type Request struct {
	Time      time.Time
	Endpoint  Endpoint
	Method    string
	Host      string
	Path      string
	Query     string   // as it came, unlike the form
	FormKeys  []string // sorted
	Scope     string   // the form field of that name
	ClientID  string   // the form field of that name
	UserAgent string
	Header    http.Header // without cookies
	Fault     string      // what went wrong on purpose, if something did
	Status    int         // what was decided; 0 if the request was never handled
}

func logged(c *call, e Endpoint, f Fault, now time.Time) Request {
	h := c.Header.Clone()
	h.Del("Cookie")
	if scheme, _, ok := strings.Cut(h.Get("Authorization"), " "); ok {
		h.Set("Authorization", scheme)
	}
	return Request{
		Time: now, Endpoint: e, Method: c.Method, Host: c.Host, Path: c.URL.Path, Query: c.URL.RawQuery,
		FormKeys: slices.Sorted(maps.Keys(c.form)), Scope: c.form.Get("scope"), ClientID: c.form.Get("client_id"),
		UserAgent: c.UserAgent(), Header: h, Fault: f.name,
	}
}

// Requests returns the log of all requests that arrived, oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state.log)
}

// Count returns how many requests came in at an endpoint.
func (s *Server) Count(e Endpoint) int {
	return s.count(func(r Request) bool { return e.covers(r.Endpoint) })
}

// Succeeded returns how many requests at an endpoint were carried out, be it
// that the answer was lost on its way.
func (s *Server) Succeeded(e Endpoint) int {
	return s.count(func(r Request) bool { return e.covers(r.Endpoint) && r.Status/100 == 2 })
}

func (s *Server) count(is func(Request) bool) int {
	n := 0
	for _, r := range s.Requests() {
		if is(r) {
			n++
		}
	}
	return n
}

// ForgetRequests empties the log.
func (s *Server) ForgetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.log = nil
}

// mediaType is the content type without its parameters.
func mediaType(r *http.Request) string {
	t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// text is an answer with headers given as name, value, name, value.
func text(status int, body string, headers ...string) answer {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return answer{status: status, header: h, body: []byte(body)}
}

func jsonAnswer(status int, v any, headers ...string) answer {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // only maps, slices and strings are given
	}
	a := text(status, strings.TrimSuffix(b.String(), "\n"), headers...)
	a.header.Set("Content-Type", "application/json")
	return a
}
