package model

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
	"github.com/mxauth/mxauth/keystore/keystoretest/disk"
)

// This file is what must hold, whatever happens.

// using is called when an access token reaches the homeserver: from then on the
// server forgives no lost answer, so a loss of power must not take the tokens.
func (w *world) using(p *pair) {
	_, safe := w.records()
	newer := p.grant.pairs[slices.Index(p.grant.pairs, p):]
	for _, content := range safe {
		if slices.ContainsFunc(newer, func(n *pair) bool { return strings.Contains(content, n.refresh) }) {
			return
		}
	}
	w.violated("%s is used, and the refresh token that came with it is not durable", p.access)
}

// revoking is called when a process revokes a session: only a logout may end one
// that still has its name, and a login its own, which is how it is undone.
func (w *world) revoking(by *process, p *pair) {
	if p == nil || p.grant.ended != "" || p.grant.by == by || slices.Contains(by.script, "logout") {
		return
	}
	for _, e := range w.entries() {
		if !e.Pending && e.DeviceID == p.grant.device {
			w.violated("%s ends the session of device %s, which is called %s and which nobody logged out", by.name, p.grant.device, e.Name)
		}
	}
}

// ran is called when a command has ended.
func (w *world) ran(p *process, command string, err error) {
	_, safe := w.records()
	for _, g := range w.server.grants {
		g.stored(safe)
		if g.lost && g.ended == "" && g.pairs[len(g.pairs)-1].arrived == p && command != "logout" && command != "login" {
			w.violated("%s got new tokens, lived on and did not store them", p.name)
		}
	}
	if err != nil {
		w.told += err.Error()
	}
	if approved := slices.ContainsFunc(w.server.grants, func(g *grant) bool { return g.by == p }); command == "login" &&
		err != nil && approved && slices.Equal(w.failed, []string{"no space"}) {
		w.violated("%s undid an approved login for one write that failed: %v", p.name, err)
	}
	if command != "logout" || err != nil {
		return
	}
	// Of all that had the name, those that were replaced wait to be ended; see
	// clear.
	for _, e := range w.entries() {
		if g := w.server.byDevice(e.DeviceID); g != nil && g.ended == p.name && !e.Pending && e.Ended == nil {
			w.violated("%s logged out, and the session is still called %s", p.name, e.Name)
		}
	}
}

// stored notes which answers have arrived for good.
func (g *grant) stored(records map[string]string) {
	for _, content := range records {
		if strings.Contains(content, g.pairs[len(g.pairs)-1].refresh) {
			g.lost, g.unsaved = false, false
		}
	}
}

// records returns the files that count: not what is still being written.
func (w *world) records() (now, safe map[string]string) {
	now, safe = w.disk.Files()
	for _, files := range []map[string]string{now, safe} {
		maps.DeleteFunc(files, func(path, _ string) bool { return strings.HasSuffix(path, ".tmp") })
	}
	return now, safe
}

// entries reads the list of sessions past everybody.
func (w *world) entries() []keystore.Entry {
	disk.Mount("nobody", &disk.Process{Disk: w.disk})
	defer disk.Unmount("nobody")
	k, err := keystore.Open(keystore.Options{Dir: "/nobody/state"})
	if err != nil {
		w.violated("%v", err)
		return nil
	}
	entries, err := k.Entries()
	if err != nil {
		w.violated("the list of sessions cannot be read: %v", err)
	}
	return entries
}

// unnoted is what is told of a logout that could not write it down.
const unnoted = "end of the session could not be noted"

// afterwards is the day after: whatever happened, no live session is lost, the
// next commands work, and what is logged out stays so.
func (w *world) afterwards() {
	w.budget = 0
	disk.SetClock(theDay)
	now, _ := w.records()
	for _, g := range w.server.grants {
		g.stored(now)
	}
	w.reachable()
	w.usable()
	if strings.Contains(w.told, unnoted) {
		return // a full disk, and then a crash: a dead session whose tokens are gone stays in the list
	}
	w.alone("login")
	w.usable()
	w.loginElsewhere()
	w.nothingElse()
	w.alone("logout")
	w.alone("login")
	w.alone("logout")
	w.clear()
}

// loginElsewhere logs in to the other store, if something was left behind there: a
// login clears its own only, because another one might have to be unlocked.
func (w *world) loginElsewhere() {
	if slices.ContainsFunc(w.entries(), func(e keystore.Entry) bool { return e.Pending && e.Kind != w.kind() }) {
		w.ring = !w.ring
		defer func() { w.ring = !w.ring }()
		w.alone("login")
	}
}

// reachable: of every session that lives at the server something is known here,
// or its device was named to a person.
func (w *world) reachable() {
	entries := w.entries()
	for _, g := range w.server.grants {
		known := slices.ContainsFunc(entries, func(e keystore.Entry) bool { return e.DeviceID == g.device })
		if g.ended == "" && !known && !strings.Contains(w.told, g.device) {
			w.violated("the session of device %s lives at the server, and nothing is known of it here", g.device)
		}
	}
	named := slices.ContainsFunc(entries, func(e keystore.Entry) bool { return e.Name == session && !e.Pending })
	if !named && !w.out {
		w.violated("there is no session any more, and nobody logged out")
	}
}

// usable: the session that has the name gives a token that works, if it lives.
func (w *world) usable() {
	for _, e := range w.entries() {
		g := w.server.byDevice(e.DeviceID)
		if e.Pending || g == nil {
			continue
		}
		alive := g.ended == ""
		if !alive && g.ended == "replay" && !g.lost {
			w.violated("a replay ended the session of device %s, and no answer was lost", g.device)
		}
		p := w.alone("refresh")
		err := p.err
		switch {
		case alive && err != nil && !(w.server.strict && g.lost):
			w.violated("the session of device %s lives, and cannot be used: %v", g.device, err)
		case !alive && err == nil:
			w.violated("the session of device %s is dead, and was refreshed", g.device)
		case !alive && !w.out && !errors.Is(err, keystore.ErrEnded) && flow.KindOf(err) != flow.KindEnded:
			w.violated("the session of device %s is dead, and the error does not say so: %v", g.device, err)
		}
	}
}

// nothingElse: a login in each store has ended what was left behind.
func (w *world) nothingElse() {
	for _, e := range w.entries() {
		if e.Pending {
			w.violated("after a login there is still an unfinished one, of device %s", e.DeviceID)
		}
	}
}

// clear: after the last logout nothing lives but what nobody could know of, or
// what people were told of, and nothing lies about.
func (w *world) clear() {
	for _, g := range w.server.grants {
		if g.ended == "" && !g.unsaved && !strings.Contains(w.told, g.device) {
			w.violated("everything is logged out, and the session of device %s lives", g.device)
		}
	}
	now, _ := w.disk.Files()
	for path := range now {
		if strings.HasPrefix(path, "/state/sessions/") || strings.HasPrefix(path, disk.KeyringDir) {
			w.violated("everything is logged out, and %s lies about", path)
		}
	}
}
