package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// canaries are all secrets that the servers of these tests ever gave out, and
// those of the tests themselves. What the real binary leaves behind is searched
// for every one of them, whichever test it belongs to.
var canaries = flock{servers: map[*flowtest.Server]int{}, known: map[string]bool{}, trails: map[string][]trail{}}

// enough is how many characters of a secret in a row are a leak.
const enough = 12

// A flock is what must not be seen.
type flock struct {
	mu      sync.Mutex
	servers map[*flowtest.Server]int // how many of its secrets are known
	known   map[string]bool
	trails  map[string][]trail // by their first characters, enough of them
	short   []trail            // what has fewer
}

// A trail is what a piece of a secret looks like in one spelling.
type trail struct{ text, what, spelling string }

// watch takes the secrets of a server, those to come too.
func (f *flock) watch(s *flowtest.Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers[s] = 0
}

// leave takes the last secrets of a server that ends.
func (f *flock) leave(s *flowtest.Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.collect()
	delete(f.servers, s)
}

// add takes a secret that no flowtest server gave out. what is the name of the
// member, header or file that holds it.
func (f *flock) add(what, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.learn(what, value)
}

func (f *flock) collect() {
	for s, n := range f.servers {
		all := s.Secrets()
		for _, secret := range all[n:] {
			f.learn(secret.Name, secret.Value)
		}
		f.servers[s] = len(all)
	}
}

func (f *flock) learn(what, value string) {
	if f.known[value] || value == "" {
		return
	}
	f.known[value] = true
	if len(value) < enough {
		f.short = append(f.short, trail{value, what, "as it is"})
		return
	}
	for _, t := range trailsOf(what, value) {
		key := t.text[:enough]
		if !slices.Contains(f.trails[key], t) {
			f.trails[key] = append(f.trails[key], t)
		}
	}
}

// trailsOf spells the begin, the middle and the end of a secret, and what they are
// backwards. What every secret of a kind begins with is left out. One of three
// neighbours of a piece comes out of base64 as it does alone, whatever stands
// before it.
func trailsOf(what, value string) (all []trail) {
	secret := strings.TrimPrefix(value, "AGE-SECRET-KEY-")
	last := len(secret) - enough
	starts := []int{0, min(len(secret)/2, last), last}
	if strings.HasPrefix(secret, "eyJ") { // a JWT: how it is signed is no secret
		starts = starts[1:]
	}
	for _, start := range starts {
		piece := secret[start : start+enough]
		digits := hex.EncodeToString([]byte(piece))
		all = append(all, trail{piece, what, "as it is"}, trail{backwards(piece), what, "backwards"},
			trail{digits, what, "hexadecimal"}, trail{strings.ToUpper(digits), what, "hexadecimal"})
		for _, t := range []trail{{url.QueryEscape(piece), what, "URL-escaped"}, {url.PathEscape(piece), what, "URL-escaped"}, {inJSON(piece), what, "JSON-escaped"}} {
			if t.text != piece {
				all = append(all, t)
			}
		}
		for i := max(0, min(start, last-2)); i <= min(start+2, last); i++ {
			three := []byte(secret[i : i+enough])
			all = append(all, trail{base64.StdEncoding.EncodeToString(three), what, "base64"}, trail{base64.URLEncoding.EncodeToString(three), what, "base64"})
		}
	}
	return all
}

func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func inJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string: cannot fail
	}
	return string(b[1 : len(b)-1])
}

// A leak is a secret in a place where it must not be. It does not hold the secret.
type leak struct{ what, spelling, where string }

// in finds the secrets in a text, but for the kinds that may be there.
func (f *flock) in(text, where string, allowed ...string) (found []leak) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.collect()
	note := func(t trail) {
		l := leak{t.what, t.spelling, where}
		if !slices.Contains(allowed, t.what) && !slices.Contains(found, l) {
			found = append(found, l)
		}
	}
	for i := 0; i+enough <= len(text); i++ {
		for _, t := range f.trails[text[i:i+enough]] {
			if strings.HasPrefix(text[i:], t.text) {
				note(t)
			}
		}
	}
	for _, t := range f.short {
		if strings.Contains(text, t.text) {
			note(t)
		}
	}
	return found
}
