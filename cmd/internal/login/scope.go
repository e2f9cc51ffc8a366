package login

import (
	"strings"

	"github.com/mxauth/mxauth/flow"
)

// withoutDevice drops the device word, which differs from login to login.
func withoutDevice(scope string) string {
	var out []string
	for _, w := range strings.Fields(scope) {
		if !strings.Contains(w, "client:device:") {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// SameScope compares what a session has with what is asked for, any device
// counting as equal.
func SameScope(a, b string) bool { return flow.SameScope(withoutDevice(a), withoutDevice(b)) }
