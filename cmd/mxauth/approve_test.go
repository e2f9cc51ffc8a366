package main

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow"
)

// A browser is what a person approves with: it keeps cookies and fills in the
// forms of the pages it is shown.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return browser{t, &http.Client{Jar: loopbackJar{jar}}}
}

// A loopbackJar takes loopback for secure, as browsers do: Keycloak's cookies are
// Secure on http too.
type loopbackJar struct{ http.CookieJar }

func (j loopbackJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		c.Secure = c.Secure && !flow.Loopback(u.Hostname())
	}
	j.CookieJar.SetCookies(u, cookies)
}

// A page is where the browser stands.
type page struct {
	at   *url.URL
	body string
}

func (b browser) do(req *http.Request) page {
	b.t.Helper()
	req.Header.Set("Accept", "text/html")
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{resp.Request.URL, string(body)}
}

func (b browser) get(address string) page {
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(req)
}

// submit posts a form of the page: its hidden fields, and what is given. pick
// chooses among several forms by a text in it.
func (b browser) submit(p page, pick string, fields url.Values) page {
	b.t.Helper()
	forms := regexp.MustCompile(`(?s)<form.*?</form>`).FindAllString(p.body, -1)
	for _, form := range forms {
		if !strings.Contains(form, pick) {
			continue
		}
		values := url.Values{}
		for _, input := range regexp.MustCompile(`<input[^>]*>`).FindAllString(form, -1) {
			if name := attribute(input, "name"); name != "" && attribute(input, "type") == "hidden" {
				values.Set(name, attribute(input, "value"))
			}
		}
		for k, v := range fields {
			values[k] = v
		}
		target := p.at
		if action := attribute(form, "action"); action != "" {
			var err error
			if target, err = p.at.Parse(action); err != nil {
				b.t.Fatal(err)
			}
		}
		req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, target.String(), strings.NewReader(values.Encode()))
		if err != nil {
			b.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return b.do(req)
	}
	b.t.Fatalf("%s has no form with %q:\n%s", p.at, pick, p.body)
	return page{}
}

func attribute(tag, name string) string {
	m := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// approveAtMAS goes through the pages of matrix-authentication-service.
func (b browser) approveAtMAS(link, code, user, password string) {
	b.t.Helper()
	b.decideAtMAS(event{URI: link, UserCode: code}, user, password, "consent")
}

// decideAtMAS takes the link that holds the code, if there is one, or types the
// code. The action is "consent" or "reject".
func (b browser) decideAtMAS(e event, user, password, action string) {
	b.t.Helper()
	var p page
	if e.Complete != "" {
		p = b.get(e.Complete)
	} else {
		p = b.submit(b.get(e.URI), `name="code"`, url.Values{"code": {e.UserCode}})
	}
	if strings.Contains(p.body, `name="password"`) {
		p = b.submit(p, `name="password"`, url.Values{"username": {user}, "password": {password}})
	}
	p = b.submit(p, `confirm_device`, url.Values{"action": {action}, "confirm_device": {"on"}})
	if strings.Contains(p.body, `name="confirm_device"`) {
		b.t.Fatalf("the server did not take the decision:\n%s", p.body)
	}
}

// approveAtProvider goes through the pages of node-oidc-provider.
func (b browser) approveAtProvider(link, code, user string) {
	b.t.Helper()
	p := b.get(link + query("user_code", code))
	for range 8 {
		switch {
		case strings.Contains(p.body, "Sign-in Success"):
			return
		case strings.Contains(p.body, `name="login"`):
			p = b.submit(p, `name="login"`, url.Values{"login": {user}, "password": {"any"}})
		default:
			p = b.submit(p, "<form", url.Values{})
		}
	}
	b.t.Fatalf("the provider did not take the approval:\n%s", p.body)
}

// denyAtProvider aborts where the code is shown once more.
func (b browser) denyAtProvider(link, code string) {
	b.t.Helper()
	p := b.submit(b.get(link+query("user_code", code)), "<form", url.Values{})
	p = b.submit(p, "op.deviceConfirmForm", url.Values{"abort": {"yes"}})
	if !strings.Contains(p.body, "was interrupted") {
		b.t.Fatalf("the provider did not take the refusal:\n%s", p.body)
	}
}

// decideAtZitadel goes through the pages of zitadel's example provider, to the
// action "allowed" or "denied".
func (b browser) decideAtZitadel(link, code, user, password, action string) {
	b.t.Helper()
	p := b.submit(b.get(link+query("user_code", code)), `name="password"`, url.Values{"username": {user}, "password": {password}})
	confirm, err := p.at.Parse("confirm" + query("action", action))
	if err != nil {
		b.t.Fatal(err)
	}
	if p = b.get(confirm.String()); !strings.Contains(p.body, action) {
		b.t.Fatalf("the provider did not take the decision:\n%s", p.body)
	}
}

// decideAtKeycloak goes through the pages of Keycloak, to the button "accept" or
// "cancel".
func (b browser) decideAtKeycloak(link, code, user, password, button string) {
	b.t.Helper()
	p := b.get(link + query("user_code", code))
	if strings.Contains(p.body, `name="password"`) {
		p = b.submit(p, `name="password"`, url.Values{"username": {user}, "password": {password}})
	}
	p = b.submit(p, `name="accept"`, url.Values{button: {"Yes"}})
	if strings.Contains(p.body, `name="accept"`) {
		b.t.Fatalf("Keycloak did not take the decision:\n%s", p.body)
	}
}

func query(name, value string) string { return "?" + url.Values{name: {value}}.Encode() }
