package flow

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A recorded conversation is served to an Agent answer by answer. What the Agent
// must take each for stands beside the recording, in a file of the same name
// that ends in .decisions: a line for each answer, the decision and the name of
// the step. So a new server is two files, and no code.

// recordings is where both lie; flowtest's replay reads them too.
const recordings = "flowtest/testdata/recordings"

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
	if e.Request == nil {
		return 0, false
	}
	form, post := e.Request.Form, e.Request.Method == http.MethodPost
	ends := func(suffix string) bool { return strings.HasSuffix(e.Request.URL, suffix) }
	switch {
	case !post && ends("/.well-known/openid-configuration"):
		return opDiscover, true
	case !post && (ends("/userinfo") || ends("/me")):
		return opIdentity, true
	case !post:
		return 0, false
	case form["grant_type"] == grantDeviceCode:
		return opPoll, true
	case form["grant_type"] == "refresh_token":
		return opRefresh, true
	case ends("/revoke") || ends("/revocation"):
		return opRevoke, true
	case strings.Contains(e.Request.URL, "/reg") || ends("/clients-registrations/openid-connect"):
		return opRegister, true
	}
	return opStart, strings.Contains(e.Request.URL, "device") && form["grant_type"] == ""
}

// response is the recorded answer to a request of today.
func (e exchange) response(req *http.Request) *http.Response {
	h := http.Header{}
	for name, value := range e.Response.Headers {
		h.Set(name, value)
	}
	body := []byte(e.Response.Text)
	switch {
	case e.Response.HTML:
		body = []byte("<!doctype html><title>A page</title>")
	case e.Response.JSON != nil:
		body = e.Response.JSON
	}
	return &http.Response{StatusCode: e.Response.Status, Header: h, Body: io.NopCloser(bytes.NewReader(body)), Request: req}
}

// exchanges reads a recording, with values in the place of its placeholders.
func exchanges(t *testing.T, file string) []exchange {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`\{\{[a-z]+\}\}`).ReplaceAllString(string(b), "https://as.example.org")
	text = regexp.MustCompile(`\{\{([a-z_ ]+)\.(\d+)\}\}`).ReplaceAllString(text, "$1-$2")
	text = strings.NewReplacer("access_token-", "at-", "refresh_token-", "rt-", "user_code-", "CODE-", "_code-", "-").Replace(text)
	var rec struct{ Steps []exchange }
	if err := json.Unmarshal([]byte(text), &rec); err != nil {
		t.Fatal(err)
	}
	return rec.Steps
}

// A prompter answers the requests of one Agent.
type prompter func(*http.Request) (*http.Response, error)

func (p prompter) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.PostForm, _ = url.ParseQuery(string(b)) // a registration is none
	}
	return p(req)
}

func (p prompter) agent() *Agent { return &Agent{HTTP: &http.Client{Transport: p}, Version: "1.2.3"} }

// oneAnswer gives the same answer to everything.
func oneAnswer(e exchange) *Agent {
	return prompter(func(req *http.Request) (*http.Response, error) { return e.response(req), nil }).agent()
}

// The server of the recordings, and a session and a code there.
func recordedServer() Server {
	const as = "https://as.example.org"
	return Server{Name: "as.example.org", Issuer: as, Device: as + "/device", Token: as + "/token", Registration: as + "/register",
		Revocation: as + "/revoke", Userinfo: as + "/userinfo"}
}

func recordedSession(form map[string]string) Session {
	return Session{Server: recordedServer(), Client: Client{ID: cmp.Or(form["client_id"], "client")}, Scope: "openid offline_access",
		AccessToken: NewSecret("old-access"), RefreshToken: NewSecret(cmp.Or(form["refresh_token"], form["token"], "old-refresh")), Issued: time.Now()}
}

// dead is how most servers answer for a token that they do not know any more.
func dead() (e exchange) {
	e.Response.Status, e.Response.JSON = http.StatusBadRequest, json.RawMessage(`{"error":"invalid_grant"}`)
	return e
}

// word names what an error means, by its kind.
func word(err error, good string) string {
	if err == nil {
		return good
	}
	return KindOf(err).String()
}

