package flow

import (
	"net/url"
	"slices"
	"strings"
)

// AccountLink returns the address of the page where people manage their account
// (MSC4191), for one of the actions that the server advertises: "profile",
// "devices_list", "device_view", and whatever else it names. device is the
// device that the action is about, or empty. An empty action is the page itself.
//
// Names are given without their prefix; older servers advertise session_view
// and its like, which are taken for device_view.
//
// Errors: KindUnsupported where the server has no such page, or not this action.
func (s Server) AccountLink(action, device string) (string, error) {
	e := &Error{Kind: KindUnsupported, Op: "find the account page", Host: hostOf(s.Issuer)}
	u, err := url.Parse(s.Account)
	if s.Account == "" || err != nil {
		e.Problem = e.Host + " advertises no account page"
		return "", e
	}
	q := u.Query()
	if action != "" {
		known, ok := s.advertised(action)
		if !ok {
			e.Problem = e.Host + " advertises no page for " + Clean(action, 60)
			return "", e
		}
		q.Set("action", known)
	}
	if device != "" {
		q.Set("device_id", device)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// advertised finds an action as the server spells it: with the prefix of MSC4191,
// bare, or by its older name.
func (s Server) advertised(action string) (string, bool) {
	older := strings.NewReplacer("devices_list", "sessions_list", "device_view", "session_view", "device_delete", "session_end").Replace(action)
	for _, name := range []string{"org.matrix." + action, action, "org.matrix." + older, older} {
		if slices.Contains(s.Actions, name) {
			return name, true
		}
	}
	return "", false
}
