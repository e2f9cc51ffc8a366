package flowtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

func TestCodesAndTokensAsAsked(t *testing.T) {
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	s := flowtest.New(flowtest.WithInterval(0), flowtest.WithCodeLifetime(time.Minute), flowtest.WithTokenLifetime(time.Hour),
		flowtest.WithClock(func() time.Time { return noon }))
	c := newTerminal(t, s)
	codes := c.codes(deviceScope)
	if _, ok := codes["interval"]; ok || codes["expires_in"] != 60.0 {
		t.Errorf("the codes are %v", codes)
	}
	if err := s.Approve(codes["user_code"].(string), "alice"); err != nil {
		t.Fatal(err)
	}
	if _, m := c.poll(codes); m["expires_in"] != 3600.0 {
		t.Errorf("the tokens live %v", m["expires_in"])
	}
	if at := s.Requests()[0].Time; !at.Equal(noon) {
		t.Errorf("it is %v", at)
	}
}

// TestGrantOff switches the device grant off between the code and everything
// after it.
func TestGrantOff(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	codes := c.codes(deviceScope)
	b := newBrowser(t, s)
	_, _, body := b.visit(s.Issuer+"link", nil)
	s.SetDeviceGrant(false)
	if status, _, _ := b.visit(s.Issuer+"link", nil); status != http.StatusInternalServerError {
		t.Errorf("the link page: %d", status)
	}
	form := map[string][]string{"csrf": {csrf(t, body)}, "code": {codes["user_code"].(string)}}
	if status, _, _ := b.visit(s.Issuer+"link", form); status != http.StatusInternalServerError {
		t.Errorf("its form: %d", status)
	}
	if status, m := c.poll(codes); status != http.StatusBadRequest || m["error"] != "unsupported_grant_type" {
		t.Errorf("a poll: %d, %v", status, m)
	}
}

// TestCompatErrors asks the old login what the recordings do not.
func TestCompatErrors(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	oauth, refresh := c.login(deviceScope)
	if err := s.LockUser("root"); err != nil {
		t.Fatal(err)
	}
	const v3 = "_matrix/client/v3/"
	password := func(user string) string {
		return `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"` + user + `"},"password":"` + user + `"}`
	}
	for name, w := range map[string]struct {
		path, token, contentType, body string
		status                         int
		errcode                        string
	}{
		"locked":                {v3 + "login", "", "application/json", password("root"), 401, "M_USER_LOCKED"},
		"nobody":                {v3 + "login", "", "application/json", password("nobody"), 403, "M_FORBIDDEN"},
		"no JSON":               {v3 + "login", "", "application/json", "{", 400, "M_NOT_JSON"},
		"wrong JSON":            {v3 + "login", "", "application/json", `{"type":1}`, 400, "M_BAD_JSON"},
		"another way":           {v3 + "login", "", "application/json", `{"type":"m.login.dummy"}`, 400, "M_UNKNOWN"},
		"OAuth refresh token":   {v3 + "refresh", "", "application/json", `{"refresh_token":"` + refresh + `"}`, 401, "M_UNKNOWN_TOKEN"},
		"refresh, no JSON type": {v3 + "refresh", "", "text/plain", `{}`, 415, ""},
		"refresh, no token":     {v3 + "refresh", "", "application/json", `{}`, 422, ""},
		"OAuth logout":          {v3 + "logout", oauth, "application/json", `{}`, 401, "M_UNKNOWN_TOKEN"},
	} {
		status, m := c.do(c.request(http.MethodPost, s.Issuer+w.path, w.token, w.contentType, w.body))
		if got, _ := m["errcode"].(string); status != w.status || got != w.errcode {
			t.Errorf("%s: %d, %v", name, status, m)
		}
	}
	if status, _ := c.refresh(refresh); status != http.StatusOK {
		t.Errorf("the OAuth session afterwards: %d", status)
	}
}

// TestPagesForPeople hold no scripts and are not kept.
func TestPagesForPeople(t *testing.T) {
	s := flowtest.New()
	resp, err := s.Client().Get(s.Issuer + "link")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	cookie := resp.Header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "csrf=") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || !strings.Contains(cookie, "Secure") {
		t.Errorf("the cookie is %q", cookie)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", resp.Header)
	}
}
