package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mxauth/mxauth/flow"
)

// A wire lies between the binary and a server. To the binary it is the server:
// the addresses in every answer are its own. It counts requests, loses answers to
// refreshes, and sends a refresh again. People do not go through it: their pages
// are the server's.
type wire struct {
	t     *testing.T
	quick bool              // the server takes polls at any pace: one a second
	near  *strings.Replacer // puts the wire's addresses in the place of the server's
	far   *strings.Replacer // the other way round

	mu        sync.Mutex
	requests  int
	lose      int // answers to refreshes that are still to be lost
	refreshes []refreshRequest
	newest    string // refresh token that the binary was given
}

// A refreshRequest is one that went over the wire, whole.
type refreshRequest struct {
	address string
	header  http.Header
	body    string
}

// stretch lays a wire to a server with these endpoints.
func stretch(t *testing.T, quick bool, addresses ...string) *wire {
	t.Helper()
	w := &wire{t: t, quick: quick}
	var origins []*url.URL
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if address != "" {
			origins = append(origins, &url.URL{Scheme: u.Scheme, Host: u.Host})
		}
	}
	// The last first, so that a host with its port is found before the host alone.
	slices.SortFunc(origins, func(a, b *url.URL) int { return strings.Compare(b.String(), a.String()) })
	origins = slices.CompactFunc(origins, func(a, b *url.URL) bool { return *a == *b })
	var near, far []string
	for _, origin := range origins {
		end := httptest.NewServer(w.proxy(origin))
		t.Cleanup(end.Close)
		near, far = append(near, origin.String(), end.URL), append(far, end.URL, origin.String())
	}
	w.near, w.far = strings.NewReplacer(near...), strings.NewReplacer(far...)
	return w
}

// stretchTo lays a wire to wherever discovery leads.
func stretchTo(t *testing.T, to target) *wire {
	t.Helper()
	var a flow.Agent
	var s flow.Server
	var err error
	if to.issuer != "" {
		s, err = a.DiscoverIssuer(t.Context(), to.issuer)
	} else {
		s, err = a.Discover(t.Context(), to.homeserver)
	}
	var legacy *flow.LegacyError
	if errors.As(err, &legacy) {
		return stretch(t, false, to.homeserver)
	}
	if err != nil {
		t.Fatal(err)
	}
	return stretch(t, to.quick, s.Homeserver, s.Issuer, s.Token, s.Device, s.Registration, s.Revocation, s.Userinfo)
}

var errLost = errors.New("the answer is lost")

// lostKey marks the context of a request whose answer shall be lost.
type lostKey struct{}

func (w *wire) proxy(server *url.URL) http.Handler {
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = server.Scheme, server.Host, server.Host
			r.Out.Header.Del("Accept-Encoding") // answers are read here
		},
		ModifyResponse: w.answer,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // drops the connection
		},
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), lostKey{}, w.note(server, r, body))))
	})
}

// note counts a request, and reports whether its answer shall be lost.
func (w *wire) note(server *url.URL, r *http.Request, body []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests++
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("grant_type") != "refresh_token" {
		return false
	}
	address := url.URL{Scheme: server.Scheme, Host: server.Host, Path: r.URL.Path}
	w.refreshes = append(w.refreshes, refreshRequest{address.String(), r.Header.Clone(), string(body)})
	if w.lose > 0 {
		w.lose--
		return true
	}
	return false
}

// answer changes an answer on its way to the binary.
func (w *wire) answer(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if lost, _ := resp.Request.Context().Value(lostKey{}).(bool); lost {
		return errLost
	}
	w.remember(body)
	body = []byte(w.near.Replace(string(body)))
	if w.quick {
		body = hurried(body)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	resp.Header.Del("Content-Length")
	return nil
}

// remember keeps the refresh token of an answer that has one. All secrets are
// searched for in what the binary leaves behind.
func (w *wire) remember(body []byte) {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return
	}
	for name, v := range members {
		value, _ := v.(string)
		if strings.HasSuffix(name, "_token") || strings.HasSuffix(name, "_code") || strings.HasSuffix(name, "_secret") {
			canaries.add(name, value)
		}
		if name == "refresh_token" && value != "" {
			w.mu.Lock()
			w.newest = value
			w.mu.Unlock()
		}
	}
}

// hurried sets the interval of a device authorization response to a second.
func hurried(body []byte) []byte {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil || members["device_code"] == nil {
		return body
	}
	members["interval"] = 1
	b, err := json.Marshal(members)
	if err != nil {
		return body
	}
	return b
}

// count is how many requests there were.
func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

// refreshed returns the refresh requests so far.
func (w *wire) refreshed() []refreshRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]refreshRequest(nil), w.refreshes...)
}

// next is the refresh request that the binary would make now.
func (w *wire) next() refreshRequest {
	w.t.Helper()
	refreshes := w.refreshed()
	r := refreshes[len(refreshes)-1]
	form, err := url.ParseQuery(r.body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	form.Set("refresh_token", w.newest)
	r.body = form.Encode()
	return r
}

// loseNext loses the answer to the next refresh.
func (w *wire) loseNext() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose++
}

// again sends a refresh once more, straight to the server, as somebody would who
// has an old refresh token. It reports whether tokens came, and the error code.
func (w *wire) again(r refreshRequest) (answered bool, code string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, r.address, strings.NewReader(r.body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{"Accept", "Authorization", "Content-Type"} {
		req.Header[name] = r.header[name]
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var doc struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		w.t.Fatalf("the answer to an old refresh token: %d, %v", resp.StatusCode, err)
	}
	return doc.AccessToken != "", doc.Error
}
