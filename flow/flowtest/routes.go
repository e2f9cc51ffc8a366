package flowtest

import (
	"net/http"
	"slices"
	"strings"
)

// A route is one method at one path. A path may end in {}, one free segment.
type route struct {
	method   string
	path     string
	endpoint Endpoint
	handle   func(*call) answer
}

const everyOrigin = "*"

// table says who answers where. What is missing is answered as unknown.
func (s *Server) table() map[side][]route {
	switch {
	case s.conf.legacy:
		return map[side][]route{homeserver: s.legacyRoutes()}
	case s.traits.oneOrigin:
		return map[side][]route{homeserver: slices.Concat(s.homeserverRoutes(s.discovery), s.oauthRoutes(), s.pageRoutes(),
			[]route{{"GET", "/_matrix/client/v3/login", Login, s.legacyFlows}})}
	}
	return map[side][]route{
		homeserver: slices.Concat(s.homeserverRoutes(s.authMetadata), s.synapseRoutes()),
		authServer: slices.Concat(s.oauthRoutes(), s.masRoutes(), s.pageRoutes()),
	}
}

func (s *Server) homeserverRoutes(metadata func(*call) answer) []route {
	const v3, unstable = "/_matrix/client/v3", "/_matrix/client/unstable/org.matrix.msc2965"
	return []route{
		{"GET", "/.well-known/matrix/client", WellKnown, s.wellKnown},
		{"GET", "/_matrix/client/v1/auth_metadata", Metadata, metadata},
		{"GET", unstable + "/auth_metadata", Metadata, metadata},
		{"GET", "/_matrix/client/versions", Versions, s.versions},
		{"GET", v3 + "/account/whoami", WhoAmI, s.whoami},
		{"GET", v3 + "/devices", Devices, s.listDevices},
		{"GET", v3 + "/devices/{}", Devices, s.getDevice},
		{"PUT", v3 + "/devices/{}", Devices, s.renameDevice},
	}
}

func (s *Server) synapseRoutes() []route {
	return []route{
		{"DELETE", "/_matrix/client/v3/devices/{}", Devices, s.unrecognized}, // devices end at MAS
		{"GET", "/_synapse/admin/v2/users", AdminAPI, s.synapseUsers},
	}
}

func (s *Server) legacyRoutes() []route {
	const v3 = "/_matrix/client/v3"
	return []route{
		{"GET", "/.well-known/matrix/client", WellKnown, s.wellKnown},
		{"GET", "/_matrix/client/versions", Versions, s.versions},
		{"GET", v3 + "/login", Login, s.legacyFlows},
		{"POST", v3 + "/login", Login, s.legacyLogin},
		{"GET", v3 + "/account/whoami", WhoAmI, s.legacyWhoami},
	}
}

// oauthRoutes are the endpoints that the metadata name.
func (s *Server) oauthRoutes() []route {
	t := s.traits
	at := func(handle func(*Server, *call) answer) func(*call) answer {
		return func(c *call) answer { return handle(s, c) }
	}
	routes := []route{
		{"GET", "/.well-known/openid-configuration", Discovery, s.discovery},
		{"GET", "/" + t.paths.keys, Keys, s.keys},
		{"POST", "/" + t.paths.register, Register, at(t.register)},
		{"POST", "/" + t.paths.device, Device, at(t.device)},
		{"POST", "/" + t.paths.token, Token, at(t.token)},
		{"POST", "/" + t.paths.revoke, Revoke, at(t.revoke)},
	}
	if t.userinfo != nil {
		routes = append(routes, route{"GET", "/" + t.paths.userinfo, UserInfo, at(t.userinfo)},
			route{"POST", "/" + t.paths.userinfo, UserInfo, at(t.userinfo)})
	}
	return routes
}

func (s *Server) masRoutes() []route {
	const v3 = "/_matrix/client/v3"
	return []route{
		{"POST", "/oauth2/introspect", Introspect, s.introspect},
		{"GET", "/authorize", Authorization, s.authorizePage},
		{"GET", "/consent/{}", Page, s.agreePage},
		{"POST", "/consent/{}", Page, s.agreePost},
		{"GET", "/api/admin/v1/users", AdminAPI, s.masUsers},
		{"GET", v3 + "/login", Login, s.compatFlows},
		{"POST", v3 + "/login", Login, s.compatLogin},
		{"POST", v3 + "/refresh", Login, s.compatRefresh},
		{"POST", v3 + "/logout", Login, s.compatLogout},
	}
}

// pageRoutes are what people see. Only the page that the code is typed into lies
// where the real server has it; their look is MAS's for all.
func (s *Server) pageRoutes() []route {
	verify, account := "/"+s.traits.paths.verify, "/"+s.traits.paths.account
	return []route{
		{"GET", verify, Page, s.linkPage},
		{"POST", verify, Page, s.linkPost},
		{"GET", "/device/{}", Page, s.consentPage},
		{"POST", "/device/{}", Page, s.consentPost},
		{"GET", "/login", Page, s.loginPage},
		{"POST", "/login", Page, s.loginPost},
		{"GET", account, Page, s.accountPage},
		{"POST", account, Page, s.accountPost},
	}
}

// route finds who handles a call. The mutex is held.
func (s *Server) route(sd side, c *call) route {
	method := c.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allowed []string
	at := Elsewhere
	for _, rt := range s.routes[sd] {
		param, ok := match(rt.path, c.URL.Path)
		if !ok {
			continue
		}
		if at = rt.endpoint; rt.method == method {
			c.param = param
			rt.endpoint = refined(rt.endpoint, c)
			return rt
		}
		allowed = append(allowed, rt.method)
		if rt.method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	return route{endpoint: at, handle: refusal(sd, allowed)}
}

func match(pattern, path string) (param string, ok bool) {
	prefix, free := strings.CutSuffix(pattern, "{}")
	if !free {
		return "", pattern == path
	}
	param, ok = strings.CutPrefix(path, prefix)
	return param, ok && param != "" && !strings.Contains(param, "/")
}

// refined tells the grants of the token endpoint apart.
func refined(e Endpoint, c *call) Endpoint {
	if e == Token {
		switch c.form.Get("grant_type") {
		case grantDeviceCode:
			return Poll
		case grantCode:
			return Exchange
		case grantRefresh:
			return Refresh
		}
	}
	return e
}

// refusal is the answer where there is no handler: 404 or 405, of the
// homeserver in JSON, of MAS an HTML page or nothing at all.
func refusal(sd side, allowed []string) func(*call) answer {
	slices.Sort(allowed)
	return func(*call) answer {
		switch {
		case sd == homeserver && allowed == nil:
			return matrixError(http.StatusNotFound, "M_UNRECOGNIZED", "Unrecognized request")
		case sd == homeserver:
			return matrixError(http.StatusMethodNotAllowed, "M_UNRECOGNIZED", "Unrecognized request")
		case allowed == nil:
			return errorPage(http.StatusNotFound, "Page not found")
		}
		return text(http.StatusMethodNotAllowed, "", "Allow", strings.Join(allowed, ","), "Access-Control-Allow-Origin", everyOrigin)
	}
}
