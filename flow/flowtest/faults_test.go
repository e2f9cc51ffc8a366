package flowtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// try makes a request that may fail, and returns all that came of it.
func (c *terminal) try(req *http.Request) (status int, header http.Header, body string, err error) {
	hc := c.s.Client()
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := hc.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(b), err
}

// TestLostAnswer loses the answer of a refresh. The same token again must bring
// another successor, and the lost one must be dead.
func TestLostAnswer(t *testing.T) {
	each(t, func(t *testing.T, start func(...flowtest.Option) *flowtest.Server) {
		s := start()
		c := newTerminal(t, s)
		_, first := c.login(deviceScope)
		s.Inject(flowtest.Refresh, flowtest.LoseAnswer())
		if _, _, _, err := c.try(c.form("oauth2/token", "grant_type", "refresh_token", "refresh_token", first)); err == nil {
			t.Fatal("the answer arrived")
		}
		if s.Count(flowtest.Refresh) != 1 || s.Succeeded(flowtest.Refresh) != 1 {
			t.Errorf("%d refreshes came, %d succeeded", s.Count(flowtest.Refresh), s.Succeeded(flowtest.Refresh))
		}
		status, m := c.refresh(first)
		if status != http.StatusOK || c.whoami(m["access_token"].(string)) != http.StatusOK {
			t.Fatalf("the retry: %d, %v", status, m)
		}
		if status, _ := c.refresh(first); status != http.StatusBadRequest {
			t.Errorf("after use of the successor: %d", status)
		}
	})
}

func TestDropBefore(t *testing.T) {
	each(t, func(t *testing.T, start func(...flowtest.Option) *flowtest.Server) {
		s := start()
		c := newTerminal(t, s)
		_, first := c.login(deviceScope)
		s.Inject(flowtest.Refresh, flowtest.DropBefore())
		_, _, _, err := c.try(c.form("oauth2/token", "grant_type", "refresh_token", "refresh_token", first))
		if !errors.Is(err, io.EOF) {
			t.Errorf("the error is %v", err)
		}
		if s.Count(flowtest.Refresh) != 1 || s.Succeeded(flowtest.Refresh) != 0 {
			t.Errorf("%d refreshes came, %d succeeded", s.Count(flowtest.Refresh), s.Succeeded(flowtest.Refresh))
		}
	})
}

// TestFaultsInOrder uses one fault a request, the narrowest queue first.
func TestFaultsInOrder(t *testing.T) {
	each(t, func(t *testing.T, start func(...flowtest.Option) *flowtest.Server) {
		s := start()
		c := newTerminal(t, s)
		_, refresh := c.login(deviceScope)
		s.Inject(flowtest.Any, flowtest.Status(418))
		s.Inject(flowtest.Token, flowtest.Raw(200, "text/plain", "{"))
		s.Inject(flowtest.Refresh, flowtest.HTML(502), flowtest.Status(429, "Retry-After", "7"),
			flowtest.RateLimited(1500*time.Millisecond), flowtest.SlowDown(), flowtest.Redirect(307, "https://elsewhere.example/"))
		want := []struct {
			status       int
			header, body string
		}{
			{502, "Content-Type: text/html", "Bad Gateway"},
			{429, "Retry-After: 7", ""},
			{429, "Retry-After: 2", `"retry_after_ms":1500`},
			{400, "Content-Type: application/json", `"error":"slow_down"`},
			{307, "Location: https://elsewhere.example/", ""},
			{200, "Content-Type: text/plain", "{"},
			{418, "", ""},
			{200, "Cache-Control: no-store", `"access_token"`},
		}
		for i, w := range want {
			status, header, body, err := c.try(c.form("oauth2/token", "grant_type", "refresh_token", "refresh_token", refresh))
			name, value, _ := strings.Cut(w.header, ": ")
			if err != nil || status != w.status || header.Get(name) != value || !strings.Contains(body, w.body) {
				t.Errorf("%d: %d, %s %q, %q, %v", i, status, name, header.Get(name), body, err)
			}
		}
		if n := s.Injected(flowtest.Refresh) + s.Injected(flowtest.Token) + s.Injected(flowtest.Any); n != 0 {
			t.Errorf("%d faults are left", n)
		}
	})
}

