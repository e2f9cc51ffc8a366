package flowtest_test

import (
	"net/http"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

func TestPersonalitiesAnswer(t *testing.T) {
	for _, p := range []flowtest.Personality{flowtest.MAS, flowtest.Tuwunel, flowtest.Continuwuity} {
		each(t, func(t *testing.T, start func(...flowtest.Option) *flowtest.Server) {
			s := start(flowtest.As(p))
			resp, err := s.Client().Get(s.URL + "/_matrix/client/v1/auth_metadata")
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK || s.Personality() != p {
				t.Errorf("%s: %d, %v", p, resp.StatusCode, err)
			}
		})
	}
}
