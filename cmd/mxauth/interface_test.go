package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/cmd/internal/exit"
)

// TestInterface holds exit codes and the members of JSON output as scripts know
// them. A new member breaks nobody; one that goes or changes its name needs a new
// major version.
func TestInterface(t *testing.T) {
	codes := []int{exit.OK, exit.Bug, exit.Usage, exit.Denied, exit.Ended, exit.Temporary, exit.Refused, exit.Store, exit.Busy}
	for want, code := range codes {
		if code != want || exit.Retryable(code) != (code == 5 || code == 8) {
			t.Errorf("exit code %d became %d, retryable: %v", want, code, exit.Retryable(code))
		}
	}
	for _, tt := range []struct {
		output any
		want   string
	}{
		{tokenJSON{}, "access_token token_type expires_at scope homeserver user_id device_id"},
		{sessionJSON{}, "name server homeserver issuer user_id device_id scope store expires_at default ended"},
		{accountJSON{}, "session url links"},
		{check{}, "name ok found advice"},
		{failure{}, "error code exit retryable host hint"},
		{eventLine{}, "event time server issuer user_code verification_uri verification_uri_complete authorization_uri redirect_uri expires_at device_id device_name retry_at text name user_id exit error"},
	} {
		typ := reflect.TypeOf(tt.output)
		var members []string
		for i := range typ.NumField() {
			if name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); name != "" {
				members = append(members, name)
			}
		}
		for _, name := range strings.Fields(tt.want) {
			if !slices.Contains(members, name) {
				t.Errorf("%s has no member %q any more: %q", typ.Name(), name, members)
			}
		}
	}
}
