package main

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// accountOf logs in where the metadata of the server was changed.
func accountOf(t *testing.T, change func(map[string]any)) (box, *flowtest.Server, event) {
	t.Helper()
	s := startServer(t)
	if change != nil {
		s.Inject(flowtest.Metadata, flowtest.Edit(change))
	}
	b := newBox(t, "MXAUTH_STORE=plaintext")
	return b, s, b.loggedIn(s)
}

// TestAccount prints links, and asks no server for them.
func TestAccount(t *testing.T) {
	b, s, _ := accountOf(t, nil)
	device := deviceOf(t, b)
	s.ForgetRequests()
	page := strings.TrimSpace(b.must(0, "account").stdout)
	if !strings.HasPrefix(page, s.Issuer) || strings.Contains(page, "?") {
		t.Errorf("the page is %q", page)
	}
	for name, want := range map[string]string{
		"profile":    "action=org.matrix.profile",
		"devices":    "action=org.matrix.devices_list",
		"device":     "action=org.matrix.device_view&device_id=" + device,
		"end-device": "action=org.matrix.device_delete&device_id=" + device,
		"reset-keys": "action=org.matrix.cross_signing_reset",
	} {
		if r := b.must(0, "account", name); r.stdout != page+"?"+want+"\n" || r.stderr != "" {
			t.Errorf("%s: %q, it said %q", name, r.stdout, r.stderr)
		}
	}
	var j accountJSON
	if err := json.Unmarshal([]byte(b.must(0, "account", "devices", "--json").stdout), &j); err != nil || j.URL != j.Links["devices"] || len(j.Links) != 5 {
		t.Errorf("%+v, %v", j, err)
	}
	if r := b.must(0, "account", "devices", "--qr"); !strings.Contains(r.stdout, "█") || !strings.HasSuffix(r.stdout, "\n"+j.URL+"\n") {
		t.Errorf("%d bytes with --qr", len(r.stdout))
	}
	b.must(2, "account", "teapot")
	b.must(2, "account", "--qr", "--json")
	b.must(4, "account", "--session", "nobody")
	if r := b.must(6, "account", "deactivate"); !strings.Contains(r.stderr, "reset-keys") || strings.Count(r.stderr, "\n") != 2 {
		t.Errorf("what is not offered: %q", r.stderr)
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// TestAccountOfOtherServers meets what other servers advertise.
func TestAccountOfOtherServers(t *testing.T) {
	t.Run("no page", func(t *testing.T) {
		b, _, _ := accountOf(t, func(m map[string]any) { delete(m, "account_management_uri") })
		b.must(6, "account")
		b.must(6, "account", "devices")
	})
	t.Run("no actions", func(t *testing.T) {
		b, _, _ := accountOf(t, func(m map[string]any) { delete(m, "account_management_actions_supported") })
		b.must(0, "account")
		b.must(6, "account", "devices")
	})
	t.Run("older names, and a query", func(t *testing.T) {
		b, _, _ := accountOf(t, func(m map[string]any) {
			m["account_management_uri"] = "https://account.example.org/?lang=de%20at"
			m["account_management_actions_supported"] = []any{"session_end", "org.matrix.sessions_list", "org.matrix.evil\n"}
		})
		device := deviceOf(t, b)
		for name, want := range map[string]url.Values{
			"devices":    {"lang": {"de at"}, "action": {"org.matrix.sessions_list"}},
			"end-device": {"lang": {"de at"}, "action": {"session_end"}, "device_id": {device}},
		} {
			u, err := url.Parse(strings.TrimSpace(b.must(0, "account", name).stdout))
			if err != nil || u.Host != "account.example.org" || !maps.EqualFunc(u.Query(), want, slices.Equal) {
				t.Errorf("%s: %v, %v", name, u, err)
			}
		}
		b.must(6, "account", "profile")
	})
	t.Run("no device", func(t *testing.T) {
		s := startServer(t)
		b := newBox(t, "MXAUTH_STORE=plaintext")
		if done, code := b.login(approveAs(t, s, "root"), s.URL, "--scope", "mas-admin", "--name", "admin"); code != 0 {
			t.Fatal(done.Error)
		}
		b.must(0, "account", "devices")
		b.must(2, "account", "device")
		if all := b.must(0, "account", "--json").stdout; strings.Contains(all, "device_id") || !strings.Contains(all, "devices_list") {
			t.Errorf("without a device: %s", all)
		}
	})
	t.Run("ended", func(t *testing.T) {
		b, s, _ := accountOf(t, nil)
		if err := s.EndSession(strings.TrimSpace(b.must(0, "token").stdout)); err != nil {
			t.Fatal(err)
		}
		b.must(4, "refresh")
		if got := b.must(0, "account", "devices").stdout; !strings.HasPrefix(got, s.Issuer) {
			t.Errorf("%q", got)
		}
	})
}
