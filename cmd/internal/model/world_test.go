package model

import (
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/keystore/keystoretest/disk"
)

// A world is one run of a scenario: processes, a disk, a server, and what goes
// wrong. It runs in a bubble of testing/synctest. At every moment all processes
// wait before a step; one is chosen and goes on to its next step, or is killed,
// or its step fails.
type world struct {
	disk    *disk.Disk
	server  *server
	procs   []*process
	budget  int  // how many more things may go wrong
	coarse  bool // to read the list of sessions is one step
	tooSoon bool // tokens are used before they are stored, on purpose

	running sync.WaitGroup
	mu      sync.Mutex
	waiting []*waiter
	last    *process // who made the last step
	trace   []string
	wrong   string // the first violation
	tried   map[string]bool
	out     bool   // somebody logged out, or tried to
	told    string // what people were told that may matter later
}

// A waiter is a goroutine of a process before a step.
type waiter struct {
	p        *process
	op, path string
	resume   chan error
}

func (v *waiter) String() string { return v.p.name + " " + v.op + " " + v.path }

// violated notes what must not be.
func (w *world) violated(format string, args ...any) {
	if w.wrong == "" {
		w.wrong = fmt.Sprintf(format, args...)
	}
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// step waits until the world lets a process go on.
func (w *world) step(p *process, op, path string) error {
	w.mu.Lock()
	if p.dead {
		w.mu.Unlock()
		return errKilled
	}
	v := &waiter{p, op, path, make(chan error)}
	w.waiting = append(w.waiting, v)
	w.mu.Unlock()
	return <-v.resume
}

// settle waits until every living process waits before a step, or is done. Who
// sleeps wakes up: to be slow is to be chosen late.
func (w *world) settle() {
	for pause := time.Millisecond; ; pause *= 2 {
		synctest.Wait()
		idle := slices.ContainsFunc(w.procs, func(p *process) bool { return !p.dead && !p.done && !w.waits(p) })
		if !idle {
			break
		}
		if pause > time.Hour {
			w.violated("a process hangs")
			break
		}
		time.Sleep(pause)
	}
	slices.SortFunc(w.waiting, func(a, b *waiter) int { return strings.Compare(a.String(), b.String()) })
}

func (w *world) waits(p *process) bool {
	return slices.ContainsFunc(w.waiting, func(v *waiter) bool { return v.p == p })
}

// An option is one way to go on.
type option struct {
	v     *waiter
	fault string // empty: the step takes place
}

func (o option) String() string {
	if o.fault == "" {
		return o.v.String()
	}
	return o.v.String() + " [" + o.fault + "]"
}

// options lists the ways to go on from here. A step that no other process can
// notice is not put off: only what goes wrong in it makes a difference.
func (w *world) options() []option {
	able := slices.DeleteFunc(slices.Clone(w.waiting), w.blocked)
	if len(able) == 0 {
		able = w.waiting // they hear that they cannot have the lock
	}
	for _, v := range able {
		if v.p == w.last && w.private(v) {
			able = []*waiter{v}
			break
		}
	}
	var all []option
	for _, v := range able {
		all = append(all, option{v, ""})
	}
	for _, v := range able {
		if w.budget > 0 {
			all = append(all, w.faults(v)...)
		}
	}
	return all
}

// blocked reports whether a step would only hear once more that a lock is taken.
func (w *world) blocked(v *waiter) bool {
	return v.op == "lock" && w.disk.Holder(v.path) != nil && w.tried[v.String()]
}

// private reports whether it makes no difference to the other processes when a
// step is made, as long as it comes before the next one that is not private.
func (w *world) private(v *waiter) bool {
	switch v.op {
	case "stat", "lstat", "chmod", "create", "open", "write", "truncate", "sync", "unlock", "answer":
		return true
	case "send":
		return v.path == "well-known" || v.path == "metadata" || v.path == "register" || v.path == "device"
	case "read":
		return w.disk.Holder(strings.TrimSuffix(v.path, filepath.Ext(v.path))+".lock") == v.p.disk || w.coarse && v.op == "read" && w.listing(v)
	}
	return v.op == "remove" && strings.HasSuffix(v.path, ".tmp")
}

// listing reports whether a step goes on with reading the list of sessions.
func (w *world) listing(v *waiter) bool {
	return strings.HasSuffix(v.path, ".json") && strings.Contains(w.trace[len(w.trace)-1], " readdir ") || strings.HasSuffix(w.trace[len(w.trace)-1], ".json")
}

// faults lists what may go wrong in a step. To be killed before a step that only
// reads is to be killed before the next that does not.
func (w *world) faults(v *waiter) []option {
	var kinds []string
	switch v.op {
	case "create", "write", "sync", "rename", "remove", "truncate", "mkdir":
		if strings.HasSuffix(v.path, ".lock") {
			break
		}
		kinds = []string{"kill", "power: names", "power: data", "no space"}
	case "unlock":
		kinds = []string{"kill"}
	case "lock":
		kinds = []string{"a year ahead", "a year behind"}
	case "send":
		kinds = []string{"refused", "503"}
	case "answer":
		kinds = []string{"kill", "cut"}
	}
	if v.path == "well-known" || v.path == "metadata" || v.path == "register" || v.path == "device" {
		kinds = nil
	}
	var all []option
	for _, kind := range kinds {
		all = append(all, option{v, kind})
	}
	return all
}

// take makes one option happen.
func (w *world) take(o option) {
	w.note("%s", o)
	w.last = o.v.p
	if o.fault != "" {
		w.budget--
	}
	if o.v.op == "lock" {
		w.tried[o.v.String()] = true
	}
	if o.v.op == "unlock" || o.fault == "kill" {
		clear(w.tried)
	}
	switch o.fault {
	case "":
		w.resume(o.v, nil)
	case "kill":
		w.kill(o.v.p)
	case "power: names", "power: data":
		for _, p := range w.procs {
			w.kill(p)
		}
		w.disk.PowerOff(map[string]disk.Loss{"power: names": disk.LoseNames, "power: data": disk.LoseData}[o.fault])
	case "a year ahead", "a year behind":
		year := 365 * 24 * time.Hour
		disk.SetClock(map[string]time.Duration{"a year ahead": year, "a year behind": -year}[o.fault])
		w.resume(o.v, nil)
	default:
		w.resume(o.v, map[string]error{"no space": syscall.ENOSPC, "refused": errRefused, "503": errUnwell, "cut": errCut}[o.fault])
	}
}

func (w *world) resume(v *waiter, err error) {
	w.waiting = slices.DeleteFunc(w.waiting, func(x *waiter) bool { return x == v })
	v.resume <- err
}

// kill ends a process: none of its steps has an effect any more.
func (w *world) kill(p *process) {
	if p.done || p.dead {
		return
	}
	w.mu.Lock()
	p.dead = true
	mine := slices.Clone(w.waiting)
	w.mu.Unlock()
	p.disk.Kill()
	p.cancel()
	for _, v := range mine {
		if v.p == p {
			w.resume(v, errKilled)
		}
	}
}

// key tells two moments apart that can go on differently.
func (w *world) key() uint64 {
	h := fnv.New64a()
	w.things(h)
	for _, p := range w.procs {
		_, _ = fmt.Fprintf(h, "%d %t %t %t", p.seen, p.dead, p.done, p == w.last)
	}
	for _, v := range w.waiting {
		_, _ = fmt.Fprintf(h, "%s %t", v, w.tried[v.String()])
	}
	return h.Sum64()
}

// end is key for when all processes are done: what they knew went with them.
func (w *world) end() uint64 {
	h := fnv.New64a()
	w.things(h)
	return h.Sum64()
}

// things are what is outside of the processes.
func (w *world) things(h io.Writer) {
	now, safe := w.disk.Files()
	for _, files := range []map[string]string{now, safe} {
		for _, path := range slices.Sorted(maps.Keys(files)) {
			_, _ = fmt.Fprintf(h, "%s\x00%s\x00", path, files[path]) // a hash takes everything
		}
	}
	_, _ = fmt.Fprintf(h, "%v %s %d %t %q", w.disk.Locked(), w.server.dump(), w.budget, w.out, w.told)
}