// decision drives an Agent with the answer at i and tells what it took it for.
func decision(t *testing.T, steps []exchange, i int, op operation) string {
	e := steps[i]
	agent, s := oneAnswer(e), recordedServer()
	switch op {
	case opDiscover:
		found, err := agent.DiscoverIssuer(t.Context(), strings.TrimSuffix(e.Request.URL, "/.well-known/openid-configuration"))
		if err == nil && found.Device == "" {
			return "server without the device grant"
		}
		return word(err, "server")
	case opRegister:
		c, err := agent.Register(t.Context(), s, Registration{})
		if err == nil && !c.Secret.Empty() {
			return "client with a secret"
		}
		return word(err, "client")
	case opStart:
		_, err := agent.Start(t.Context(), s, Client{ID: "client"}, Request{Scope: "openid"})
		return word(err, "code")
	case opPoll:
		return pollDecision(t, e)
	case opRefresh:
		return refreshDecision(t, e)
	case opRevoke:
		return revokeDecision(t, steps, i)
	}
	_, err := agent.WhoAmI(t.Context(), recordedSession(nil))
	return word(err, "identity")
}

// pollDecision sees by the time of the next poll how a poll that ended nothing
// was taken: RFC 8628 section 3.5.
func pollDecision(t *testing.T, e exchange) string {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var polls []time.Time
	agent := prompter(func(req *http.Request) (*http.Response, error) {
		if req.PostForm.Get("grant_type") != grantDeviceCode { // tokens that must not be kept are revoked
			return dead().response(req), nil
		}
		if polls = append(polls, time.Now()); len(polls) == 2 {
			cancel()
		}
		return e.response(req), nil
	}).agent()
	code := Code{UserCode: "CODE", Expiry: time.Now().Add(10 * time.Minute), Interval: 5 * time.Second, Scope: "openid", deviceCode: NewSecret("device-1")}
	_, err := agent.Wait(ctx, recordedServer(), Client{ID: "client"}, code, nil)
	if len(polls) == 1 {
		return word(err, "tokens")
	}
	switch gap := polls[1].Sub(polls[0]); gap {
	case 5*time.Second + pollMargin:
		return "pending"
	case 10*time.Second + pollMargin:
		if strings.Contains(string(e.Response.JSON), `"slow_down"`) {
			return "slow_down"
		}
		return "temporary"
	default:
		t.Errorf("%s: the next poll came after %v", e.Name, gap)
		return "?"
	}
}

// refreshDecision wants a refresh that is tried again to send the same token.
func refreshDecision(t *testing.T, e exchange) string {
	sent := map[string]int{}
	agent := prompter(func(req *http.Request) (*http.Response, error) {
		sent[req.PostForm.Get("refresh_token")]++
		return e.response(req), nil
	}).agent()
	s := recordedSession(e.Request.Form)
	next, err := agent.Refresh(t.Context(), s)
	switch {
	case len(sent) != 1 || sent[s.RefreshToken.Reveal()] == 0:
		t.Errorf("%s: what was sent: %v", e.Name, sent)
	case err == nil && (next.AccessToken.Equal(s.AccessToken) || next.RefreshToken.Empty()):
		t.Errorf("%s: the session has no new token", e.Name)
	case err != nil && (!next.RefreshToken.Equal(s.RefreshToken) || !next.AccessToken.Equal(s.AccessToken)):
		t.Errorf("%s: a failure changed the session", e.Name)
	case (sent[s.RefreshToken.Reveal()] > 1) != (KindOf(err) == KindTemporary && err != nil):
		t.Errorf("%s: tried %d times, %v", e.Name, sent[s.RefreshToken.Reveal()], err)
	}
	return word(err, "tokens")
}

// revokeDecision proves the revocation by what the recorded server said when the
// token came next; where it did not come again, it counts as dead.
func revokeDecision(t *testing.T, steps []exchange, i int) string {
	token := steps[i].Request.Form["token"]
	proof := dead()
	for _, e := range steps[i+1:] {
		if op, ours := e.operation(); ours && op == opRefresh && e.Request.Form["refresh_token"] == token {
			proof = e
			break
		}
	}
	agent := prompter(func(req *http.Request) (*http.Response, error) {
		if req.URL.Path == "/revoke" {
			return steps[i].response(req), nil
		}
		return proof.response(req), nil
	}).agent()
	err := agent.Revoke(t.Context(), recordedSession(steps[i].Request.Form))
	if KindOf(err) == KindInvalid && strings.Contains(err.Error(), "goes on giving out tokens") {
		return "alive"
	}
	return word(err, "dead")
}

