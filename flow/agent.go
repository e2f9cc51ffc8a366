package flow

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"
)

// How the program introduces itself at registration (RFC 7591 section 2).
// Matrix servers require an https client_uri without a query or an escape.
const (
	clientName = "mxauth"
	clientURI  = "https://github.com/mxauth/mxauth"
)

// requestTimeout bounds one request, from looking up the host to the last byte.
const requestTimeout = 10 * time.Second

// An Agent makes the requests. The zero Agent works; it is safe for concurrent
// use as long as its fields are not changed.
type Agent struct {
	HTTP    *http.Client // its Transport is used, and nothing else of it; nil: one that NewHTTPClient made
	Version string       // of the program, for the User-Agent; empty: "dev"
	Log     *slog.Logger // told of every request at level Debug, without secrets; nil: silent
}

// NewHTTPClient returns a client as an Agent wants it: proxies from the
// environment, Go's TLS defaults, small headers. It speaks HTTP/1.1 only,
// because GODEBUG=http2debug would print the Authorization header.
func NewHTTPClient() *http.Client {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return &http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		Protocols:              p,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        90 * time.Second,
	}}
}

// sharedClient is for Agents without a client of their own: one for all, so
// that connections are used again.
var sharedClient = sync.OnceValue(NewHTTPClient)

// transport returns what makes one request and follows no redirect. The Client
// around it is left out on purpose: it chokes on a Location that it cannot read,
// where a redirect is to be refused.
func (a *Agent) transport() http.RoundTripper {
	if a.HTTP != nil && a.HTTP.Transport != nil {
		return a.HTTP.Transport
	}
	return sharedClient().Transport
}

// userAgent is what Matrix servers show to people: with a device name it
// becomes the line on the consent page and the name of the session (MAS reads
// "NAME/VERSION (MODEL; OS)"). Only device and token requests carry it.
func (a *Agent) userAgent(device string) string {
	v := a.Version
	if v == "" {
		v = "dev"
	}
	ua := clientName + "/" + v
	if device = CleanDeviceName(device); device != "" {
		ua += " (" + device + "; " + osName() + ")"
	}
	return ua
}

// CleanDeviceName drops what would break a User-Agent apart and cuts the name
// to 64 characters.
func CleanDeviceName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == ';' || r == '(' || r == ')':
			return -1
		case r < ' ' || r > '~':
			return '-'
		}
		return r
	}, name)
	if len(name) > 64 {
		name = name[:64]
	}
	return strings.TrimSpace(name)
}

func osName() string {
	switch runtime.GOOS {
	case "linux":
		return "Linux"
	case "darwin":
		return "macOS"
	case "windows":
		return "Windows"
	case "freebsd":
		return "FreeBSD"
	}
	return runtime.GOOS
}

func (a *Agent) debug(ctx context.Context, msg string, args ...any) {
	if a.Log != nil {
		a.Log.DebugContext(ctx, msg, args...)
	}
}
