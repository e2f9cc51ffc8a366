package model

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/keystore"
	"github.com/mxauth/mxauth/keystore/keystoretest/disk"
)

// A world is one run of a scenario: processes, a disk, a server, and what goes
// wrong. It runs in a bubble of testing/synctest. At every moment all processes
// wait before a step; one is chosen and goes on to its next step, or is killed,
// or its step fails.
type world struct {
	scenario
	disk    *disk.Disk
	server  *server
	procs   []*process
	budget  int  // how many more things may go wrong
	tooSoon bool // tokens are used before they are stored, on purpose

	running sync.WaitGroup
	mu      sync.Mutex
	waiting []*waiter
	last    *process // who made the last step
	trace   []string
	wrong   string // the first violation
	tried   map[string]bool
	out     bool     // somebody logged out, or tried to
	failed  []string // the faults so far
	told    string   // what people were told that may matter later
}

// A waiter is a goroutine of a process before a step.
type waiter struct {
	p        *process
	command  int // of the process
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
	v := &waiter{p, p.at, op, path, make(chan error)}
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
	for _, v := range w.waiting {
		if v.p.done || v.command < v.p.at { // it had asked the keyring, which answers in turn
			return []option{{v, ""}}
		}
	}
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
// Nobody else opens a file that is being written, and what is synced early is the
// worst that a loss of power can meet; who holds the lock of a session reads what
// nobody else changes; a lock that is given back early lets others do sooner what
// they would do.
func (w *world) private(v *waiter) bool {
	switch v.op {
	case "chmod", "create", "open", "write", "truncate", "sync", "unlock", "answer":
		return true
	case "stat", "lstat":
		return filepath.Ext(v.path) == "" || w.holds(v)
	case "send":
		return discovering(v.path)
	case "read":
		return w.holds(v) || w.coarse && w.listing(v)
	case "ring get":
		return w.holds(v)
	}
	return v.op == "remove" && strings.HasSuffix(v.path, ".tmp")
}

func discovering(path string) bool {
	return path == "well-known" || path == "metadata" || path == "register" || path == "device"
}

// holds reports whether the process of a step has the lock of the session that
// the step is about.
func (w *world) holds(v *waiter) bool {
	id, _, _ := strings.Cut(filepath.Base(v.path), ".")
	return w.disk.Holder("/state/sessions/"+id+".lock") == v.p.disk
}

// listing reports whether a step goes on with reading the list of sessions.
func (w *world) listing(v *waiter) bool {
	before := w.trace[len(w.trace)-1]
	return strings.HasSuffix(v.path, ".json") && strings.Contains(before, " readdir ") || strings.HasSuffix(before, ".json")
}

// crashes are the faults that end processes. All that is unsynced when the power
// fails is lost in one of two ways, see disk.Loss.
var crashes = []string{"kill", "power: names", "power: data"}

// faults lists what may go wrong in a step. To be killed before a step that only
// reads is to be killed before the next that does not.
func (w *world) faults(v *waiter) []option {
	var kinds []string
	switch v.op {
	case "create", "write", "sync", "rename", "remove", "truncate", "mkdir":
		if !strings.HasSuffix(v.path, ".lock") {
			kinds = append(crashes[:3:3], "no space")
		}
	case "ring set", "ring delete":
		kinds = append(crashes[:3:3], "gone", "dismissed", "late")
	case "ring get":
		kinds = []string{"gone", "late"}
	case "unlock":
		kinds = []string{"kill"}
	case "lock":
		kinds = []string{"a year ahead", "a year behind"}
	case "send":
		kinds = []string{"refused", "503"}
	case "answer":
		kinds = []string{"kill", "cut"}
	}
	if discovering(v.path) {
		kinds = nil
	}
	var all []option
	for _, kind := range kinds {
		if w.only == nil || slices.Contains(w.only, kind) {
			all = append(all, option{v, kind})
		}
	}
	return all
}

// losses are the two ways in which the power fails.
var losses = map[string]disk.Loss{"power: names": disk.LoseNames, "power: data": disk.LoseData}

// answers are what a process hears of a step that fails.
var answers = map[string]error{
	"no space": syscall.ENOSPC, "refused": errRefused, "503": errUnwell, "cut": errCut,
	"gone": disk.ErrGone, "dismissed": disk.ErrDismissed, "late": disk.ErrLate,
}

// take makes one option happen.
func (w *world) take(o option) {
	w.note("%s", o)
	w.last = o.v.p
	if o.fault != "" {
		w.budget--
		w.failed = append(w.failed, o.fault)
		o.v.p.learn(o.v.op + " " + o.v.path + " " + o.fault)
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
		w.disk.PowerOff(losses[o.fault])
	case "a year ahead":
		disk.SetClock(theDay.AddDate(1, 0, 0))
		w.resume(o.v, nil)
	case "a year behind":
		disk.SetClock(theDay.AddDate(-1, 0, 0))
		w.resume(o.v, nil)
	default:
		w.resume(o.v, answers[o.fault])
	}
}

func (w *world) resume(v *waiter, err error) {
	w.waiting = slices.DeleteFunc(w.waiting, func(x *waiter) bool { return x == v })
	v.resume <- err
}

// kill ends a process: none of its steps has an effect any more.
func (w *world) kill(p *process) {
	if p.dead || p.done && !w.waits(p) {
		return
	}
	w.mu.Lock()
	p.dead = true
	mine := slices.Clone(w.waiting)
	w.mu.Unlock()
	p.disk.End()
	p.cancel()
	for _, v := range mine {
		if v.p == p {
			w.resume(v, errKilled)
		}
	}
}

// theDay is when a run takes place, and dayBefore when its session was made.
var (
	theDay    = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	dayBefore = theDay.AddDate(0, 0, -1)
)

// otherKind is where a session of a kind is moved to.
func otherKind(k keystore.Kind) keystore.Kind {
	if k == keystore.KindPlaintext {
		return keystore.KindKeyring
	}
	return keystore.KindPlaintext
}
