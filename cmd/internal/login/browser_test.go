package login

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/flow/flowtest"
	"github.com/mxauth/mxauth/keystore"
)

// browserStage is a server on loopback: a browser comes back by a socket.
func browserStage(t *testing.T) stage {
	t.Helper()
	store, err := keystore.Open(keystore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	server := flowtest.NewServer(flowtest.WithDeviceGrant(false))
	t.Cleanup(server.Close)
	return stage{t, server, store}
}

// TestBrowser comes back by itself, or by what a person pasted, after an address
// that is not the login's.
func TestBrowser(t *testing.T) {
	for _, by := range []string{"itself", "hand"} {
		s := browserStage(t)
		l := s.login()
		addresses := make(chan string, 2)
		l.Browser, l.Addresses = true, addresses
		var kinds []string
		var last flow.Event
		for e := range l.Start(t.Context(), s.server.URL) {
			last = e
			kinds = append(kinds, string(e.Kind))
			if e.Kind != flow.EventLink {
				continue
			}
			address, err := s.server.Authorize(e.Authorization.URI, "alice")
			if err != nil {
				t.Fatal(err)
			}
			if by == "hand" {
				addresses <- e.Authorization.RedirectURI
				addresses <- address
				close(addresses)
				continue
			}
			resp, err := http.Get(address)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
		want := "discover server register link answered approved done"
		if by == "hand" {
			want = strings.Replace(want, "link", "link stray", 1)
		}
		if got := strings.Join(kinds, " "); got != want || last.UserID != "@alice:example.test" {
			t.Errorf("by %s: %s, %v", by, got, last.Err)
		}
		if names := s.names(); len(names) != 1 {
			t.Errorf("by %s: sessions %q", by, names)
		}
	}
}

// TestBrowserUndone is for another device, declined, and given up:
// nothing stays.
func TestBrowserUndone(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(s stage, link string, stop func()) string
		code int
	}{
		"another device": {func(s stage, link string, _ func()) string {
			address, err := s.server.Authorize(link, "root")
			if err != nil {
				t.Error(err)
			}
			return address
		}, exit.Refused},
		"declined": {func(s stage, link string, _ func()) string {
			address, err := s.server.Deny(link, "alice")
			if err != nil {
				t.Error(err)
			}
			return address
		}, exit.Denied},
		"given up": {func(_ stage, _ string, stop func()) string { stop(); return "" }, 130},
	} {
		s := browserStage(t)
		l := s.login()
		addresses := make(chan string, 1)
		l.Browser, l.Addresses = true, addresses
		l.Name = "bot"
		ctx, stop := context.WithCancel(t.Context())
		var last flow.Event
		for e := range l.Start(ctx, s.server.URL) {
			last = e
			if e.Kind == flow.EventLink {
				if address := tt.end(s, e.Authorization.URI, stop); address != "" {
					addresses <- address
				}
			}
			if e.Kind == flow.EventApproved && name == "another device" {
				s.server.Inject(flowtest.WhoAmI, flowtest.Edit(func(m map[string]any) { m["device_id"] = "OTHERDEVICE" }))
			}
		}
		stop()
		if got := exit.Code(last.Err); got != tt.code {
			t.Errorf("%s: exit %d, %v", name, got, last.Err)
		}
		if names := s.names(); len(names) != 0 {
			t.Errorf("%s: sessions %q", name, names)
		}
	}
}
