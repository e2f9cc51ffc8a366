package flowtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// leftOut are the exchanges that flowtest does not reproduce, by file and name,
// with the reason.
var leftOut = map[string]string{}

// The recordings that belong to one server after another; the rest have a server
// each.
var conversations = [][]string{
	{"mas-discovery"}, {"mas-registration"}, {"mas-device"}, {"mas-refresh"}, {"mas-revoke"}, {"mas-compat"},
	{"mas-autofill"}, {"mas-disabled", "mas-enabled-again"}, {"mas-scopes"}, {"mas-trouble"}, {"synapse-legacy"},
}

// A recording is one file of testdata/recordings; its README tells the format.
type recording struct {
	About  string
	Shapes map[string]string
	Steps  []step
}

type step struct {
	Name    string
	Action  map[string]string
	Request *struct {
		Method, URL string
		Headers     map[string]string
		JSON        json.RawMessage
		Form        map[string]string
		Body        *string
	}
	Response struct {
		Status  int
		Headers map[string]string
		JSON    any
		Text    *string
		HTML    bool
	}
}

// TestReplay plays every recorded exchange of MAS and Synapse against flowtest,
// over loopback and in memory, and wants the same answers.
func TestReplay(t *testing.T) {
	for network, start := range map[string]func(...flowtest.Option) *flowtest.Server{
		"loopback": flowtest.NewServer, "memory": flowtest.New,
	} {
		t.Run(network, func(t *testing.T) {
			var sum tally
			for _, files := range conversations {
				t.Run(strings.Join(files, "+"), func(t *testing.T) {
					s := start(optionsFor(files[0])...)
					t.Cleanup(s.Close)
					for _, file := range files {
						(&replay{t: t, s: s, file: file, sum: &sum}).run()
					}
				})
			}
			sum.print(network)
			if n := recorded(t); sum.played+len(sum.skipped) != n {
				t.Errorf("%d of %d recorded exchanges were played", sum.played, n)
			}
		})
	}
}

