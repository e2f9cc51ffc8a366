package flow

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
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
	secret []Secret // what the request and the answer carry, to be masked in the server's words
	whole  bool     // false: longer than bodyMax
	object bool     // the body is a JSON object

	code     string // OAuth error code, if the body holds one that looks like a code
	errcode  string // Matrix errcode; where there is one, "error" is prose
	oddError bool   // the body holds an error that is neither: prose, an object
	said     string // the server's own words, cleaned

	access, refresh Secret // tokens in the body, unchecked, wanted or not
}

// errBrokenOff says that an answer began and did not end.
var errBrokenOff = errors.New("the answer broke off")

// post sends a form to an endpoint of the authorization server. Redirects are
// not followed: the form holds secrets (RFC 9700 section 4.12), which are named
// so that the server's words can be cleared of them.
func (a *Agent) post(ctx context.Context, op operation, endpoint, device string, c Client, form url.Values, secrets ...Secret) (answer, error) {
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
	return a.send(op, req, append(secrets, c.Secret)...)
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
	return a.send(op, req)
}

// send makes one request and reads one answer within requestTimeout. An error
// means that no whole answer came. What the Authorization header carries counts
// among the secrets.
func (a *Agent) send(op operation, req *http.Request, secrets ...Secret) (answer, error) {
	parent := req.Context()
	ctx, cancel := context.WithTimeout(parent, requestTimeout)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "application/json")
	if _, credentials, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok {
		secrets = append(secrets, NewSecret(credentials))
	}
	secrets = append(secrets, a.proxySecrets(req)...)
	start, path := time.Now(), req.URL.EscapedPath()
	resp, err := a.transport().RoundTrip(req)
	if err != nil {
		a.debug(parent, "request", "method", req.Method, "host", req.URL.Host, "path", path, "failed", reason(err, secrets))
		return answer{}, transportError(parent, op, req.URL.Host, err, secrets)
	}
	defer func() { _ = resp.Body.Close() }() // nothing is left to be lost by then
	ans := answer{op: op, host: req.URL.Host, status: resp.StatusCode, header: resp.Header, secret: secrets}
	ans.body, err = io.ReadAll(io.LimitReader(resp.Body, bodyMax+1))
	a.debug(parent, "request", "method", req.Method, "host", req.URL.Host, "path", path,
		"status", resp.StatusCode, "bytes", len(ans.body), "took", time.Since(start).Round(time.Millisecond))
	if err != nil {
		return ans, transportError(parent, op, req.URL.Host, fmt.Errorf("%w: %w", errBrokenOff, err), secrets)
	}
	ans.whole = len(ans.body) <= bodyMax
	ans.media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	ans.readError()
	return ans, nil
}

// proxySecrets are what a proxy is told, as it is and as it is sent: its refusal
// is quoted, and may quote them.
func (a *Agent) proxySecrets(req *http.Request) []Secret {
	find := http.ProxyFromEnvironment
	if t, ok := a.transport().(*http.Transport); ok && t.Proxy != nil {
		find = t.Proxy
	}
	proxy, err := find(req)
	if err != nil || proxy == nil || proxy.User == nil {
		return nil
	}
	password, _ := proxy.User.Password()
	pair := proxy.User.Username() + ":" + password
	return []Secret{NewSecret(password), NewSecret(base64.StdEncoding.EncodeToString([]byte(pair)))}
}

// readError finds the error members of an answer, whatever its status. Some
// servers write members that they do not use as null or "": those are absent.
func (a *answer) readError() {
	if !a.whole {
		return
	}
	var e struct {
		Code        jsontext.Value `json:"error"`
		Description jsontext.Value `json:"error_description"`
		ErrCode     jsontext.Value `json:"errcode"`
		Access      jsontext.Value `json:"access_token"`
		Refresh     jsontext.Value `json:"refresh_token"`
	}
	if json.Unmarshal(a.body, &e) != nil {
		return
	}
	a.object = jsontext.Value(a.body).Kind() == '{'
	a.access, a.refresh = NewSecret(text(e.Access)), NewSecret(text(e.Refresh))
	a.secret = append(a.secret, a.access, a.refresh)
	a.said = a.quote(text(e.Description), saidMax)
	a.errcode = a.quote(text(e.ErrCode), 64)
	switch {
	case a.errcode != "":
		a.said = a.quote(text(e.Code), saidMax)
	case present(e.Code) || present(e.ErrCode):
		a.setError(text(e.Code), text(e.Description))
	}
}

// setError takes an error and its description (RFC 6749 section 5.2): a code if
// it looks like one.
func (a *answer) setError(code, description string) {
	a.said = a.quote(description, saidMax)
	if codeLike(code) && !slices.ContainsFunc(a.secret, NewSecret(code).Equal) {
		a.code = code
		return
	}
	a.oddError = true
	if a.said == "" {
		a.said = a.quote(code, saidMax)
	}
}

// quote makes something that the server said fit to be repeated.
func (a answer) quote(s string, max int) string { return repeat(s, a.secret, max) }

// text is a JSON string's value, "" for anything else.
func text(v jsontext.Value) string {
	var s string
	if json.Unmarshal(v, &s) != nil {
		return ""
	}
	return s
}

func present(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' && string(v) != `""` }

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
		return a.fail(KindInvalid, fmt.Sprintf("%s answered %d with more than %d bytes", a.host, a.status, bodyMax))
	}
	if !a.object {
		kind := a.media
		if kind == "" {
			kind = "unlabelled"
		}
		return a.fail(KindInvalid, fmt.Sprintf("%s answered %d with something that is no JSON object (%s)", a.host, a.status, a.quote(kind, 60)))
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
	const most = 24 * time.Hour
	n, err := strconv.ParseUint(v, 10, 31)
	switch {
	case err == nil:
		return min(time.Duration(n)*time.Second, most)
	case errors.Is(err, strconv.ErrRange):
		return most
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), most)
}