// TestRecordedAnswers serves every answer of every recorded server that an Agent
// could get.
func TestRecordedAnswers(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	total := map[operation]map[string]int{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			steps := exchanges(t, file)
			var got []string
			decided := map[int]string{}
			synctest.Test(t, func(t *testing.T) {
				for i, e := range steps {
					op, ours := e.operation()
					if !ours {
						continue
					}
					d := decision(t, steps, i, op)
					got = append(got, fmt.Sprintf("%-12s %s", d, e.Name))
					if total[op] == nil {
						total[op] = map[string]int{}
					}
					total[op][d]++
					decided[i] = d
				}
				waits(t, steps, decided)
			})
			compareDecisions(t, strings.TrimSuffix(file, ".json")+".decisions", got)
		})
	}
	for _, op := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%s: %v", op, total[op])
	}
}

// waits serves all polls of a device code, in their order, to one Wait: it must
// end with the first that decides, and never ask earlier than it was told.
func waits(t *testing.T, steps []exchange, decided map[int]string) {
	polls := map[string][]int{}
	for i, e := range steps {
		if op, ours := e.operation(); ours && op == opPoll {
			polls[e.Request.Form["device_code"]] = append(polls[e.Request.Form["device_code"]], i)
		}
	}
	for code, order := range polls {
		waiting := func(i int) bool {
			return slices.Contains([]string{"pending", "slow_down", "temporary"}, decided[i])
		}
		last := slices.IndexFunc(order, func(i int) bool { return !waiting(i) })
		if last < 0 {
			continue // the recording ends before anything is decided
		}
		served, pause, before := 0, 5*time.Second, time.Now()
		agent := prompter(func(req *http.Request) (*http.Response, error) {
			if req.PostForm.Get("grant_type") != grantDeviceCode {
				return dead().response(req), nil
			}
			if served > last {
				t.Errorf("%s: polled again after %q", code, steps[order[last]].Name)
				return dead().response(req), nil
			}
			if gap := time.Since(before); gap < pause+pollMargin {
				t.Errorf("%s: polled after %v, want %v at least", steps[order[served]].Name, gap, pause+pollMargin)
			}
			if decided[order[served]] == "slow_down" {
				pause += slowDownStep
			}
			before, served = time.Now(), served+1
			return steps[order[served-1]].response(req), nil
		}).agent()
		_, err := agent.Wait(t.Context(), recordedServer(), Client{ID: "client"}, Code{UserCode: "CODE",
			Expiry: before.Add(time.Hour), Interval: pause, Scope: "openid", deviceCode: NewSecret(cmp.Or(code, "none"))}, nil)
		if end := word(err, "tokens"); served != last+1 || end != decided[order[last]] {
			t.Errorf("%s: ended with %s after %d polls, want %s after %d", steps[order[last]].Name, end, served, decided[order[last]], last+1)
		}
	}
}

// TestRegistrationMembers holds the members of a registration against one that
// Keycloak took: it refuses what it does not know (its recording, "unknown
// member"), so there may be no others.
func TestRegistrationMembers(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(recordings, "keycloak.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rec struct {
		Steps []struct {
			Request  struct{ JSON map[string]any }
			Response struct{ Status int }
		}
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, st := range rec.Steps {
		for name := range st.Request.JSON {
			taken[name] = taken[name] || st.Response.Status == http.StatusCreated
		}
	}
	body, err := json.Marshal(newRegistration(Registration{}))
	if err != nil {
		t.Fatal(err)
	}
	var ours map[string]any
	if err := json.Unmarshal(body, &ours); err != nil {
		t.Fatal(err)
	}
	for name := range ours {
		if !taken[name] {
			t.Errorf("Keycloak has not taken %s", name)
		}
	}
	if len(ours) < 5 || taken["example_unknown"] {
		t.Errorf("%v, %v", ours, taken)
	}
}

// compareDecisions holds decisions against the file that says what they must be.
// Lines that begin with # are for people.
func compareDecisions(t *testing.T, file string, got []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && len(got) > 0 {
		t.Errorf("%v; if each of these is right, they belong into it:\n%s", err, strings.Join(got, "\n"))
		return
	}
	var want []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimRight(line, "\n"); line != "" && line[0] != '#' {
			want = append(want, line)
		}
	}
	for i := range max(len(want), len(got)) {
		w, g := "nothing", "nothing"
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			t.Errorf("%s: want %q, got %q", filepath.Base(file), w, g)
		}
	}
}
