package main

import (
	"crypto/x509"
	"net/url"
	"os"
	"runtime"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
)

// checkNetwork looks at what the environment says about proxies and
// authorities, where it says something: Go passes over what it cannot read.
func (a *app) checkNetwork() []check {
	var out []check
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} { // the first counts, as for Go
		if value := a.getenv(name); value != "" {
			out = append(out, a.checkProxy(name, value))
			break
		}
	}
	if file := a.getenv("SSL_CERT_FILE"); file != "" {
		c := check{Name: "authorities", OK: true, Found: "those in " + flow.Clean(file, 200) + " are trusted"}
		if problem := authorityProblem(file); problem != "" {
			c = a.failed("authorities", exit.Usagef("SSL_CERT_FILE %s", problem), "Set it to a PEM file with certificates, or take it away.")
		}
		out = append(out, c)
	}
	return out
}

// checkProxy asks Go what it makes of a proxy. The value is not repeated: it may
// hold a password.
func (a *app) checkProxy(name, value string) check {
	target := &url.URL{Scheme: "https", Host: "example.org"}
	config := httpproxy.Config{HTTPSProxy: value}
	proxy, err := config.ProxyFunc()(target)
	if err == nil && strings.Contains(value, "://") {
		_, err = url.Parse(value) // Go puts a scheme before what it cannot read, and tries again
	}
	if err != nil || proxy == nil || proxy.Hostname() == "" {
		return a.failed("proxy", exit.Usagef("%s is malformed, so requests go out directly, or astray", name), "Set it to a URL such as http://proxy.example.org:3128, or take it away.")
	}
	return check{Name: "proxy", OK: true, Found: "requests go through " + flow.Clean(proxy.Host, 200)}
}

// authorityProblem says what is wrong with a file of certificates, "" if nothing
// is or if Go does not look at it on this system.
func authorityProblem(file string) string {
	if file == "" || runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return ""
	}
	text, err := os.ReadFile(file) //nolint:gosec // the user named it
	switch {
	case err != nil:
		return "names " + flow.Clean(file, 200) + ", which cannot be read"
	case !x509.NewCertPool().AppendCertsFromPEM(text):
		return "names " + flow.Clean(file, 200) + ", which holds no certificate"
	}
	return ""
}
