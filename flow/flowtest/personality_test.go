package flowtest_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A visitor is a client that finds its way by the metadata, as plain as can be.
type visitor struct {
	t        *testing.T
	s        *flowtest.Server
	metadata map[string]any
	client   string
}

// portable is a registration that all three take.
func portable() map[string]any {
	return map[string]any{
		"client_name": "Visitor", "client_uri": "https://example.org/", "application_type": "native",
		"redirect_uris": []string{"http://127.0.0.1/callback"}, "response_types": []string{"code"},
		"grant_types":                []string{"authorization_code", "refresh_token", deviceGrant},
		"token_endpoint_auth_method": "none",
	}
}

func newVisitor(t *testing.T, opts ...flowtest.Option) *visitor {
	t.Helper()
	v := &visitor{t: t, s: flowtest.New(opts...)}
	v.metadata = v.get(v.s.URL+"/_matrix/client/v1/auth_metadata", "").members
	v.client, _ = v.register(portable()).members["client_id"].(string)
	if v.client == "" {
		t.Fatal("not registered")
	}
	return v
}

// A said is an answer.
type said struct {
	status  int
	header  http.Header
	text    string
	members map[string]any
}

// is compares status and error code.
func (a said) is(status int, code string) bool {
	got, _ := a.members["error"].(string)
	return a.status == status && got == code
}

func (v *visitor) do(req *http.Request) said {
	v.t.Helper()
	resp, err := v.s.Client().Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	a := said{status: resp.StatusCode, header: resp.Header, text: string(b), members: map[string]any{}}
	_ = json.Unmarshal(b, &a.members) // some answers are no JSON, and then have no members
	return a
}

func (v *visitor) request(method, address, contentType, body string) *http.Request {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	return req
}

func (v *visitor) get(address, token string) said {
	v.t.Helper()
	req := v.request(http.MethodGet, address, "", "")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return v.do(req)
}

func (v *visitor) whoami(token string) said {
	v.t.Helper()
	return v.get(v.s.URL+"/_matrix/client/v3/account/whoami", token)
}

func (v *visitor) register(m map[string]any) said {
	v.t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.do(v.request(http.MethodPost, v.metadata["registration_endpoint"].(string), "application/json", string(b)))
}

// post sends a form with the client_id, unless the fields hold another; an empty
// value leaves a field out.
func (v *visitor) post(endpoint string, fields ...string) said {
	v.t.Helper()
	form := url.Values{"client_id": {v.client}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
		if fields[i+1] == "" {
			form.Del(fields[i])
		}
	}
	return v.do(v.request(http.MethodPost, v.metadata[endpoint+"_endpoint"].(string), "application/x-www-form-urlencoded", form.Encode()))
}

func (v *visitor) codes(scope string) map[string]any {
	v.t.Helper()
	a := v.post("device_authorization", "scope", scope)
	if a.status != http.StatusOK {
		v.t.Fatalf("codes: %d %s", a.status, a.text)
	}
	return a.members
}

func (v *visitor) poll(codes map[string]any, fields ...string) said {
	v.t.Helper()
	return v.post("token", append([]string{"grant_type", deviceGrant, "device_code", codes["device_code"].(string)}, fields...)...)
}

func (v *visitor) refresh(token string, fields ...string) said {
	v.t.Helper()
	return v.post("token", append([]string{"grant_type", "refresh_token", "refresh_token", token}, fields...)...)
}

// approved is a code that alice has approved.
func (v *visitor) approved(scope string) map[string]any {
	v.t.Helper()
	codes := v.codes(scope)
	if err := v.s.Approve(codes["user_code"].(string), "alice"); err != nil {
		v.t.Fatal(err)
	}
	return codes
}

func (v *visitor) login(scope string) (access, refresh string) {
	v.t.Helper()
	a := v.poll(v.approved(scope))
	if a.status != http.StatusOK {
		v.t.Fatalf("tokens: %d %s", a.status, a.text)
	}
	return pair(a)
}

func pair(a said) (access, refresh string) {
	access, _ = a.members["access_token"].(string)
	refresh, _ = a.members["refresh_token"].(string)
	return access, refresh
}

