package flow

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An echo is a server that answers every request with what it was sent, in the
// member that a test names, and with tokens of its own beside it.
type echo struct {
	status int
	member string
}

func (e echo) RoundTrip(req *http.Request) (*http.Response, error) {
	var sent []byte
	if req.Body != nil {
		sent, _ = io.ReadAll(req.Body) // a string: cannot fail
	}
	form, _ := url.ParseQuery(string(sent)) // what is no form echoes nothing here
	words := strings.Join([]string{string(sent), fmt.Sprint(form), req.Header.Get("Authorization"), "mat_echo+/=canary mar_echo+/=canary"}, " ")
	var answers []string
	for i := 0; i < len(words); i += 80 { // each piece within what is repeated of a server's words, secrets whole in one of them
		answers = append(answers, words[i:min(i+180, len(words))])
	}
	m := map[string]string{"access_token": "mat_echo+/=canary", "refresh_token": "mar_echo+/=canary", "token_type": "mac", "error": "strange_thing"}
	m[e.member] = answers[turn(req)%len(answers)]
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: e.status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(body)), Request: req}, nil
}

type turnKey struct{}

// turn is which piece of what was sent this request shall hear.
func turn(req *http.Request) int {
	n, _ := req.Context().Value(turnKey{}).(int)
	return n
}

// L4: no secret in an error or in the log, whatever a server says, whichever
// request it answers.
func TestNothingSecretIsRepeated(t *testing.T) {
	secrets := map[string]string{"access": "mat_old+/=canary", "refresh": "mar_old+/=canary", "code": "dc+/=canary", "initial": "ini+/=canary",
		"browser's code": "ac+/=canary", "verifier": "ver+/=canary",
		"client": "cli+/=canary", "new access": "mat_echo+/=canary", "new refresh": "mar_echo+/=canary"}
	s := testSession()
	s.AccessToken, s.RefreshToken = NewSecret(secrets["access"]), NewSecret(secrets["refresh"])
	userinfo := s
	userinfo.Scope, userinfo.Server.Userinfo = "openid", asURL+"userinfo"
	code := Code{Interval: intervalDefault, Scope: ScopeAPI, deviceCode: NewSecret(secrets["code"])}
	auth := Authorization{RedirectURI: "http://127.0.0.1:1/callback", Scope: ScopeAPI, issuer: asURL, state: NewSecret("st"), verifier: NewSecret(secrets["verifier"])}
	calls := map[string]func(context.Context, *Agent, Client) error{
		"register": func(ctx context.Context, a *Agent, _ Client) error {
			_, err := a.Register(ctx, s.Server, Registration{InitialToken: NewSecret(secrets["initial"])})
			return err
		},
		"start": func(ctx context.Context, a *Agent, c Client) error {
			_, err := a.Start(ctx, s.Server, c, Request{Scope: ScopeAPI})
			return err
		},
		"wait": func(ctx context.Context, a *Agent, c Client) error {
			code := code
			code.Expiry = time.Now().Add(20 * time.Second)
			_, err := a.Wait(ctx, s.Server, c, code, nil)
			return err
		},
		"browser": func(ctx context.Context, a *Agent, c Client) error {
			auth, addresses := auth, make(chan string, 1)
			auth.Expiry = time.Now().Add(time.Minute)
			addresses <- auth.RedirectURI + "?state=st&code=" + url.QueryEscape(secrets["browser's code"])
			_, err := a.WaitBrowser(ctx, s.Server, c, auth, addresses, nil)
			return err
		},
		"refresh": func(ctx context.Context, a *Agent, c Client) error {
			s := s
			s.Client = c
			_, err := a.Refresh(ctx, s)
			return err
		},
		"revoke": func(ctx context.Context, a *Agent, c Client) error {
			s := s
			s.Client = c
			return a.Revoke(ctx, s)
		},
		"whoami":   func(ctx context.Context, a *Agent, _ Client) error { _, err := a.WhoAmI(ctx, s); return err },
		"userinfo": func(ctx context.Context, a *Agent, _ Client) error { _, err := a.WhoAmI(ctx, userinfo); return err },
	}
	quoted := 0
	for name, call := range calls {
		for _, member := range []string{"error", "error_description", "errcode", "none"} {
			for _, status := range []int{200, 400, 401, 403, 503} {
				for _, client := range []Client{{ID: "cid"}, {ID: "cid", Secret: NewSecret(secrets["client"])}, {ID: "cid", Secret: NewSecret(secrets["client"]), Basic: true}} {
					for piece := range 8 {
						synctest.Test(t, func(t *testing.T) {
							var log bytes.Buffer
							a := &Agent{HTTP: &http.Client{Transport: echo{status, member}}, Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
							err := call(context.WithValue(t.Context(), turnKey{}, piece), a, client)
							if log.Len() == 0 {
								t.Errorf("%s: nothing was logged", name)
							}
							out := log.String() + fmt.Sprintf("%v %+v %#v", err, err, err)
							if strings.Contains(out, masked) {
								quoted++
							}
							for what, secret := range secrets {
								basic := base64.StdEncoding.EncodeToString([]byte("cid:" + url.QueryEscape(secret)))
								for _, spelling := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), basic} {
									if strings.Contains(out, spelling) {
										t.Errorf("%s, %s, %d: the %s token shows: %s", name, member, status, what, out)
									}
								}
							}
						})
					}
				}
			}
		}
	}
	if quoted < 100 {
		t.Errorf("the server was quoted %d times: the test shows nothing", quoted)
	}
}

