package flow

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// bodyMax is how much of an answer is read, in bytes.
const bodyMax = 1 << 20

// An answer is an HTTP response, read to its end.
type answer struct {
	op     operation
	host   string
	status int
	header http.Header
	media  string // media type of the body, as the server labels it
	body   []byte
	secret []Secret // what the request carried, to be masked in the server's words
	whole  bool     // false: longer than bodyMax
	object bool     // the body is a JSON object

	code    string // OAuth error code, if the body holds one that looks like a code
	errcode string // Matrix errcode; where there is one, "error" is prose
	said    string // the server's own words, cleaned
}

// post sends a form to an endpoint of the authorization server. Redirects are
// not followed: the form holds secrets (RFC 9700 section 4.12).
func (a *Agent) post(ctx context.Context, op operation, endpoint, device string, c Client, form url.Values) (answer, error) {
	secrets := []Secret{c.Secret}
	for _, name := range []string{"refresh_token", "device_code", "token"} {
		secrets = append(secrets, NewSecret(form.Get(name)))
	}
	form.Set("client_id", c.ID)
	if !c.Secret.Empty() && !c.Basic {
		form.Set("client_secret", c.Secret.Reveal())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, &Error{Kind: KindBug, Op: op.String(), Problem: "the request cannot be made"}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", a.userAgent(device))
	if c.Basic && !c.Secret.Empty() {
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret.Reveal()))
	}
	return a.send(op, req, secrets...)
}

// get fetches one address without credentials, or with a bearer token if there
// is one. It follows nothing.
func (a *Agent) get(ctx context.Context, op operation, address string, bearer Secret) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{}, &Error{Kind: KindBug, Op: op.String(), Problem: "the request cannot be made"}
	}
	req.Header.Set("User-Agent", a.userAgent(""))
	if !bearer.Empty() {
		req.Header.Set("Authorization", "Bearer "+bearer.Reveal())
	}
	return a.send(op, req, bearer)
}

// send makes one request and reads one answer within requestTimeout. An error
// means that no whole answer came.
func (a *Agent) send(op operation, req *http.Request, secrets ...Secret) (answer, error) {
	parent := req.Context()
	ctx, cancel := context.WithTimeout(parent, requestTimeout)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "application/json")
	start := time.Now()
	resp, err := a.client().Do(req)
	if err != nil {
		a.debug(parent, "request", "method", req.Method, "host", req.URL.Host, "path", req.URL.Path, "failed", reason(err))
		return answer{}, transportError(parent, op, req.URL.Host, err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing is left to be lost by then
	ans := answer{op: op, host: req.URL.Host, status: resp.StatusCode, header: resp.Header, secret: secrets}
	ans.body, err = io.ReadAll(io.LimitReader(resp.Body, bodyMax+1))
	a.debug(parent, "request", "method", req.Method, "host", req.URL.Host, "path", req.URL.Path,
		"status", resp.StatusCode, "bytes", len(ans.body), "took", time.Since(start).Round(time.Millisecond))
	if err != nil {
		return ans, transportError(parent, op, req.URL.Host, fmt.Errorf("the answer broke off: %w", err))
	}
	ans.whole = len(ans.body) <= bodyMax
	ans.media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	ans.readError()
	return ans, nil
}

// readError finds the error members of an answer, whatever its status.
func (a *answer) readError() {
	if !a.whole {
		return
	}
	var e struct {
		Code        jsontext.Value `json:"error"`
		Description jsontext.Value `json:"error_description"`
		ErrCode     jsontext.Value `json:"errcode"`
	}
	if json.Unmarshal(a.body, &e) != nil {
		return
	}
	a.object = len(a.body) > 0 && jsontext.Value(a.body).Kind() == '{'
	text := func(v jsontext.Value) string {
		var s string
		if json.Unmarshal(v, &s) != nil {
			return ""
		}
		return s
	}
	code, errcode := text(e.Code), text(e.ErrCode)
	a.said = Clean(redact(text(e.Description), a.secret), saidMax)
	switch {
	case errcode != "":
		a.errcode = Clean(errcode, 64)
		a.said = Clean(redact(code, a.secret), saidMax)
	case codeLike(code):
		a.code = code
	case a.said == "":
		a.said = Clean(redact(code, a.secret), saidMax)
	}
	if a.code == "" && a.errcode == "" && a.said == "" && len(e.Code) > 0 {
		a.said = "(an error without words)"
	}
}

// codeLike tells an error code from the prose and the objects that some servers
// put in its place.
func codeLike(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && r != '_' {
			return false
		}
	}
	return true
}

// decode reads a success answer. Names are matched exactly and duplicates are
// refused, which encoding/json does not do.
func (a answer) decode(v any) error {
	if !a.whole {
		return a.fail(KindInvalid, fmt.Sprintf("the answer is longer than %d bytes", bodyMax))
	}
	if !a.object {
		kind := a.media
		if kind == "" {
			kind = "unlabelled"
		}
		return a.fail(KindInvalid, fmt.Sprintf("%s answered %d with something that is no JSON object (%s)", a.host, a.status, Clean(kind, 60)))
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return a.fail(KindInvalid, fmt.Sprintf("%s sent a malformed answer", a.host))
	}
	return nil
}

// fail makes an Error of this answer.
func (a answer) fail(kind Kind, problem string) *Error {
	code := a.code
	if a.errcode != "" {
		code = a.errcode
	}
	return &Error{Kind: kind, Op: a.op.String(), Host: a.host, Problem: problem, Code: code, Said: a.said,
		Status: a.status, RetryAfter: retryAfter(a.header.Get("Retry-After"), time.Now())}
}

// retryAfter reads seconds or a date (RFC 9110 section 10.2.3); 0 for anything
// else, at most a day.
func retryAfter(v string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), 24*time.Hour)
}

// transportError names why no answer came. A certificate that does not hold is
// no network trouble: trying again would not help, and must not be tempting.
func transportError(ctx context.Context, op operation, host string, err error) error {
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	e := &Error{Kind: KindTemporary, Op: op.String(), Host: host, Problem: host + " " + reason(err)}
	var cert *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	if errors.As(err, &cert) || errors.As(err, &alert) || errors.As(err, &record) {
		e.Kind = KindInvalid
	}
	return e
}

// reason words a transport error. Library texts may quote the peer, so what is
// not known is cleaned and cut.
func reason(err error) string {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "is not known to the name service"
	case errors.As(err, &dns):
		return "cannot be looked up: the name service does not answer"
	case errors.As(err, &cert):
		return "has a certificate that is not valid for it: " + Clean(cert.Err.Error(), 120)
	case errors.As(err, &record):
		return "does not speak TLS"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("did not answer within %d s", int(requestTimeout.Seconds()))
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "broke the connection"
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return "cannot be reached: " + Clean(err.Error(), 120)
}