// matches wants a member of a shape.
func matches(t *testing.T, members map[string]any, name, shape string) {
	t.Helper()
	if got, _ := members[name].(string); !regexp.MustCompile("^(?:" + shape + ")$").MatchString(got) {
		t.Errorf("%s is %q, want the shape %s", name, got, shape)
	}
}

// TestPersonalitiesAnswer finds each where the specification says, over sockets
// and in memory.
func TestPersonalitiesAnswer(t *testing.T) {
	for _, p := range []flowtest.Personality{flowtest.MAS, flowtest.Tuwunel, flowtest.Continuwuity} {
		each(t, func(t *testing.T, start func(...flowtest.Option) *flowtest.Server) {
			s := start(flowtest.As(p), flowtest.WithInterval(3*time.Second))
			v := &visitor{t: t, s: s}
			v.metadata = v.get(s.URL+"/_matrix/client/v1/auth_metadata", "").members
			if v.metadata["issuer"] != s.Issuer || s.Personality() != p {
				t.Errorf("%s: %v", p, v.metadata)
			}
			v.client, _ = v.register(portable()).members["client_id"].(string)
			if codes := v.codes(deviceScope); codes["interval"] != 3.0 {
				t.Errorf("%s: an option is lost: %v", p, codes)
			}
			s.AuthDown(true)
			if _, err := s.Client().Get(s.Issuer); err == nil {
				t.Errorf("%s: it is not down", p)
			}
		})
	}
}

func TestTuwunelRegistration(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Tuwunel))
	a := v.register(portable())
	if id, _ := a.members["client_id"].(string); id != v.client || a.status != http.StatusCreated {
		t.Errorf("the same metadata are another client: %s", a.text)
	}
	matches(t, a.members, "client_id", `[\w-]{43}`)
	if logo, there := a.members["logo_uri"]; !there || logo != nil || strings.Contains(a.text, "device_code") {
		t.Errorf("the echo: %s", a.text)
	}
	without := portable()
	without["grant_types"] = []string{"authorization_code", "refresh_token"}
	if a := v.register(without); a.members["client_id"] != v.client {
		t.Errorf("the device grant makes another client: %s", a.text)
	}
	for name, w := range map[string]struct {
		value  any
		status int
		code   string
	}{
		"grant_types":      {[]string{deviceGrant, "refresh_token"}, 400, "invalid_client_metadata"},
		"redirect_uris":    {[]string{}, 400, "invalid_redirect_uri"},
		"response_types":   {[]string{"token"}, 400, "invalid_client_metadata"},
		"client_uri":       {"http://example.org/", 400, "invalid_client_metadata"},
		"policy_uri":       {"https://example.net/", 400, "invalid_client_metadata"},
		"application_type": {"web", 400, "invalid_redirect_uri"},
		"client_name":      {7, 422, ""},
	} {
		m := portable()
		m[name] = w.value
		if a := v.register(m); !a.is(w.status, w.code) {
			t.Errorf("%s = %v: %d %s", name, w.value, a.status, a.text)
		}
	}
	m := portable()
	m["redirect_uris"] = []string{"http://127.0.0.1:8080/callback"}
	if a := v.register(m); !a.is(400, "invalid_redirect_uri") {
		t.Errorf("a port on loopback: %d %s", a.status, a.text)
	}
}

