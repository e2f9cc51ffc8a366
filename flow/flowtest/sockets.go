package flowtest

import (
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// sockets is the network of a server that listens.
type sockets struct {
	done    chan struct{}
	servers []*http.Server
	serving sync.WaitGroup
	once    sync.Once

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	gone  *sync.Cond // a connection has ended, and its request with it
}

func newSockets() *sockets {
	n := &sockets{done: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	n.gone = sync.NewCond(&n.mu)
	return n
}

func baseURL(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err != nil || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// serve answers on a listener. Every answer closes its connection: on a kept
// one, Go's transport repeats a GET by itself when the connection breaks, and
// would swallow a fault that was meant for its caller.
func (n *sockets) serve(s *Server, sd side, l net.Listener) {
	srv := &http.Server{
		Handler:   handler(s, sd),
		ErrorLog:  log.New(io.Discard, "", 0),
		ConnState: n.track,
	}
	srv.SetKeepAlivesEnabled(false)
	n.servers = append(n.servers, srv)
	n.serving.Go(func() { _ = srv.Serve(l) }) // always http.ErrServerClosed, or closed by us
}

func (n *sockets) track(c net.Conn, st http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch st {
	case http.StateNew:
		n.conns[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(n.conns, c)
		n.gone.Broadcast()
	}
}

func (n *sockets) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		_ = c.Close() // its reader and writer learn of it, that is the point
	}
}

func (n *sockets) close() {
	n.once.Do(func() {
		close(n.done)
		for _, srv := range n.servers {
			_ = srv.Close()
		}
		n.serving.Wait() // nothing is accepted any more
		n.cut()
		n.mu.Lock()
		defer n.mu.Unlock()
		for len(n.conns) > 0 {
			n.gone.Wait()
		}
	})
}

func (n *sockets) closed() <-chan struct{} { return n.done }

// transport never uses a proxy: the server is on this machine.
func (n *sockets) transport() http.RoundTripper {
	return &http.Transport{DisableKeepAlives: true}
}

// handler writes what exchange decided.
func handler(s *Server, sd side) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := s.exchange(sd, r)
		if err != nil {
			panic(http.ErrAbortHandler) // drops the connection
		}
		for k, v := range a.header {
			w.Header()[k] = v
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		if a.truncated() {
			_, _ = w.Write(a.body[:a.cut])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		if r.Method != http.MethodHead {
			_, _ = w.Write(a.body) // a client that has gone is its own business
		}
	}
}