func TestTruncate(t *testing.T) {
	each(t, func(t *testing.T, start func(...flowtest.Option) *flowtest.Server) {
		s := start()
		c := newTerminal(t, s)
		s.Inject(flowtest.Device, flowtest.Truncate())
		status, _, body, err := c.try(c.form("oauth2/device", "scope", deviceScope))
		if status != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) || body == "" || json.Valid([]byte(body)) {
			t.Errorf("%d, %q, %v", status, body, err)
		}
	})
}

func TestEdit(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	s.Inject(flowtest.Device, flowtest.Edit(func(m map[string]any) { delete(m, "interval"); m["expires_in"] = "1200" }))
	codes := c.codes(deviceScope)
	if _, ok := codes["interval"]; ok || codes["expires_in"] != "1200" {
		t.Errorf("%v", codes)
	}
}

// TestSlowAnswers keeps a client waiting that goes away: before handling, after
// it, and without end.
func TestSlowAnswers(t *testing.T) {
	for name, w := range map[string]struct {
		fault   flowtest.Fault
		handled int
	}{
		"Delay": {flowtest.Delay(time.Minute), 0},
		"Hold":  {flowtest.Hold(time.Minute), 1},
		"Hang":  {flowtest.Hang(), 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := flowtest.New()
			c := newTerminal(t, s)
			_, refresh := c.login(deviceScope)
			s.Inject(flowtest.Refresh, w.fault)
			ctx, cancel := context.WithTimeout(t.Context(), 59*time.Second)
			defer cancel()
			req := c.form("oauth2/token", "grant_type", "refresh_token", "refresh_token", refresh).WithContext(ctx)
			if _, _, _, err := c.try(req); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			if n := s.Succeeded(flowtest.Refresh); n != w.handled {
				t.Errorf("%s: %d refreshes were handled", name, n)
			}
		})
	}
}

// TestLatency has every request wait, and those that have a fault of their own as
// long as the longer of the two.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := flowtest.New(flowtest.WithLatency(300 * time.Millisecond))
		c := newTerminal(t, s)
		s.Inject(flowtest.Versions, flowtest.Status(503), flowtest.Delay(time.Second), flowtest.Delay(time.Millisecond))
		for _, want := range []time.Duration{300 * time.Millisecond, time.Second, 300 * time.Millisecond, 300 * time.Millisecond} {
			begin := time.Now()
			c.get(s.URL+"/_matrix/client/versions", "")
			if took := time.Since(begin); took != want {
				t.Errorf("took %v, want %v", took, want)
			}
		}
	})
}

// TestCut ends requests whose answer never comes: the client goes away, its
// connection is cut, the server is closed.
func TestCut(t *testing.T) {
	s := flowtest.NewServer()
	defer s.Close()
	c := newTerminal(t, s)
	ctx, leave := context.WithCancel(t.Context())
	if err := hanging(ctx, c, leave); !errors.Is(err, context.Canceled) {
		t.Errorf("after leaving: %v", err)
	}
	for i, cut := range []func(){s.CloseClientConnections, s.Close} {
		if err := hanging(t.Context(), c, cut); err == nil {
			t.Errorf("%d: there was an answer", i)
		}
	}
}

// hanging makes a request that is never answered, calls cut as soon as it has
// been sent, and returns how it ended.
func hanging(ctx context.Context, c *terminal, cut func()) error {
	sent := make(chan struct{})
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }})
	c.s.Inject(flowtest.Versions, flowtest.Hang())
	req := c.request(http.MethodGet, c.s.URL+"/_matrix/client/versions", "", "", "").WithContext(ctx)
	failed := make(chan error)
	go func() {
		_, _, _, err := c.try(req)
		failed <- err
	}()
	<-sent
	cut()
	return <-failed
}

func TestAuthDown(t *testing.T) {
	each(t, func(t *testing.T, start func(...flowtest.Option) *flowtest.Server) {
		s := start()
		c := newTerminal(t, s)
		used, _ := c.login(deviceScope)
		unused, refresh := c.login(apiScope)
		c.whoami(used)
		s.AuthDown(true)
		if _, _, _, err := c.try(c.form("oauth2/token", "grant_type", "refresh_token", "refresh_token", refresh)); err == nil {
			t.Error("the authorization server answers")
		}
		if status := c.whoami(unused); status != http.StatusServiceUnavailable {
			t.Errorf("whoami without memory: %d", status)
		}
		if status := c.whoami(used); status != http.StatusOK {
			t.Errorf("whoami from memory: %d", status)
		}
		s.AuthDown(false)
		if status, _ := c.refresh(refresh); status != http.StatusOK {
			t.Errorf("after the start: %d", status)
		}
	})
}