// TestTuwunelInitialToken asks for the administrator's token in Matrix's words.
func TestTuwunelInitialToken(t *testing.T) {
	s := flowtest.New(flowtest.As(flowtest.Tuwunel), flowtest.WithInitialToken("secret"))
	v := &visitor{t: t, s: s}
	v.metadata = v.get(s.URL+"/_matrix/client/v1/auth_metadata", "").members
	if a := v.register(portable()); a.status != http.StatusForbidden || a.members["errcode"] != "M_FORBIDDEN" {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestTuwunelDeviceGrant(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Tuwunel))
	codes := v.codes(deviceScope)
	matches(t, codes, "user_code", "[BCDFGHJKLMNPQRSTVWXZ]{5}-[BCDFGHJKLMNPQRSTVWXZ]{5}")
	matches(t, codes, "verification_uri_complete", regexp.QuoteMeta(codes["verification_uri"].(string)+"?user_code="+codes["user_code"].(string)))
	if codes["expires_in"] != 1800.0 || codes["interval"] != 5.0 {
		t.Errorf("%v", codes)
	}
	if a := v.poll(codes); !a.is(400, "authorization_pending") || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("pending: %d %s %v", a.status, a.text, a.header)
	}
	for name, fields := range map[string][]string{
		"another client": {"client_id", "nobody"}, "no client": {"client_id", ""}, "no code": {"device_code", ""}, "unknown code": {"device_code", "x"},
	} {
		if a := v.poll(codes, fields...); !a.is(400, "invalid_grant") {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if a := v.post("token", "grant_type", "password"); !a.is(400, "unsupported_grant_type") {
		t.Errorf("%d %s", a.status, a.text)
	}
	// An outcome is told once.
	if err := v.s.Reject(codes["user_code"].(string), "alice"); err != nil {
		t.Fatal(err)
	}
	if a := v.poll(codes); !a.is(400, "access_denied") {
		t.Errorf("refused: %d %s", a.status, a.text)
	}
	if a := v.poll(codes); !a.is(400, "invalid_grant") {
		t.Errorf("refused, asked again: %d %s", a.status, a.text)
	}
	late := v.codes(deviceScope)
	v.s.Advance(31 * time.Minute)
	if a := v.poll(late); !a.is(400, "expired_token") {
		t.Errorf("expired: %d %s", a.status, a.text)
	}
	if a := v.post("device_authorization", "client_id", "nobody"); !a.is(401, "invalid_client") {
		t.Errorf("unknown client: %d %s", a.status, a.text)
	}
}

// TestTuwunelScope looks at the scope when the tokens are issued.
func TestTuwunelScope(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Tuwunel))
	if a := v.poll(v.approved(deviceScope + " urn:synapse:admin:*")); a.members["scope"] != deviceScope || a.members["expires_in"] != 604800.0 {
		t.Errorf("an unknown scope: %s", a.text)
	}
	matches(t, v.poll(v.approved(apiScope)).members, "scope", regexp.QuoteMeta(apiScope+" urn:matrix:client:device:")+"[0-9A-Za-z]{10}")
	codes := v.approved(deviceScope + " urn:matrix:client:device:ANOTHERONE")
	if a := v.poll(codes); !a.is(400, "invalid_grant") {
		t.Errorf("two devices: %d %s", a.status, a.text)
	}
	if a := v.poll(codes); !strings.Contains(a.text, "Invalid or expired device code") {
		t.Errorf("the code is still there: %s", a.text)
	}
}

func TestTuwunelRefresh(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Tuwunel))
	first, a := v.login(deviceScope)
	matches(t, map[string]any{"refresh_token": a}, "refresh_token", "refresh_[0-9A-Za-z]{32}")
	answer := v.refresh(a, "client_id", "nobody")
	second, b := pair(answer)
	if _, there := answer.members["scope"]; there || b == "" || b == a {
		t.Fatalf("%s", answer.text)
	}
	if v.whoami(first).status != 200 || v.whoami(second).status != 200 {
		t.Error("a rotation ends the access tokens before")
	}
	// The answer was lost: within the grace the successor comes again.
	v.s.Advance(14 * time.Second)
	answer = v.refresh(a)
	if third, again := pair(answer); again != b || third == second || v.whoami(third).status != 200 {
		t.Errorf("in the grace: %s", answer.text)
	}
	_, c := pair(v.refresh(b))
	if answer := v.refresh(a); !answer.is(400, "invalid_grant") || v.whoami(second).status != 200 {
		t.Errorf("two before the newest: %s", answer.text)
	}
	v.s.Advance(17 * time.Second)
	if answer := v.refresh(b); !answer.is(400, "invalid_grant") || v.whoami(second).status != 401 {
		t.Errorf("after the grace: %s", answer.text)
	}
	if answer := v.refresh(c); !answer.is(400, "invalid_grant") {
		t.Errorf("the device lives on: %s", answer.text)
	}
}

// TestTuwunelSameDevice logs in to a device that has a session already.
func TestTuwunelSameDevice(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Tuwunel))
	first, a := v.login(deviceScope)
	second, b := v.login(deviceScope)
	if v.whoami(first).status != 200 || v.whoami(second).status != 200 {
		t.Error("the tokens of the first login are gone")
	}
	if answer := v.refresh(a); answer.status != 200 || answer.members["refresh_token"] != b {
		t.Errorf("its refresh token is not spent: %s", answer.text)
	}
}

