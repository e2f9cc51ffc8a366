package flow

import "testing"

func TestAccountLink(t *testing.T) {
	mas := []string{"org.matrix.profile", "org.matrix.devices_list", "org.matrix.device_view"}
	for name, c := range map[string]struct {
		account string
		actions []string
		action  string
		device  string
		want    string // empty: none
	}{
		"the page":            {"https://a.example.org/account/", mas, "", "", "https://a.example.org/account/"},
		"profile":             {"https://a.example.org/account/", mas, "profile", "", "https://a.example.org/account/?action=org.matrix.profile"},
		"this device":         {"https://a.example.org/account/", mas, "device_view", "A~&B", "https://a.example.org/account/?action=org.matrix.device_view&device_id=A~%26B"},
		"a query stays":       {"https://a.example.org/me?lang=de", mas, "profile", "", "https://a.example.org/me?action=org.matrix.profile&lang=de"},
		"bare name":           {"https://a.example.org/", []string{"device_view"}, "device_view", "D", "https://a.example.org/?action=device_view&device_id=D"},
		"older name":          {"https://a.example.org/", []string{"org.matrix.session_view"}, "device_view", "D", "https://a.example.org/?action=org.matrix.session_view&device_id=D"},
		"oldest name":         {"https://a.example.org/", []string{"session_end"}, "device_delete", "D", "https://a.example.org/?action=session_end&device_id=D"},
		"not advertised":      {"https://a.example.org/", mas, "account_deactivate", "", ""},
		"no page":             {"", mas, "", "", ""},
		"nothing is made up":  {"https://a.example.org/", nil, "profile", "", ""},
		"no half of an older": {"https://a.example.org/", []string{"org.matrix.session"}, "device", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Server{Issuer: "https://a.example.org/", Account: c.account, Actions: c.actions}.AccountLink(c.action, c.device)
			if got != c.want || (err == nil) != (c.want != "") || err != nil && KindOf(err) != KindUnsupported {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}