// recorded counts the exchanges of all recordings of MAS and Synapse that are
// there, whether conversations names them or not.
func recorded(t *testing.T) (n int) {
	t.Helper()
	for _, pattern := range []string{"mas-*.json", "synapse-*.json"} {
		files, err := filepath.Glob(filepath.Join("testdata", "recordings", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			for _, st := range read(t, file).Steps {
				if st.Request != nil {
					n++
				}
			}
		}
	}
	return n
}

func read(t *testing.T, file string) (rec recording) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

func optionsFor(file string) []flowtest.Option {
	switch file {
	case "mas-autofill":
		return []flowtest.Option{flowtest.WithAutofill()}
	case "mas-disabled":
		return []flowtest.Option{flowtest.WithDeviceGrant(false)}
	case "synapse-legacy":
		return []flowtest.Option{flowtest.WithLegacyOnly()}
	}
	return nil
}

type tally struct {
	played, equal int
	shortened     int // of the equal ones: the recording has no body to compare
	skipped       []string
}

func (c *tally) print(network string) {
	fmt.Printf("flowtest, %s: exchanges: played %d, equal %d (%d without their bodies, which were recorded shortened), left out %d\n",
		network, c.played, c.equal, c.shortened, len(c.skipped))
	for _, s := range c.skipped {
		fmt.Println("  left out:", s)
	}
}

// A replay plays one file.
type replay struct {
	t      *testing.T
	s      *flowtest.Server
	file   string
	sum    *tally
	shapes map[string]*regexp.Regexp
	bound  map[string]string // placeholder → value of this run
}

func (r *replay) run() {
	rec := read(r.t, filepath.Join("testdata", "recordings", r.file+".json"))
	r.shapes = map[string]*regexp.Regexp{}
	shapes := map[string]string{"sub": "[0-9A-HJKMNP-TV-Z]{26}", "id_token": `[\w-]+\.[\w-]+\.[\w-]{86}`} // not in the recordings
	maps.Copy(shapes, rec.Shapes)
	for kind, shape := range shapes {
		r.shapes[kind] = regexp.MustCompile("^(?:" + shape + ")$")
	}
	r.bound = map[string]string{
		"as": strings.TrimSuffix(r.s.Issuer, "/"), "hs": r.s.URL,
		"password": "alice", "wrong password": "something else",
	}
	if r.file == "mas-enabled-again" {
		r.s.SetDeviceGrant(true)
	}
	for i, st := range rec.Steps {
		where := fmt.Sprintf("%s %d %q", r.file, i, st.Name)
		if st.Action != nil {
			if err := r.act(st.Action); err != nil {
				r.t.Errorf("%s: %s: %v", where, st.Action["do"], err)
			}
			continue
		}
		if reason, skip := leftOut[r.file+"/"+st.Name]; skip {
			r.sum.skipped = append(r.sum.skipped, where+": "+reason)
			continue
		}
		r.sum.played++
		differences := r.play(st)
		if len(differences) == 0 {
			r.sum.equal++
		}
		if m, ok := st.Response.JSON.(map[string]any); ok && m["shortened"] == true {
			r.sum.shortened++
		}
		for _, d := range differences {
			r.t.Errorf("%s: %s", where, d)
		}
	}
}

// act does what happened beside the wire.
func (r *replay) act(a map[string]string) error {
	value := func(name string) string { return r.fill(a[name]) }
	switch a["do"] {
	case "approve":
		return r.s.Approve(value("user_code"), a["user"])
	case "approve-refused":
		if err := r.s.Approve(value("user_code"), a["user"]); err == nil {
			return fmt.Errorf("the policy let it pass")
		}
		return nil
	case "reject":
		return r.s.Reject(value("user_code"), a["user"])
	case "expire":
		if a["user_code"] != "" {
			return r.s.ExpireCode(value("user_code"))
		}
		return r.s.ExpireToken(value("access_token"))
	case "end":
		return r.s.EndSession(value("access_token"))
	case "lock":
		return r.s.LockUser(a["user"])
	case "unlock":
		return r.s.UnlockUser(a["user"])
	case "stop":
		// The recorded homeserver had fetched the metadata in an earlier conversation.
		resp, err := r.s.Client().Get(r.s.URL + "/_matrix/client/v1/auth_metadata")
		if err != nil {
			return err
		}
		r.s.AuthDown(true)
		return resp.Body.Close()
	case "start":
		r.s.AuthDown(false)
		return nil
	case "login":
		return r.login(a)
	}
	return fmt.Errorf("unknown action")
}

// login is a device request, an approval and a token request.
func (r *replay) login(a map[string]string) error {
	client := r.fill(a["client_id"])
	codes, err := r.post("/oauth2/device", url.Values{"client_id": {client}, "scope": {a["scope"]}})
	if err != nil {
		return err
	}
	if err := r.s.Approve(fmt.Sprint(codes["user_code"]), a["user"]); err != nil {
		return err
	}
	tokens, err := r.post("/oauth2/token", url.Values{"client_id": {client},
		"grant_type":  {"urn:ietf:params:oauth:grant-type:device_code"},
		"device_code": {fmt.Sprint(codes["device_code"])}})
	if err != nil {
		return err
	}
	maps.Copy(tokens, codes)
	for _, name := range []string{"device_code", "user_code", "access_token", "refresh_token"} {
		if d := r.compare(name, a[name], tokens[name]); d != nil {
			return fmt.Errorf("%s", d)
		}
	}
	return nil
}

func (r *replay) post(path string, form url.Values) (map[string]any, error) {
	resp, err := r.s.Client().PostForm(r.bound["as"]+path, form)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	m := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d, %v", path, resp.StatusCode, err)
	}
	return m, nil
}

// play makes one exchange and returns how the answer differs.
func (r *replay) play(st step) []string {
	req := r.request(st)
	resp, err := r.s.Client().Do(req)
	if err != nil {
		return []string{err.Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return []string{err.Error()}
	}
	want := st.Response
	var differences []string
	if resp.StatusCode != want.Status {
		differences = append(differences, fmt.Sprintf("status %d, recorded %d", resp.StatusCode, want.Status))
	}
	differences = append(differences, r.headers(want.Headers, resp.Header)...)
	switch {
	case want.HTML:
		if len(body) == 0 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			differences = append(differences, "no HTML page")
		}
	case want.Text != nil:
		if string(body) != *want.Text {
			differences = append(differences, fmt.Sprintf("body %q, recorded %q", body, *want.Text))
		}
	default:
		var got any
		if err := json.Unmarshal(body, &got); err != nil {
			return append(differences, fmt.Sprintf("body %q: %v", body, err))
		}
		differences = append(differences, r.compare("", want.JSON, got)...)
	}
	return differences
}

// headers compares the recorded headers, and wants those that matter absent
// where the recording has none.
func (r *replay) headers(want map[string]string, got http.Header) []string {
	names := []string{"content-type", "cache-control", "pragma", "access-control-allow-origin", "allow", "www-authenticate", "retry-after", "location"}
	for name := range want {
		if !slices.Contains(names, name) {
			return []string{"the recording has a header that the replay does not know: " + name}
		}
	}
	var differences []string
	for _, name := range names {
		w, ok := want[name]
		g := got.Get(name)
		if name == "cache-control" && strings.HasPrefix(g+want["content-type"], "no-storetext/html") {
			continue // of pages, which were recorded without
		}
		if g != w || ok != (got.Values(name) != nil) {
			differences = append(differences, fmt.Sprintf("header %s: %q, recorded %q", name, g, w))
		}
	}
	return differences
}

