package model

import (
	"testing"
	"testing/cryptotest"
	"testing/synctest"

	"github.com/mxauth/mxauth/keystore"
	"github.com/mxauth/mxauth/keystore/keystoretest/disk"
)

// A scenario is what is to be explored.
type scenario struct {
	name    string
	scripts [][]string // one for each process

	ring   bool     // the session lies in the keyring
	faults int      // how many things may go wrong in one run
	only   []string // of the faults; nil: all
	coarse bool     // to read the list of sessions is one step
	always bool     // it is searched every time
}

func (sc scenario) kind() keystore.Kind {
	if sc.ring {
		return keystore.KindKeyring
	}
	return keystore.KindPlaintext
}

// A chooser picks one of n options by its index; -1 ends the run.
type chooser func(w *world, options []option) int

// An outcome is how a run ended.
type outcome struct {
	wrong string // what was violated; empty if nothing
	trace []string
	steps int
}

// play runs a scenario once. known tells ends after which nothing new can come.
func play(t *testing.T, first beginning, s scenario, strict, tooSoon bool, choose chooser, known func(uint64) bool) outcome {
	var out outcome
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, 2)
		disk.SetClock(theDay)
		w := &world{scenario: s, disk: first.disk.Clone(), tried: map[string]bool{}}
		w.server = &server{strict: strict, events: w}
		w.server.login(first.device).expires = true
		w.budget, w.tooSoon = s.faults, tooSoon
		for i, script := range s.scripts {
			w.start(newProcess(w, string(rune('A'+i)), script...))
			w.settle() // what they draw by lot, they draw in this order
		}
		if w.drive(choose) && w.wrong == "" && !known(w.end()) {
			w.note("the day after")
			w.afterwards()
		}
		w.stop()
		out = outcome{w.wrong, w.trace, len(w.trace)}
	})
	return out
}

// A beginning is a disk after a login whose access token has run out.
type beginning struct {
	disk   *disk.Disk
	device string
}

// beginnings are made once for all runs.
type beginnings map[keystore.Kind]beginning

// afterLogin logs in.
func (b beginnings) afterLogin(t *testing.T, kind keystore.Kind) beginning {
	if first, ok := b[kind]; ok {
		return first
	}
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, 1)
		disk.SetClock(dayBefore)
		w := &world{scenario: scenario{ring: kind == keystore.KindKeyring}, disk: disk.NewDisk(), tried: map[string]bool{}}
		w.server = &server{events: w}
		if p := w.alone("login"); p.err != nil {
			t.Fatal("the first login failed: ", p.did, w.wrong, w.trace)
		}
		w.stop()
		b[kind] = beginning{w.disk, w.server.grants[0].device}
	})
	return b[kind]
}

func (w *world) start(p *process) {
	w.procs = append(w.procs, p)
	w.running.Go(p.run)
}

// alone runs one command while nobody else is there.
func (w *world) alone(command string) *process {
	p := newProcess(w, "Z", command)
	w.start(p)
	w.drive(func(*world, []option) int { return 0 })
	return p
}

// drive goes on until everybody is done; false if the chooser had enough.
func (w *world) drive(choose chooser) bool {
	for w.wrong == "" {
		w.settle()
		options := w.options()
		if len(options) == 0 {
			return true
		}
		pick := 0
		if len(options) > 1 {
			pick = choose(w, options)
		}
		if pick < 0 {
			return false
		}
		w.take(options[pick])
	}
	return false
}

// stop kills everybody who is left, and waits for what they still try.
func (w *world) stop() {
	for _, p := range w.procs {
		w.kill(p)
	}
	w.running.Wait()
	for _, p := range w.procs {
		p.cancel()
		disk.Unmount(p.name)
	}
}