// What is no HTTP at all may echo too.
func TestNothingSecretIsRepeatedFromTheWire(t *testing.T) {
	for _, raw := range []string{"mar_old is what you sent\r\n\r\n", "HTTP/1.1 mar_old\r\n\r\n", "HTTP/1.1 200 OK\r\nmar_old\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: mar_old\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: mar_old\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/mar_old\r\n\r\n<p>"} {
		synctest.Test(t, func(t *testing.T) {
			a := (&rawServer{answers: []func(io.Writer){says(raw)}}).agent(t)
			var log bytes.Buffer
			a.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			_, err := a.Refresh(t.Context(), testSession())
			wantKind(t, raw, err, KindTemporary)
			if strings.Contains(err.Error()+log.String(), "mar_old") {
				t.Errorf("%q: %v, %s", raw, err, log.String())
			}
		})
	}
}

func TestNothingSecretIsRepeatedFromTheMediaType(t *testing.T) {
	sc := &script{replies: map[string][]reply{"https://example.org/_matrix/client/v3/account/whoami": {{status: 200, header: "Content-Type: text/mat_old"}}}}
	_, err := sc.agent().WhoAmI(t.Context(), testSession())
	wantKind(t, "no JSON", err, KindInvalid)
	if !strings.Contains(err.Error(), "(text/[secret])") {
		t.Error(err)
	}
}

func TestRedact(t *testing.T) {
	secrets := func(values ...string) (out []Secret) {
		for _, v := range values {
			out = append(out, NewSecret(v))
		}
		return out
	}
	for _, tt := range []struct {
		text    string
		secrets []Secret
		want    string
	}{
		{"nothing to hide", nil, "nothing to hide"},
		{"", secrets("x"), ""},
		{"the token is abc.", secrets("abc"), "the token is [secret]."},
		{"abcdef", secrets("abc", "abcdef"), "[secret]"},
		{"xabcdefgh!", secrets("xa", "abcdefgh"), "[secret]!"},
		{`t=a%2fb, "a\"b"`, secrets("a/b", `a"b`), `t=[secret], "[secret]"`},
		{"t=a%2Bb%2F&t=a%2Bb%2F a+b%2F a+b/", secrets("a+b/"), "t=[secret]&t=[secret] [secret] [secret]"},
		{"ab", secrets("a", "s"), "[secret]b"},
	} {
		if got := redact(tt.text, tt.secrets); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
	// A hostile server chooses the text and the tokens.
	if got := repeat(strings.Repeat("a", bodyMax), secrets("a", "s", "e"), saidMax); got != masked {
		t.Errorf("%d bytes", len(got))
	}
	// Without a bound this would not end.
	if got := repeat(strings.Repeat("a", bodyMax), secrets(strings.Repeat("a", tokenMax)+"b"), saidMax); len(got) != saidMax {
		t.Errorf("%d bytes", len(got))
	}
}

// Cleaning takes characters out, and what is left must not be a secret.
func TestRepeatMasksWhatCleaningUncovers(t *testing.T) {
	for _, said := range []string{"dev code", "dev\tcode", "dev  code", "dev\u200b\x1b code"} {
		if got := repeat("it is "+said, []Secret{NewSecret("dev code")}, saidMax); got != "it is [secret]" {
			t.Errorf("%q: %q", said, got)
		}
	}
}

// A path that a server made up reaches the log as the wire carries it.
func TestLogHoldsNoRawPath(t *testing.T) {
	var log bytes.Buffer
	a := (&script{replies: map[string][]reply{asURL + "%1b%5b31m%e2%80%ae": ok(tokenBody)}}).agent()
	a.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := testSession()
	s.Server.Token = asURL + "%1b%5b31m%e2%80%ae"
	if _, err := a.Refresh(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "path=/%1b%5b31m%e2%80%ae") {
		t.Errorf("%q", log.String())
	}
}
