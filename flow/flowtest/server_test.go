package flowtest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestBubble polls for twenty minutes of virtual time.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := flowtest.New()
		c := newTerminal(t, s)
		codes := c.codes(deviceScope)
		begin := time.Now()
		polls := 0
		for {
			time.Sleep(5 * time.Second)
			polls++
			_, m := c.poll(codes)
			if m["error"] == "expired_token" {
				break
			}
			if m["error"] != "authorization_pending" {
				t.Fatalf("%v", m)
			}
		}
		if d := time.Since(begin); d != 1205*time.Second || polls != 241 || s.Count(flowtest.Poll) != polls {
			t.Errorf("%d polls in %v, %d counted", polls, d, s.Count(flowtest.Poll))
		}
	})
}

// TestBubbleFromOutside uses a server that was made before the bubble, and waits
// in it.
func TestBubbleFromOutside(t *testing.T) {
	s := flowtest.New()
	synctest.Test(t, func(t *testing.T) {
		c := newTerminal(t, s)
		s.Inject(flowtest.Versions, flowtest.Delay(time.Hour), flowtest.Hang())
		begin := time.Now()
		if status, _ := c.get(s.URL+"/_matrix/client/versions", ""); status != http.StatusOK || time.Since(begin) != time.Hour {
			t.Errorf("%d after %v", status, time.Since(begin))
		}
		hc := s.Client()
		hc.Timeout = 10 * time.Second
		begin = time.Now()
		_, err := hc.Get(s.URL + "/_matrix/client/versions")
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(begin) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestMemoryNetwork(t *testing.T) {
	s := flowtest.New(flowtest.WithServerName("example.org"))
	hc := s.Client()
	for address, want := range map[string]error{
		"https://example.org/.well-known/matrix/client":      nil,
		"https://hs.example.org:443/_matrix/client/versions": nil,
		"https://elsewhere.test/":                            new(net.DNSError),
		"http://hs.example.org/":                             syscall.ECONNREFUSED,
	} {
		resp, err := hc.Get(address)
		var dns *net.DNSError
		switch want.(type) {
		case nil:
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %v", address, err)
			}
		case *net.DNSError:
			if !errors.As(err, &dns) || !dns.IsNotFound {
				t.Errorf("%s: %v", address, err)
			}
		default:
			if !errors.Is(err, want) {
				t.Errorf("%s: %v", address, err)
			}
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
	s.AuthDown(true)
	if _, err := hc.Get(s.Issuer); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while it is down: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hc.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancellation: %v", err)
	}
}

func TestListen(t *testing.T) {
	s := flowtest.NewServer()
	defer s.Close()
	addr := strings.TrimPrefix(s.URL, "http://")
	if !strings.HasPrefix(addr, "127.0.0.1:") || !strings.HasPrefix(s.Issuer, "http://127.0.0.1:") || !strings.HasSuffix(s.Issuer, "/") {
		t.Errorf("%s, %s", s.URL, s.Issuer)
	}
	if _, err := flowtest.Listen(flowtest.WithAddr(addr)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a taken address: %v", err)
	}
	s.Close()
	again, err := flowtest.Listen(flowtest.WithAddr(addr))
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if again.URL != s.URL {
		t.Errorf("%s, wanted %s", again.URL, s.URL)
	}
}

// TestPeople lets persons decide what they may not.
func TestPeople(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	if err := s.LockUser("alice"); err != nil {
		t.Fatal(err)
	}
	code := func(scope string) string { return c.codes(scope)["user_code"].(string) }
	decided, late := code(deviceScope), code(deviceScope)
	if err := errors.Join(s.Reject(decided, "root"), s.ExpireCode(late)); err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct {
		code, user string
		want       error
	}{
		{"NOCODE", "root", flowtest.ErrUnknown},
		{code(deviceScope), "nobody", flowtest.ErrUnknown},
		{code(deviceScope), "alice", flowtest.ErrLocked},
		{decided, "root", flowtest.ErrDecided},
		{late, "root", flowtest.ErrExpired},
		{code("profile"), "root", flowtest.ErrPolicy},
		{code("urn:matrix:client:device:ABCDEFGHIJ"), "root", flowtest.ErrPolicy},
		{code(apiScope + " urn:matrix:org.matrix.msc2967.client:api:*"), "root", flowtest.ErrPolicy},
		{code(apiScope + " urn:matrix:client:device:TOO_SHORT"), "root", flowtest.ErrPolicy},
		{code(apiScope + " urn:synapse:admin:* urn:mas:admin openid email urn:mas:graphql:*"), "root", nil},
	} {
		if err := s.Approve(w.code, w.user); !errors.Is(err, w.want) {
			t.Errorf("%s by %s: %v, wanted %v", w.code, w.user, err, w.want)
		}
	}
	s.SetDeviceGrant(false)
	if err := s.Approve(s.Pending()[0], "root"); !errors.Is(err, flowtest.ErrDeviceOff) {
		t.Errorf("with the grant off: %v", err)
	}
}

// TestStaleMetadata switches the device grant on behind the homeserver's back.
func TestStaleMetadata(t *testing.T) {
	s := flowtest.New(flowtest.WithDeviceGrant(false))
	c := &terminal{t: t, s: s}
	offered := func(address string) bool {
		_, m := c.get(address, "")
		return m["device_authorization_endpoint"] != nil
	}
	copied, own := s.URL+"/_matrix/client/v1/auth_metadata", s.Issuer+".well-known/openid-configuration"
	if offered(copied) || offered(own) {
		t.Error("the grant is offered")
	}
	s.SetDeviceGrant(true)
	if offered(copied) || !offered(own) {
		t.Error("the homeserver noticed, or the authorization server did not")
	}
	s.RestartHomeserver()
	if !offered(copied) {
		t.Error("the homeserver did not ask again")
	}
}

func TestLogIn(t *testing.T) {
	s := flowtest.New()
	tokens, err := s.LogIn("alice", deviceScope)
	if err != nil {
		t.Fatal(err)
	}
	c := &terminal{t: t, s: s, client: tokens.ClientID}
	if status := c.whoami(tokens.AccessToken); status != http.StatusOK {
		t.Errorf("whoami: %d", status)
	}
	if status, _ := c.refresh(tokens.RefreshToken); status != http.StatusOK {
		t.Errorf("refresh: %d", status)
	}
	if _, err := s.LogIn("alice", "offline_access"); !errors.Is(err, flowtest.ErrPolicy) {
		t.Errorf("a scope that is not allowed: %v", err)
	}
}

// TestIntrospection asks as the homeserver does.
func TestIntrospection(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	access, refresh := c.login(deviceScope)
	ask := func(secret, token string) (int, map[string]any) {
		req := c.request(http.MethodPost, s.Issuer+"oauth2/introspect", secret, "application/x-www-form-urlencoded", "token="+token)
		return c.do(req)
	}
	if status, m := ask("wrong", access); status != http.StatusUnauthorized || m["error"] != "invalid_client" {
		t.Errorf("with a wrong secret: %d, %v", status, m)
	}
	if _, m := ask(s.Secret, refresh); m["active"] != false || len(m) != 1 {
		t.Errorf("a refresh token: %v", m)
	}
	_, m := ask(s.Secret, access)
	const unstable = "urn:matrix:org.matrix.msc2967.client:"
	if m["active"] != true || m["username"] != "alice" || m["scope"] != deviceScope+" "+unstable+"api:* "+unstable+"device:TESTDEVICE" {
		t.Errorf("an access token: %v", m)
	}
}

func TestDevices(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	access, refresh := c.login(deviceScope)
	address := s.URL + "/_matrix/client/v3/devices/TESTDEVICE"
	if status, m := c.json(http.MethodPut, address, access, map[string]any{"display_name": "renamed"}); status != http.StatusOK || len(m) != 0 {
		t.Errorf("renaming: %d, %v", status, m)
	}
	if _, m := c.get(address, access); m["display_name"] != "renamed" {
		t.Errorf("the device is %v", m)
	}
	if status, m := c.json(http.MethodDelete, address, access, map[string]any{}); status != http.StatusNotFound || m["errcode"] != "M_UNRECOGNIZED" {
		t.Errorf("deleting: %d, %v", status, m)
	}
	c.do(c.form("oauth2/revoke", "token", refresh))
	if name := s.DeviceName("alice", "TESTDEVICE"); name != "" {
		t.Errorf("after the revocation it is called %q", name)
	}
}
