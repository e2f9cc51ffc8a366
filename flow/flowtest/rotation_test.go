package flowtest_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestStrictRotation wants the session dead when a consumed token comes again,
// be its successor used or not.
func TestStrictRotation(t *testing.T) {
	s := flowtest.New(flowtest.WithStrictRotation())
	c := newTerminal(t, s)
	access, first := c.login(deviceScope)
	status, m := c.refresh(first)
	if status != http.StatusOK {
		t.Fatalf("the first refresh: %d", status)
	}
	if status, m := c.refresh(first); status != http.StatusBadRequest || m["error"] != "invalid_grant" {
		t.Errorf("the replay: %d, %v", status, m)
	}
	if status, _ := c.refresh(m["refresh_token"].(string)); status != http.StatusBadRequest {
		t.Errorf("the newest token after the replay: %d", status)
	}
	for _, token := range []string{access, m["access_token"].(string)} {
		if status := c.whoami(token); status != http.StatusUnauthorized {
			t.Errorf("an access token after the replay: %d", status)
		}
	}
}

// TestMemory lets the homeserver's memory of two minutes pass.
func TestMemory(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	access, refresh := c.login(deviceScope)
	c.whoami(access)
	c.refresh(refresh)
	s.Advance(119 * time.Second)
	if status := c.whoami(access); status != http.StatusOK {
		t.Errorf("within two minutes: %d", status)
	}
	s.Advance(2 * time.Second)
	if status := c.whoami(access); status != http.StatusUnauthorized {
		t.Errorf("after two minutes: %d", status)
	}
}

// TestMemoryEndsWithTheToken uses a token that lives shorter than the memory.
func TestMemoryEndsWithTheToken(t *testing.T) {
	s := flowtest.New(flowtest.WithTokenLifetime(time.Minute))
	c := newTerminal(t, s)
	access, _ := c.login(deviceScope)
	c.whoami(access)
	s.Advance(61 * time.Second)
	if status := c.whoami(access); status != http.StatusUnauthorized {
		t.Errorf("an expired token that is remembered: %d", status)
	}
}

// TestTogether refreshes the same token from many goroutines. Whatever the order,
// one chain lives.
func TestTogether(t *testing.T) {
	s := flowtest.NewServer()
	defer s.Close()
	c := newTerminal(t, s)
	_, first := c.login(deviceScope)
	var wg sync.WaitGroup
	var mu sync.Mutex
	alive := map[string]bool{}
	for range 20 {
		wg.Go(func() {
			status, m := c.refresh(first)
			mu.Lock()
			defer mu.Unlock()
			if status == http.StatusOK {
				alive[m["refresh_token"].(string)] = true
			}
		})
	}
	wg.Wait()
	good := 0
	for token := range alive {
		if status, _ := c.refresh(token); status == http.StatusOK {
			good++
		}
	}
	if len(alive) != 20 || good != 1 {
		t.Errorf("%d were answered, %d chains live", len(alive), good)
	}
	if n := s.Count(flowtest.Refresh); n != 40 {
		t.Errorf("%d refreshes were counted", n)
	}
}

// TestLogKeepsNoSecrets looks for tokens in the log.
func TestLogKeepsNoSecrets(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	access, refresh := c.login(deviceScope)
	c.whoami(access)
	c.refresh(refresh)
	log := s.Requests()
	for _, r := range log {
		text := strings.Join(r.FormKeys, " ") + r.Path + r.Scope + r.UserAgent
		for _, values := range r.Header {
			text += strings.Join(values, " ")
		}
		if strings.Contains(text, access) || strings.Contains(text, refresh) {
			t.Errorf("%s %s: the log holds a token", r.Method, r.Path)
		}
	}
	last := log[len(log)-1]
	if last.Endpoint != flowtest.Refresh || last.Status != 200 || strings.Join(last.FormKeys, " ") != "client_id grant_type refresh_token" ||
		last.UserAgent != "terminal/1 (<i>box</i>; Linux)" || last.ClientID != c.client {
		t.Errorf("the last line is %+v", last)
	}
	s.ForgetRequests()
	if n := s.Count(flowtest.Any); n != 0 {
		t.Errorf("%d requests are remembered", n)
	}
}