func TestTuwunelRevoke(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Tuwunel))
	access, refresh := v.login(deviceScope)
	_, next := pair(v.refresh(refresh))
	for _, unknown := range []string{"x", refresh} {
		if a := v.post("revocation", "token", unknown); a.status != 200 || v.whoami(access).status != 200 {
			t.Errorf("%d %s", a.status, a.text)
		}
	}
	if a := v.post("revocation", "token", next, "token_type_hint", "other"); !a.is(400, "unsupported_token_type") {
		t.Errorf("another hint: %d %s", a.status, a.text)
	}
	if a := v.post("revocation", "token", ""); !a.is(400, "invalid_request") {
		t.Errorf("no token: %d %s", a.status, a.text)
	}
	if a := v.post("revocation", "token", next, "client_id", ""); a.status != 200 || v.whoami(access).status != 401 {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// TestTuwunelThrottle lets sixty device requests pass at once.
func TestTuwunelThrottle(t *testing.T) {
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	v := newVisitor(t, flowtest.As(flowtest.Tuwunel), flowtest.WithClock(func() time.Time { return noon }))
	for range 60 {
		v.codes(deviceScope)
	}
	if a := v.post("device_authorization", "scope", deviceScope); !a.is(429, "slow_down") {
		t.Errorf("%d %s", a.status, a.text)
	}
	v.s.Advance(time.Second)
	v.codes(deviceScope)
}

func TestContinuwuityRegistration(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Continuwuity))
	a := v.register(portable())
	matches(t, a.members, "client_id", `[A-Za-z0-9+/]{43}=`)
	if _, there := a.members["client_id_issued_at"]; there || a.members["client_id"] != v.client {
		t.Errorf("%s", a.text)
	}
	grants, _ := a.members["grant_types"].([]any)
	if !slices.Contains(grants, any(deviceGrant)) {
		t.Errorf("%v", grants)
	}
	if v.metadata["token_endpoint_auth_methods_supported"] != nil || v.metadata["scopes_supported"] != nil {
		t.Errorf("%v", v.metadata)
	}
	m := portable()
	m["redirect_uris"] = []string{"http://127.0.0.1:8080/callback"}
	if a := v.register(m); !a.is(400, "invalid_client_metadata") {
		t.Errorf("a port on loopback: %d %s", a.status, a.text)
	}
	delete(m, "client_uri")
	if a := v.register(m); a.status != 422 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("no client_uri: %d %s", a.status, a.text)
	}
	m = portable()
	m["grant_types"] = []string{"authorization_code", "refresh_token"}
	v.client = v.register(m).members["client_id"].(string)
	if a := v.post("device_authorization", "scope", deviceScope); !a.is(400, "unauthorized_client") {
		t.Errorf("a client without the grant: %d %s", a.status, a.text)
	}
}

func TestContinuwuityDeviceGrant(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Continuwuity))
	codes := v.codes(deviceScope)
	matches(t, codes, "user_code", "[0-9]{6}")
	if _, there := codes["interval"]; there || codes["expires_in"] != 60.0 {
		t.Errorf("%v", codes)
	}
	if a := v.poll(codes); !a.is(400, "authorization_pending") {
		t.Errorf("pending: %d %s", a.status, a.text)
	}
	if err := v.s.Reject(codes["user_code"].(string), "alice"); !errors.Is(err, flowtest.ErrNoDenial) {
		t.Errorf("it can be refused: %v", err)
	}
	// A poll of another client destroys the code.
	other := portable()
	other["client_name"] = "Other"
	id, _ := v.register(other).members["client_id"].(string)
	if a := v.poll(codes, "client_id", id); !a.is(400, "expired_token") {
		t.Errorf("another client: %d %s", a.status, a.text)
	}
	if a := v.poll(codes); !a.is(400, "expired_token") {
		t.Errorf("after that: %d %s", a.status, a.text)
	}
	if a := v.poll(codes, "client_id", "nobody"); !a.is(400, "invalid_client") {
		t.Errorf("unknown client: %d %s", a.status, a.text)
	}
	// The page takes a code that is too old, and the terminal hears that it is.
	late := v.codes(deviceScope)
	v.s.Advance(61 * time.Second)
	if err := v.s.Approve(late["user_code"].(string), "alice"); err != nil {
		t.Error(err)
	}
	if a := v.poll(late); !a.is(400, "expired_token") {
		t.Errorf("late: %d %s", a.status, a.text)
	}
	if a := v.post("token", "grant_type", "password"); a.status != 422 || a.members["error"] != nil {
		t.Errorf("an unknown grant: %d %s", a.status, a.text)
	}
}

