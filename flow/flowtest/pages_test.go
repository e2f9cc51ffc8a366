package flowtest_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A browser keeps cookies and does not follow redirects, so that a test sees
// each.
type browser struct {
	t  *testing.T
	hc *http.Client
}

func newBrowser(t *testing.T, s *flowtest.Server) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	hc := s.Client()
	hc.Jar = jar
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return browser{t, hc}
}

func (b browser) visit(address string, form url.Values) (status int, location, body string) {
	b.t.Helper()
	var resp *http.Response
	var err error
	if form == nil {
		resp, err = b.hc.Get(address)
	} else {
		resp, err = b.hc.PostForm(address, form)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if to := resp.Header.Get("Location"); to != "" {
		u, err := resp.Request.URL.Parse(to)
		if err != nil {
			b.t.Fatal(err)
		}
		location = u.String()
	}
	return resp.StatusCode, location, string(text)
}

func csrf(t *testing.T, body string) string {
	t.Helper()
	_, rest, _ := strings.Cut(body, `name="csrf" value="`)
	token, _, ok := strings.Cut(rest, `"`)
	if !ok || token == "" {
		t.Fatalf("no csrf in %s", body)
	}
	return token
}

// consent walks from the link page to the consent page.
func (b browser) consent(s *flowtest.Server, code, user, password string) (address, body string) {
	b.t.Helper()
	_, _, body = b.visit(s.Issuer+"link", nil)
	status, device, _ := b.visit(s.Issuer+"link", url.Values{"csrf": {csrf(b.t, body)}, "code": {strings.ToLower(code)}})
	if status != http.StatusSeeOther || !strings.HasPrefix(device, s.Issuer+"device/") {
		b.t.Fatalf("the code: %d to %q", status, device)
	}
	status, login, _ := b.visit(device, nil)
	if status != http.StatusSeeOther || !strings.HasPrefix(login, s.Issuer+"login?kind=continue_device_code_grant&id=") {
		b.t.Fatalf("the device page: %d to %q", status, login)
	}
	_, _, body = b.visit(login, nil)
	token := csrf(b.t, body)
	if status, _, body := b.visit(login, url.Values{"csrf": {token}, "username": {user}, "password": {"wrong"}}); status != http.StatusOK || !strings.Contains(body, "Wrong user name or password") {
		b.t.Errorf("a wrong password: %d", status)
	}
	status, back, _ := b.visit(login, url.Values{"csrf": {token}, "username": {user}, "password": {password}})
	if status != http.StatusSeeOther || back != device {
		b.t.Fatalf("the login: %d to %q", status, back)
	}
	_, _, body = b.visit(device, nil)
	return device, body
}

func TestApproveInBrowser(t *testing.T) {
	each(t, func(t *testing.T, start func(...flowtest.Option) *flowtest.Server) {
		s := start()
		c := newTerminal(t, s)
		codes := c.codes(deviceScope)
		code := codes["user_code"].(string)
		b := newBrowser(t, s)
		device, body := b.consent(s, code, "alice", "alice")
		for _, want := range []string{"Security code", code, "Terminal &lt;b&gt;", "&lt;i&gt;box&lt;/i&gt; · Linux", `name="confirm_device"`} {
			if !strings.Contains(body, want) {
				t.Errorf("the consent page lacks %q", want)
			}
		}
		if strings.Contains(body, "<b>") || strings.Contains(body, "<i>") {
			t.Error("the consent page repeats markup of a client")
		}
		token := csrf(t, body)
		for name, form := range map[string]url.Values{
			"without csrf":         {"action": {"consent"}, "confirm_device": {"on"}},
			"with another csrf":    {"csrf": {"x"}, "action": {"consent"}, "confirm_device": {"on"}},
			"without confirmation": {"csrf": {token}, "action": {"consent"}},
		} {
			if status, _, _ := b.visit(device, form); status != http.StatusInternalServerError {
				t.Errorf("%s: %d", name, status)
			}
		}
		if _, m := c.poll(codes); m["error"] != "authorization_pending" {
			t.Fatalf("before the decision: %v", m)
		}
		status, _, body := b.visit(device, url.Values{"csrf": {token}, "action": {"consent"}, "confirm_device": {"on"}})
		if status != http.StatusOK || strings.Contains(body, `name="confirm_device"`) {
			t.Errorf("the decision: %d", status)
		}
		if status, _ := c.poll(codes); status != http.StatusOK {
			t.Errorf("after the decision: %d", status)
		}
		if name := s.DeviceName("alice", "TESTDEVICE"); name != "Terminal <b> on <i>box</i>" {
			t.Errorf("the device is called %q", name)
		}
	})
}

func TestRejectInBrowser(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	codes := c.codes(deviceScope)
	b := newBrowser(t, s)
	device, body := b.consent(s, codes["user_code"].(string), "root", "root")
	if status, _, _ := b.visit(device, url.Values{"csrf": {csrf(t, body)}, "action": {"reject"}}); status != http.StatusOK {
		t.Errorf("the decision: %d", status)
	}
	if _, m := c.poll(codes); m["error"] != "access_denied" {
		t.Errorf("after it: %v", m)
	}
	if _, _, body := b.visit(device, nil); !strings.Contains(body, "refused") || strings.Contains(body, "confirm_device") {
		t.Error("the page offers to decide again")
	}
}

// TestLinkPage gives it codes that are wrong, used, and too late, and one in the
// query.
func TestLinkPage(t *testing.T) {
	for _, autofill := range []bool{false, true} {
		opts := []flowtest.Option{}
		if autofill {
			opts = append(opts, flowtest.WithAutofill())
		}
		s := flowtest.New(opts...)
		c := newTerminal(t, s)
		b := newBrowser(t, s)
		code := c.codes(deviceScope)["user_code"].(string)
		status, location, body := b.visit(s.Issuer+"link?code="+code, nil)
		if autofill != (status == http.StatusSeeOther) || autofill != strings.Contains(location, "/device/") {
			t.Errorf("autofill %v: %d to %q", autofill, status, location)
		}
		if !autofill && strings.Contains(body, code) {
			t.Error("the page takes the code from the query")
		}
		_, _, body = b.visit(s.Issuer+"link", nil)
		if err := s.ExpireCode(code); err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{code, "", `"><b>`} {
			status, _, again := b.visit(s.Issuer+"link", url.Values{"csrf": {csrf(t, body)}, "code": {bad}})
			if status != http.StatusOK || !strings.Contains(again, "not valid") || strings.Contains(again, "<b>") {
				t.Errorf("the code %q: %d", bad, status)
			}
		}
	}
}

// TestPolicyPage shows a scope that alice may not grant: MAS 1.22 fails to render
// its refusal.
func TestPolicyPage(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	codes := c.codes("offline_access " + deviceScope)
	device, body := newBrowser(t, s).consent(s, codes["user_code"].(string), "alice", "alice")
	if device == "" || !strings.Contains(body, "could not render template") {
		t.Errorf("the page says %q", body)
	}
	if _, m := c.poll(codes); m["error"] != "authorization_pending" {
		t.Errorf("the terminal hears %v", m)
	}
}

// TestAccountPage ends a session where the person can see it.
func TestAccountPage(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	access, refresh := c.login(deviceScope)
	c.whoami(access)
	b := newBrowser(t, s)
	status, login, _ := b.visit(s.Issuer+"account/?action=org.matrix.device_view&device_id=TESTDEVICE", nil)
	if status != http.StatusSeeOther {
		t.Fatalf("without a login: %d", status)
	}
	_, _, body := b.visit(login, nil)
	_, account, _ := b.visit(login, url.Values{"csrf": {csrf(t, body)}, "username": {"alice"}, "password": {"alice"}})
	_, _, body = b.visit(account, nil)
	_, rest, _ := strings.Cut(body, `name="session" value="`)
	id, _, _ := strings.Cut(rest, `"`)
	if !strings.Contains(body, "TESTDEVICE") || id == "" {
		t.Fatalf("the page is %s", body)
	}
	b.visit(account, url.Values{"csrf": {csrf(t, body)}, "session": {id}})
	if status, _ := c.refresh(refresh); status != http.StatusBadRequest {
		t.Errorf("a refresh afterwards: %d", status)
	}
	if status := c.whoami(access); status != http.StatusUnauthorized {
		t.Errorf("whoami afterwards: %d", status)
	}
}
