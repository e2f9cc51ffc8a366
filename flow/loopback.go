package flow

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	redirectPath = "/callback"
	donePath     = "/done"

	// Bounds for whoever connects: what a browser sends is one small header.
	loopbackTimeout = 5 * time.Second

	// doneGrace is how long a browser that brought the answer has to fetch the
	// page that says so.
	doneGrace = 3 * time.Second
)

// A Listener is where the browser ends: a port of this machine's loopback
// interface, one that the system chose (RFC 8252 section 7.3), by IP address and
// not by a name (section 8.3).
type Listener struct {
	listener net.Listener
	host     string // the only Host that is served: a name that leads here is another's (DNS rebinding)
}

// Listen opens one, on IPv4 where there is that, else on IPv6.
func Listen() (*Listener, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		var err6 error
		if listener, err6 = net.Listen("tcp6", "[::1]:0"); err6 != nil {
			return nil, &Error{Op: opRedirect.String(), Problem: "this machine has no loopback address for the browser to come back to", Err: errors.Join(err, err6)}
		}
	}
	return listenerAt(listener), nil
}

func listenerAt(l net.Listener) *Listener { return &Listener{listener: l, host: l.Addr().String()} }

// RedirectURI is the address that the browser is to end on.
func (l *Listener) RedirectURI() string { return "http://" + l.host + redirectPath }

// Close frees the port of a Listener that is not served.
func (l *Listener) Close() error { return l.listener.Close() }

// Serve waits for the browser until ctx ends, and closes the Listener then. The
// address that holds the answer to z is sent to addresses, once. Everybody else,
// a page that tries the ports of this machine for one, is told nothing.
//
// The browser is led on to a fixed page, so that the code does not stay in its
// address bar, and that page says nothing of what came of the login.
func (l *Listener) Serve(ctx context.Context, z Authorization, addresses chan<- string) {
	h := &landing{ctx: ctx, auth: z, host: l.host, addresses: addresses, shown: make(chan struct{})}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: loopbackTimeout, ReadTimeout: loopbackTimeout, WriteTimeout: loopbackTimeout,
		MaxHeaderBytes:               2 * redirectMax,
		DisableGeneralOptionsHandler: true,
		Protocols:                    protocols,
		ErrorLog:                     log.New(io.Discard, "", 0), // a stranger's malformed request is no news
	}
	server.SetKeepAlivesEnabled(false)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l.listener) }) // ends with Close
	<-ctx.Done()
	h.linger()
	_ = server.Close() // whoever is still connected has nothing to hear
	serving.Wait()
}

// A landing answers the requests of one login.
type landing struct {
	ctx       context.Context
	auth      Authorization
	host      string
	addresses chan<- string

	first sync.Once
	mu    sync.Mutex
	taken time.Time // when the answer came

	done  sync.Once
	shown chan struct{} // closed when the page was fetched
}

// linger gives a browser that brought the answer the time to fetch its page.
func (h *landing) linger() {
	taken := h.answered()
	if taken.IsZero() {
		return
	}
	t := time.NewTimer(time.Until(taken.Add(doneGrace)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-h.shown:
	}
}

func (h *landing) answered() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken
}

// ServeHTTP implements http.Handler.
func (h *landing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guarded(w.Header())
	switch {
	case r.Host != h.host:
		w.WriteHeader(http.StatusForbidden)
	case r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case r.URL.Path == donePath && !h.answered().IsZero():
		h.page(w)
	case r.URL.Path == redirectPath && h.take(h.auth.RedirectURI+"?"+r.URL.RawQuery):
		w.Header().Set("Location", donePath)
		w.WriteHeader(http.StatusSeeOther)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// take passes the answer on, if this is the address that holds it. Whoever has
// that may come again, as a browser does that is sent back.
func (h *landing) take(address string) bool {
	if q, ok := h.auth.query(address); !ok || !h.auth.ours(q) {
		return false
	}
	h.first.Do(func() {
		h.mu.Lock()
		h.taken = time.Now()
		h.mu.Unlock()
		go func() {
			select {
			case h.addresses <- address:
			case <-h.ctx.Done():
			}
		}()
	})
	return true
}

// page shows where to go on. It has left when it counts as shown: the server is
// closed then.
func (h *landing) page(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(donePage)))
	_, _ = io.WriteString(w, donePage) // a browser that is gone misses nothing
	_ = http.NewResponseController(w).Flush()
	h.done.Do(func() { close(h.shown) })
}

// guarded sets what keeps an answer out of caches, frames, referrers and the
// hands of scripts.
func guarded(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// donePage is the same for every login and every outcome.
const donePage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>` + clientName + `</title>
</head>
<body>
<h1>Back to the terminal</h1>
<p>` + clientName + ` has the answer of your server. The terminal says what came of it.</p>
<p>You can close this page.</p>
</body>
</html>
`