// TestContinuwuityScope checks the scope at once, and the device when the tokens
// are issued.
func TestContinuwuityScope(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Continuwuity))
	const unstable = "urn:matrix:org.matrix.msc2967.client:"
	for _, scope := range []string{"offline_access", apiScope + " " + apiScope, apiScope + " urn:matrix:client:device:ABCD", "openid  " + apiScope} {
		if a := v.post("device_authorization", "scope", scope); !a.is(400, "invalid_grant") {
			t.Errorf("%q: %d %s", scope, a.status, a.text)
		}
	}
	if a := v.post("device_authorization"); a.status != 422 {
		t.Errorf("no scope: %d %s", a.status, a.text)
	}
	a := v.poll(v.approved("openid " + unstable + "api:* " + unstable + "device:TESTDEVICE"))
	if a.members["scope"] != "urn:matrix:client:device:TESTDEVICE "+apiScope || a.members["expires_in"] != 3600.0 {
		t.Errorf("%s", a.text)
	}
	if a := v.poll(v.approved(deviceScope)); !a.is(400, "invalid_scope") {
		t.Errorf("the device is there already: %d %s", a.status, a.text)
	}
	if a := v.poll(v.approved(apiScope)); !a.is(400, "invalid_grant") {
		t.Errorf("no device: %d %s", a.status, a.text)
	}
}

// TestContinuwuityForgetsCodes keeps a hundred.
func TestContinuwuityForgetsCodes(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Continuwuity))
	first, second := v.codes(deviceScope), v.codes(deviceScope)
	for range 98 {
		v.codes(deviceScope)
	}
	v.poll(first) // which makes it the youngest
	v.codes(deviceScope)
	if a := v.poll(first); !a.is(400, "authorization_pending") {
		t.Errorf("the first: %d %s", a.status, a.text)
	}
	if a := v.poll(second); !a.is(400, "expired_token") {
		t.Errorf("the second: %d %s", a.status, a.text)
	}
}

func TestContinuwuityRefreshAndRevoke(t *testing.T) {
	v := newVisitor(t, flowtest.As(flowtest.Continuwuity))
	first, a := v.login(deviceScope)
	answer := v.refresh(a)
	second, b := pair(answer)
	if answer.members["scope"] == "" || v.whoami(first).status != 401 || v.whoami(second).status != 200 {
		t.Errorf("%s", answer.text)
	}
	if answer := v.refresh(a); !answer.is(400, "invalid_grant") || v.whoami(second).status != 200 {
		t.Errorf("the consumed token: %d %s", answer.status, answer.text)
	}
	other := portable()
	other["client_name"] = "Other"
	id, _ := v.register(other).members["client_id"].(string)
	if answer := v.refresh(b, "client_id", id); answer.status != 500 || answer.members["errcode"] != "M_UNKNOWN" {
		t.Errorf("of another client: %d %s", answer.status, answer.text)
	}
	v.s.Advance(61 * time.Minute)
	if answer := v.whoami(second); answer.status != 401 || answer.members["soft_logout"] != true {
		t.Errorf("expired: %d %s", answer.status, answer.text)
	}
	if answer := v.post("revocation", "token", a); !answer.is(400, "invalid_grant") {
		t.Errorf("revoke the consumed token: %d %s", answer.status, answer.text)
	}
	if answer := v.post("revocation", "token", b, "client_id", ""); answer.status != 200 || v.refresh(b).status == 200 {
		t.Errorf("revoke: %d %s", answer.status, answer.text)
	}
	v.login(deviceScope) // the device's name is free again
}
