package flowtest

import (
	"bytes"
	"crypto/subtle"
	"embed"
	"errors"
	"html"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strings"
)

//go:embed pages
var pageFiles embed.FS

func parsePages() *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/*.html"))
}

// A page is what a template is filled with.
type page struct {
	Server, CSRF   string
	User           string // who is logged in in this browser
	Error          string
	Code           string
	Name, Password string // what the login form suggests
	Outcome        string
	Sessions       []row

	// What is asked for, and by whom.
	ClientName, Device, Address, Asked string
	Powers                             []string
	Back                               string // where a refusal leads
}

func asking(g *grant) page {
	p := page{ClientName: g.client.name(), Device: deviceLine(g.agent), Address: g.addr,
		Asked: g.created.Format("15:04:05 MST"), Code: g.userCode}
	if host, _, err := net.SplitHostPort(g.addr); err == nil {
		p.Address = host
	}
	// Of the scopes, MAS names only those of administrators.
	if g.scope.has(scopeSynapse) || g.scope.has(scopeMAS) {
		p.Powers = append(p.Powers, "Administer the server")
	}
	return p
}

// show renders a page. Every page has a csrf cookie, set with the first.
func (s *Server) show(c *call, status int, name string, p page) answer {
	p.Server = s.ServerName
	if who := s.visitor(c); who != nil {
		p.User = who.name
	}
	cookie, err := c.Cookie("csrf")
	fresh := err != nil || cookie.Value == ""
	if fresh {
		cookie = s.cookie("csrf", randomString(32))
	}
	p.CSRF = cookie.Value
	var b bytes.Buffer
	if err := s.pages().ExecuteTemplate(&b, name+".html", p); err != nil {
		panic(err) // a mistake in a template of ours
	}
	a := htmlAnswer(status, b.String())
	if fresh {
		a.header.Add("Set-Cookie", cookie.String())
	}
	return a
}

func htmlAnswer(status int, body string) answer {
	return text(status, body, "Content-Type", "text/html; charset=utf-8", "Cache-Control", "no-store",
		"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
}

// errorPage is what MAS shows when something is wrong: HTML, whatever the client
// accepts.
func errorPage(status int, problem string) answer {
	return htmlAnswer(status, "<!doctype html><html lang=\"en\"><title>Error</title><h1>"+html.EscapeString(problem)+"</h1></html>\n")
}

func unexpected(problem string) answer {
	return errorPage(http.StatusInternalServerError, "Unexpected error: "+problem)
}

// cookie is one of MAS's, csrf or session: HttpOnly, Lax, and Secure if the
// public address is https.
func (s *Server) cookie(name, value string) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(s.Issuer, "https:")}
}

func seeOther(where string) answer { return text(http.StatusSeeOther, "", "Location", where) }

// visitor is who is logged in in this browser.
func (s *Server) visitor(c *call) *person {
	cookie, err := c.Cookie("session")
	if err != nil {
		return nil
	}
	return s.state.browsers[cookie.Value]
}

// genuine reports whether a form came from one of our pages.
func genuine(c *call) bool {
	cookie, err := c.Cookie("csrf")
	return err == nil && cookie.Value != "" && subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(c.form.Get("csrf"))) == 1
}

const badCSRF = "the form is out of date (CSRF)"

// linkPage is the verification URI (RFC 8628 section 3.3). The code in the query
// of verification_uri_complete counts only where autofill is on.
func (s *Server) linkPage(c *call) answer {
	if code := c.URL.Query().Get(s.traits.complete); s.conf.autofill && code != "" {
		return s.follow(c, code)
	}
	if !s.state.deviceGrant {
		return unexpected(ErrDeviceOff.Error())
	}
	return s.show(c, http.StatusOK, "link", page{})
}

func (s *Server) linkPost(c *call) answer {
	if !genuine(c) {
		return unexpected(badCSRF)
	}
	return s.follow(c, c.form.Get("code"))
}

// follow sends a good code to its consent page and asks again for a bad one.
func (s *Server) follow(c *call, code string) answer {
	if !s.state.deviceGrant {
		return unexpected(ErrDeviceOff.Error())
	}
	g := s.grantByCode(code)
	if g == nil || g.decision != pending || g.expired(s.now()) {
		return s.show(c, http.StatusOK, "link", page{Code: code, Error: "This code is not valid, or no longer."})
	}
	return seeOther("/device/" + g.id)
}

// consentPage is where scopes are checked. MAS 1.22 fails to render its own
// refusal there, so the person sees an unexpected error.
func (s *Server) consentPage(c *call) answer {
	g, p, refused := s.consenting(c)
	if refused != nil {
		return *refused
	}
	if s.judge(g.scope, p) != nil {
		return unexpected("could not render template")
	}
	if g.decision != pending {
		return s.outcome(c, g)
	}
	return s.show(c, http.StatusOK, "consent", asking(g))
}

// outcome tells the person what was decided.
func (s *Server) outcome(c *call, g *grant) answer {
	said := "You linked the device. You can go back to it and close this window."
	if g.decision == rejected {
		said = "You refused the device. It has been told."
	}
	return s.show(c, http.StatusOK, "done", page{ClientName: g.client.name(), Outcome: said})
}

// consentPost is the decision.
func (s *Server) consentPost(c *call) answer {
	if !genuine(c) {
		return unexpected(badCSRF)
	}
	g, p, refused := s.consenting(c)
	if refused != nil {
		return *refused
	}
	decide := rejected
	switch {
	case c.form.Get("action") == "consent" && c.form.Get("confirm_device") != "on":
		return unexpected("the device was not confirmed")
	case c.form.Get("action") == "consent":
		decide = approved
	case c.form.Get("action") != "reject":
		return errorPage(http.StatusUnprocessableEntity, "Unknown action")
	}
	// A form that is sent again shows what was decided.
	if err := s.settle(g, p, decide); err != nil && !errors.Is(err, ErrDecided) {
		return unexpected("could not render template")
	}
	return s.outcome(c, g)
}

// consenting finds the grant of a consent page and who is looking at it.
func (s *Server) consenting(c *call) (*grant, *person, *answer) {
	fail := func(a answer) (*grant, *person, *answer) { return nil, nil, &a }
	p := s.visitor(c)
	if !s.state.deviceGrant {
		return fail(unexpected(ErrDeviceOff.Error()))
	}
	if p == nil {
		return fail(seeOther("/login?kind=continue_device_code_grant&id=" + c.param))
	}
	for _, g := range s.state.grants {
		if g.id == c.param && !g.expired(s.now()) {
			return g, p, nil
		}
	}
	return fail(unexpected("the grant is expired or unknown"))
}

// loginPage asks for name and password. It suggests a person of the server, which
// is kind to someone who tries things and changes nothing on the wire.
func (s *Server) loginPage(c *call) answer {
	if s.visitor(c) != nil {
		return seeOther(s.afterLogin(c.URL.Query()))
	}
	p := page{}
	if alice := s.state.people["alice"]; alice != nil {
		p.Name, p.Password = alice.name, alice.password
	}
	return s.show(c, http.StatusOK, "login", p)
}

func (s *Server) loginPost(c *call) answer {
	if !genuine(c) {
		return unexpected(badCSRF)
	}
	p := s.state.people[c.form.Get("username")]
	switch {
	case p == nil || p.password != c.form.Get("password"):
		return s.show(c, http.StatusOK, "login", page{Name: c.form.Get("username"), Error: "Wrong user name or password."})
	case p.locked:
		return s.show(c, http.StatusOK, "login", page{Name: p.name, Error: "This account is locked."})
	}
	cookie := s.cookie("session", randomString(32))
	s.state.browsers[cookie.Value] = p
	a := seeOther(s.afterLogin(c.URL.Query()))
	a.header.Set("Set-Cookie", cookie.String())
	return a
}

// afterLogin is where a person wanted to go; only ever a page of ours.
func (s *Server) afterLogin(q url.Values) string {
	switch q.Get("kind") {
	case "continue_device_code_grant":
		return "/device/" + url.PathEscape(q.Get("id"))
	case "continue_authorization_grant":
		return "/consent/" + url.PathEscape(q.Get("id"))
	}
	return "/" + s.traits.paths.account
}
