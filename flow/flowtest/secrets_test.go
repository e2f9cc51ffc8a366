package flowtest_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestSecrets takes secrets in every way that there is. The server must know all
// of them, those that a test made and those whose answer was lost half-way too.
func TestSecrets(t *testing.T) {
	each(t, func(t *testing.T, start func(...flowtest.Option) *flowtest.Server) {
		s := start()
		s.Inject(flowtest.Register, flowtest.Edit(func(m map[string]any) {
			m["client_secret"], m["registration_access_token"] = "the client's", "the registration's"
		}))
		c := newTerminal(t, s)
		codes := c.codes("openid " + deviceScope)
		if err := s.Approve(codes["user_code"].(string), "alice"); err != nil {
			t.Fatal(err)
		}
		_, m := c.poll(codes)
		_, next := c.refresh(m["refresh_token"].(string))
		s.Inject(flowtest.Refresh, flowtest.Raw(http.StatusOK, "text/plain", `{"access_token":"raw","refresh_token":7}`))
		c.refresh("any")
		want := []flowtest.Secret{{Name: "client_secret", Value: "the client's"}, {Name: "registration_access_token", Value: "the registration's"}}
		for _, name := range []string{"device_code", "user_code"} {
			want = append(want, flowtest.Secret{Name: name, Value: codes[name].(string)})
		}
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			want = append(want, flowtest.Secret{Name: name, Value: m[name].(string)})
		}
		for _, name := range []string{"access_token", "refresh_token"} {
			want = append(want, flowtest.Secret{Name: name, Value: next[name].(string)})
		}
		want = append(want, flowtest.Secret{Name: "access_token", Value: "raw"})
		if got := s.Secrets(); !slices.Equal(got, want) {
			t.Errorf("%d secrets:\n%v\nwant %d:\n%v", len(got), got, len(want), want)
		}
	})
}
