package flow

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// An exchange is a recorded request with its answer, as far as it is read here;
// the README beside the recordings tells the format.
type exchange struct {
	Name    string
	Request *struct {
		Method, URL string
		Form        map[string]string
	}
	Response struct {
		Status  int
		Headers map[string]string
		JSON    json.RawMessage
		Text    string
		HTML    bool
	}
}

// operation tells what a request was for, if Agents make such requests.
func (e exchange) operation() (operation, bool) {
	form := e.Request.Form
	switch {
	case e.Request.Method == http.MethodGet && strings.HasSuffix(e.Request.URL, "/.well-known/openid-configuration"):
		return opDiscover, true
	case e.Request.Method != http.MethodPost:
		return 0, false
	case form["grant_type"] == grantDeviceCode:
		return opPoll, true
	case form["grant_type"] == "refresh_token":
		return opRefresh, true
	case strings.HasSuffix(e.Request.URL, "/revoke"):
		return opRevoke, true
	case strings.Contains(e.Request.URL, "regist"):
		return opRegister, true
	}
	return opStart, strings.Contains(e.Request.URL, "device") && form["grant_type"] == ""
}

func (e exchange) answer(op operation) answer {
	a := answer{op: op, host: "as.example.org", status: e.Response.Status, header: http.Header{}, whole: true,
		media: e.Response.Headers["content-type"], body: []byte(e.Response.Text)}
	if e.Response.HTML {
		a.body = []byte("<!doctype html>")
	}
	if e.Response.JSON != nil {
		a.body = e.Response.JSON
	}
	a.readError()
	return a
}

// exchanges reads a recording, with values in the place of its placeholders.
func exchanges(t *testing.T, file string) []exchange {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`\{\{[a-z]+\}\}`).ReplaceAllString(string(b), "https://as.example.org")
	text = regexp.MustCompile(`\{\{([a-z_ ]+)\.(\d+)\}\}`).ReplaceAllString(text, "x-$2")
	var rec struct{ Steps []exchange }
	if err := json.Unmarshal([]byte(text), &rec); err != nil {
		t.Fatal(err)
	}
	return rec.Steps
}

// expected is what an error code means to an operation, written down a second
// time: judge must come to the same.
func expected(op operation, code string, status int) verdict {
	polling, refreshing := op == opPoll, op == opRefresh
	switch code {
	case "authorization_pending":
		return pending
	case "slow_down":
		return slowDown
	case "access_denied":
		return declined
	case "expired_token":
		return expired
	case "invalid_client", "unauthorized_client":
		return clientDead
	case "invalid_grant":
		if polling || refreshing || op == opRevoke {
			return grantDead
		}
	case "server_error":
		return temporary
	case "invalid_request", "invalid_scope", "unsupported_grant_type":
		return unknown
	}
	if refreshing || code == "" && (status >= 500 || op == opPoll || op == opRevoke) {
		return temporary
	}
	return unknown
}

// Every answer of a real server that an Agent could get is read: successes to
// their end, refusals as what they are.
func TestRecordedAnswers(t *testing.T) {
	files, err := filepath.Glob("flowtest/testdata/recordings/*.json")
	if err != nil {
		t.Fatal(err)
	}
	good, refused := map[operation]int{}, map[operation]int{}
	s := Server{Issuer: "https://as.example.org", Homeserver: "https://as.example.org"}
	for _, file := range files {
		for _, e := range exchanges(t, file) {
			if e.Request == nil {
				continue
			}
			op, ours := e.operation()
			if !ours {
				continue
			}
			a := e.answer(op)
			var err error
			switch v := judge(a); {
			case v != success:
				refused[op]++
				if want := expected(op, a.code, a.status); v != want && a.errcode == "" && !a.oddError {
					t.Errorf("%s, %s, %v: %d %q is taken as %d, want %d", filepath.Base(file), e.Name, op, a.status, a.code, v, want)
				}
				continue
			case op == opDiscover:
				doc := metadata{from: a}
				if err = a.decode(&doc); err == nil {
					_, err = doc.server()
				}
			case op == opRegister:
				if _, err = readClient(a); KindOf(err) == KindUnsupported {
					err = nil // a method was asked for that no Agent asks for
				}
			case op == opStart:
				_, err = readCode(a, s, Request{}, time.Now())
			case op == opPoll, op == opRefresh:
				_, _, err = readTokens(a, time.Now())
			}
			good[op]++
			if err != nil {
				t.Errorf("%s, %s, %v: %v: %s", filepath.Base(file), e.Name, op, err, a.body)
			}
		}
	}
	t.Logf("read %v, refused %v", good, refused)
	for _, op := range []operation{opDiscover, opRegister, opStart, opPoll, opRefresh, opRevoke} {
		if good[op] < 5 || op != opDiscover && refused[op] < 5 {
			t.Errorf("%v: %d answers read, %d refused: too few to show anything", op, good[op], refused[op])
		}
	}
}