// request fills in the placeholders.
func (r *replay) request(st step) *http.Request {
	r.t.Helper()
	rq := st.Request
	var body io.Reader
	switch {
	case rq.Form != nil:
		form := url.Values{}
		for k, v := range rq.Form {
			form.Set(k, r.fill(v))
		}
		body = strings.NewReader(form.Encode())
	case rq.JSON != nil:
		var compact bytes.Buffer
		if err := json.Compact(&compact, rq.JSON); err != nil {
			r.t.Fatal(err)
		}
		body = strings.NewReader(r.fill(compact.String()))
	case rq.Body != nil:
		body = strings.NewReader(*rq.Body)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), rq.Method, r.fill(rq.URL), body)
	if err != nil {
		r.t.Fatal(err)
	}
	for k, v := range rq.Headers {
		req.Header.Set(k, r.fill(v))
	}
	if strings.HasPrefix(rq.Headers["Authorization"], "Basic ") {
		req.SetBasicAuth(r.bound["client_id.1"], "") // the recording's own client, of another run
	}
	return req
}

func (r *replay) fill(text string) string {
	for {
		_, rest, ok := strings.Cut(text, "{{")
		if !ok {
			return text
		}
		name, _, _ := strings.Cut(rest, "}}")
		value, ok := r.bound[name]
		if !ok {
			r.t.Fatalf("%s: {{%s}} is used before it was seen", r.file, name)
		}
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
}

// compare returns the differences of two JSON values. at is the path of members.
func (r *replay) compare(at string, want, got any) []string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		if w["shortened"] == true { // a list that the recording left out
			return nil
		}
		var differences []string
		for _, name := range bareFirst(w) {
			if _, ok := g[name]; !ok {
				differences = append(differences, at+"."+name+" is missing")
				continue
			}
			differences = append(differences, r.compare(at+"."+name, w[name], g[name])...)
		}
		for name := range g {
			if _, ok := w[name]; !ok {
				differences = append(differences, at+"."+name+" was not recorded")
			}
		}
		slices.Sort(differences)
		return differences
	case string:
		if w == "{{time}}" {
			if n, ok := got.(float64); !ok || n < 1e9 || n > 1e11 || n != float64(int64(n)) {
				return []string{fmt.Sprintf("%s is no Unix time: %v", at, got)}
			}
			return nil
		}
		if g, ok := got.(string); ok {
			return r.compareText(at, w, g)
		}
	}
	if !reflect.DeepEqual(want, got) {
		return []string{fmt.Sprintf("%s: %v, recorded %v", at, got, want)}
	}
	return nil
}

// bareFirst orders members so that a placeholder is bound by a value that is
// nothing else before it is wanted inside of another.
func bareFirst(m map[string]any) []string {
	names := slices.Sorted(maps.Keys(m))
	bare, rest := []string{}, []string{}
	for _, name := range names {
		if strings.HasPrefix(fmt.Sprint(m[name]), "{{") && strings.Count(fmt.Sprint(m[name]), "{{") == 1 {
			bare = append(bare, name)
		} else {
			rest = append(rest, name)
		}
	}
	return append(bare, rest...)
}

func (r *replay) compareText(at, want, got string) []string {
	if at == ".device_id" && r.file == "mas-compat" {
		return r.bind(at, "device "+want, got) // the server made it up, and the recording shows it as it was
	}
	if name, ok := strings.CutPrefix(want, "{{"); ok && strings.HasSuffix(name, "}}") && !strings.Contains(name, "{{") {
		return r.bind(at, strings.TrimSuffix(name, "}}"), got)
	}
	want = r.fill(want)
	// Where in the text a parser noticed is its own affair.
	want, _, _ = strings.Cut(want, " at line ")
	if got != want {
		return []string{fmt.Sprintf("%s: %q, recorded %q", at, got, want)}
	}
	return nil
}

// bind gives a placeholder its value, at first sight only.
func (r *replay) bind(at, name, got string) []string {
	if value, ok := r.bound[name]; ok {
		if value != got {
			return []string{fmt.Sprintf("%s: {{%s}} was another value before", at, name)}
		}
		return nil
	}
	for other, value := range r.bound {
		if value == got && value != "" {
			return []string{fmt.Sprintf("%s: {{%s}} is the value of {{%s}}", at, name, other)}
		}
	}
	kind, _, numbered := strings.Cut(name, ".")
	if shape := r.shapes[kind]; numbered && (shape == nil || !shape.MatchString(got)) {
		return []string{fmt.Sprintf("%s: %q has not the shape of a %s", at, got, kind)}
	}
	r.bound[name] = got
	return nil
}
