package flow

import (
	"net/http"
	"testing"
)

func TestJudge(t *testing.T) {
	const json, html = "application/json", "text/html"
	tests := []struct {
		name   string
		status int
		media  string
		body   string
		want   map[operation]verdict
	}{
		{"pending as 403 (MAS)", 403, json, `{"error":"authorization_pending"}`, map[operation]verdict{opPoll: pending, opRefresh: temporary, opStart: unknown}},
		{"pending as 400", 400, json, `{"error":"authorization_pending"}`, map[operation]verdict{opPoll: pending}},
		{"pending with 200", 200, json, `{"error":"authorization_pending","access_token":"x"}`, map[operation]verdict{opPoll: pending}},
		{"slow_down as 429 (Tuwunel)", 429, json, `{"error":"slow_down"}`, map[operation]verdict{opExchange: temporary, opPoll: slowDown, opRefresh: temporary}},
		{"declined", 403, json, `{"error":"access_denied"}`, map[operation]verdict{opPoll: declined, opExchange: declined, opRedirect: declined, opRefresh: temporary}},
		{"expired", 403, json, `{"error":"expired_token"}`, map[operation]verdict{opPoll: expired, opRefresh: temporary}},
		{"dead grant", 400, json, `{"error":"invalid_grant"}`, map[operation]verdict{opPoll: grantDead, opExchange: grantDead, opRefresh: grantDead, opRevoke: grantDead, opRedirect: unknown, opStart: unknown}},
		{"dead grant with 500", 500, json, `{"error":"invalid_grant"}`, map[operation]verdict{opRefresh: grantDead}},
		{"unknown client", 401, json, `{"error":"invalid_client"}`, map[operation]verdict{opPoll: clientDead, opRefresh: clientDead, opStart: clientDead}},
		{"client without the grant", 401, json, `{"error":"unauthorized_client"}`, map[operation]verdict{opRefresh: clientDead, opStart: clientDead}},
		{"bad request", 400, json, `{"error":"invalid_request"}`, map[operation]verdict{opExchange: unknown, opRedirect: unknown, opPoll: unknown, opRefresh: unknown, opRevoke: unknown}},
		{"malformed form at MAS", 500, json, `{"error":"server_error"}`, map[operation]verdict{opExchange: temporary, opRedirect: temporary, opPoll: temporary, opRefresh: temporary, opRegister: temporary}},
		{"a new code", 400, json, `{"error":"strange_thing"}`, map[operation]verdict{opPoll: unknown, opRefresh: temporary}},
		{"prose (Hydra, Keycloak)", 400, json, `{"error":"The request failed."}`, map[operation]verdict{opPoll: unknown, opRefresh: temporary, opRegister: unknown}},
		{"an object (Hydra)", 404, json, `{"error":{"code":404}}`, map[operation]verdict{opPoll: unknown, opRefresh: temporary}},
		{"Matrix error", 403, json, `{"errcode":"M_FORBIDDEN","error":"invalid_grant"}`, map[operation]verdict{opPoll: temporary, opRefresh: temporary, opRegister: unknown, opExchange: unknown}},
		{"Matrix 429", 429, json, `{"errcode":"M_LIMIT_EXCEEDED","error":"Too Many Requests"}`, map[operation]verdict{opRefresh: temporary, opRegister: temporary}},
		{"proxy 502", 502, html, `<h1>Bad gateway</h1>`, map[operation]verdict{opPoll: temporary, opExchange: temporary, opRefresh: temporary, opRevoke: temporary, opStart: temporary}},
		{"firewall 403", 403, html, `<h1>Blocked</h1>`, map[operation]verdict{opPoll: temporary, opExchange: unknown, opRefresh: temporary, opStart: unknown}},
		{"plain 422 (axum)", 422, "text/plain", `Failed to deserialize`, map[operation]verdict{opRefresh: temporary, opStart: unknown}},
		{"redirect", 307, html, ``, map[operation]verdict{opPoll: unsafe, opExchange: unsafe, opRefresh: unsafe, opRevoke: unsafe, opRegister: unsafe}},
		{"empty 200 (revocation)", 200, "", ``, map[operation]verdict{opRevoke: success}},
		{"tokens", 200, json, `{"access_token":"x","token_type":"Bearer"}`, map[operation]verdict{opPoll: success, opExchange: success, opRefresh: success}},
		{"the error in another case", 200, json, `{"ERROR":"invalid_grant","access_token":"x"}`, map[operation]verdict{opRefresh: success}},
		{"two errors", 400, json, `{"error":"slow_down","error":"invalid_grant"}`, map[operation]verdict{opRefresh: temporary}},
	}
	for _, tt := range tests {
		for op, want := range tt.want {
			a := answer{op: op, status: tt.status, media: tt.media, header: http.Header{}, body: []byte(tt.body), whole: true}
			a.readError()
			if got := judge(a); got != want {
				t.Errorf("%s, %v: got %d, want %d", tt.name, op, got, want)
			}
		}
	}
}

// Every verdict but success and the two that go on must word an error with a
// kind that says what happens to the session.
func TestRefusalKinds(t *testing.T) {
	for v, want := range map[verdict]Kind{
		declined: KindDeclined, expired: KindExpired, grantDead: KindEnded, clientDead: KindEnded,
		unknown: KindRefused, temporary: KindTemporary, unsafe: KindInvalid,
	} {
		e := answer{op: opRefresh, host: "example.org", status: 400, header: http.Header{}}.refusal(v)
		if e.Kind != want {
			t.Errorf("verdict %d: got %v, want %v", v, e.Kind, want)
		}
	}
}
