package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/cmd/internal/login"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

// skewMost is how far a clock may be off before doctor says so. The date of an
// answer is whole seconds, and a certificate or a token minds minutes.
const skewMost = time.Minute

// A target is a server to be checked.
type doctorTarget struct {
	address string // as discovery takes it
	issuer  bool   // a plain issuer, no homeserver
	pinned  string // the issuer that the sessions there were made with; empty if not known
	home    string // the homeserver of those; empty if not known
}

// doctorTargets are the server that was named, or those of the sessions.
func doctorTargets(args []string, entries []keystore.Entry) []doctorTarget {
	if len(args) > 0 {
		return []doctorTarget{{address: args[0]}}
	}
	var all []doctorTarget
	for _, e := range entries {
		t := doctorTarget{address: e.Server, pinned: e.Issuer, home: e.Homeserver}
		switch {
		case e.Homeserver == "":
			t.address, t.issuer = e.Issuer, true
		case strings.HasPrefix(e.Homeserver, "http:"): // on this machine
			t.address = "http://" + e.Server
		}
		if !e.Pending && t.address != "" && !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// checkServers asks them side by side.
func (a *app) checkServers(ctx context.Context, targets []doctorTarget, entries []keystore.Entry) []check {
	results := make([][]check, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() { results[i] = a.checkServer(ctx, t, entries) })
	}
	all.Wait()
	return slices.Concat(results...)
}

// checkServer looks a server up and tells what it offers. It sends no token.
func (a *app) checkServer(ctx context.Context, t doctorTarget, entries []keystore.Entry) []check {
	agent := a.agent()
	dates := &dateReader{next: agent.HTTP.Transport}
	agent.HTTP = &http.Client{Transport: dates}
	discover := agent.Discover
	if t.issuer {
		discover = agent.DiscoverIssuer
	}
	s, err := discover(ctx, t.address)
	name := flow.Clean(t.address, 100)
	if err != nil {
		return append([]check{a.failed("server "+name, err, discoveryAdvice(err))}, dates.check(name)...)
	}
	found := "issuer " + s.Issuer
	if s.Homeserver != "" {
		found = "homeserver " + s.Homeserver + ", " + found
	}
	server := check{Name: "server " + name, OK: true, Found: found}
	if problem := t.moved(s); problem != "" {
		err := &flow.Error{Kind: flow.KindInvalid, Op: "trust the server", Host: s.Name, Problem: problem}
		server = a.failed("server "+name, err, "They go on with the old one, and nothing was sent to the new. If you expected the change, log in again.")
	}
	device := check{Name: "device login at " + name, OK: true, Found: "offered"}
	if err := s.CheckDeviceLogin(false); err != nil {
		device = a.failed(device.Name, err, discoveryAdvice(err))
		if errors.Is(err, flow.ErrBrowserOnly) {
			device.Advice = "Log in there with mxauth login --browser."
		}
	}
	return append([]check{server, device, checkScopes(name, s, entries)}, dates.check(name)...)
}

// moved says what a server names today instead of what its sessions are pinned to.
func (t doctorTarget) moved(s flow.Server) string {
	switch {
	case t.pinned != "" && s.Issuer != t.pinned:
		return "it names the issuer " + s.Issuer + ", the sessions here were made at " + t.pinned
	case t.home != "" && s.Homeserver != t.home:
		return "it names the homeserver " + s.Homeserver + ", the sessions here were made at " + t.home
	}
	return ""
}

// discoveryAdvice says what can be done about a server.
func discoveryAdvice(err error) string {
	switch flow.KindOf(err) {
	case flow.KindUsage:
		return "Give a server's name, such as matrix.org, or a URL."
	case flow.KindTemporary:
		return "Check the network, and try again."
	case flow.KindUnsupported:
		return "Only its administrator can change that."
	}
	return "Check the name. If it is right, tell the server's administrator."
}

// checkScopes tells what the server has granted before. No server lists the
// scopes of Matrix in its metadata.
func checkScopes(name string, s flow.Server, entries []keystore.Entry) check {
	var granted []string
	for _, e := range entries {
		if e.Issuer != s.Issuer || e.Pending || e.Updated.IsZero() {
			continue
		}
		if words := presetOf(e.Scope); !slices.Contains(granted, words) {
			granted = append(granted, words)
		}
	}
	found := "no session here shows what it grants"
	if len(granted) > 0 {
		found = "granted to sessions here: " + strings.Join(granted, "; ")
	}
	if s.Matrix() {
		found += ". Administrators alone are granted synapse-admin and mas-admin"
	}
	return check{Name: "scopes at " + name, OK: true, Found: found}
}

// presetOf names a scope by its preset, if it is one.
func presetOf(scope string) string {
	for _, preset := range []string{"matrix", "synapse-admin", "mas-admin", "identity"} {
		if r, err := flow.HomeserverScope([]string{preset}, ""); err == nil && login.SameScope(r.Scope, scope) {
			return preset
		}
	}
	return flow.Clean(scope, 200)
}

// A dateReader compares the Date of every answer that passes with the clock
// (RFC 9110 section 6.6.1).
type dateReader struct {
	next http.RoundTripper

	mu    sync.Mutex
	known bool
	skew  time.Duration // of this machine's clock, positive if it is ahead; the smallest seen
}

// RoundTrip implements http.RoundTripper.
func (d *dateReader) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	resp, err := d.next.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	date, bad := http.ParseTime(resp.Header.Get("Date"))
	if bad != nil || resp.Header.Get("Age") != "" { // from a cache: the date is that of the original
		return resp, nil
	}
	here := sent.Add(time.Since(sent) / 2).Round(0)
	skew := here.Sub(date.Add(500 * time.Millisecond)) // the date is cut to a second
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.known || skew.Abs() < d.skew.Abs() {
		d.known, d.skew = true, skew
	}
	return resp, nil
}

// check tells whether the clocks agree; nothing if no answer was dated.
func (d *dateReader) check(name string) []check {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := check{Name: "clock against " + name, OK: true, Found: "right to within a second or two"}
	switch off := d.skew.Abs().Round(time.Second); {
	case !d.known:
		return nil
	case off > skewMost:
		way := "behind"
		if d.skew > 0 {
			way = "ahead"
		}
		c.OK, c.Found = false, fmt.Sprintf("this machine's clock is %s %s", off, way)
		c.Advice, c.err = "Set the clock, or have it set by NTP.", exit.Usagef("%s", c.Found)
	case off > 2*time.Second:
		c.Found = fmt.Sprintf("right to within %s", off)
	}
	return []check{c}
}
