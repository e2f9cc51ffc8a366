package model

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A search goes through every order of steps and every fault of a scenario. It
// starts each run from the beginning and follows the choices that lead to where
// it has not been. What a crash leaves is looked at before it happens: crashes at
// different steps often leave the same, and one of them is enough.
type search struct {
	visited map[uint64]bool
	ended   map[uint64]bool // how runs ended
	crashed map[uint64]bool // what crashes leave that are explored, or will be
	todo    [][]int         // choices that lead to unexplored runs

	runs, steps, crashes int
}

// explore returns the first run in which something was wrong, and its choices. It
// goes on to the end, or until some time that is not zero.
func (s *search) explore(t *testing.T, first beginning, sc scenario, strict, tooSoon bool, until time.Time) (outcome, []int) {
	s.visited, s.ended, s.crashed, s.todo = map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}, [][]int{nil}
	for len(s.todo) > 0 {
		if !until.IsZero() && time.Now().After(until) {
			return outcome{}, nil
		}
		prefix := s.todo[len(s.todo)-1]
		s.todo = s.todo[:len(s.todo)-1]
		var path []int
		out := play(t, first, sc, strict, tooSoon, func(w *world, options []option) int {
			pick := s.choose(w, options, prefix, path)
			if pick >= 0 {
				path = append(path[:len(path):len(path)], pick)
			}
			return pick
		}, func(end uint64) bool {
			defer func() { s.ended[end] = true }()
			return s.ended[end]
		})
		s.runs++
		s.steps += out.steps
		if out.wrong != "" {
			return out, path
		}
	}
	return outcome{}, nil
}

// choose follows the prefix, and then always the first way, noting the others.
func (s *search) choose(w *world, options []option, prefix, path []int) int {
	if len(path) < len(prefix) {
		return prefix[len(path)]
	}
	key := w.key()
	if s.visited[key] {
		return -1
	}
	s.visited[key] = true
	for i := len(options) - 1; i > 0; i-- {
		if !s.known(w, options[i]) {
			s.todo = append(s.todo, append(path[:len(path):len(path)], i))
		}
	}
	return 0
}

// known reports whether an option is a crash that leaves what another one left.
func (s *search) known(w *world, o option) bool {
	var left uint64
	loss, power := losses[o.fault]
	switch {
	case power:
		left = w.endAfter(loss)
	case o.fault == "kill":
		left = w.keyWithout(o.v.p, w.budget-1)
	default:
		return false
	}
	s.crashes++
	defer func() { s.crashed[left] = true }()
	return s.crashed[left] || power && s.ended[left]
}

// wander plays a scenario with random choices. Things go wrong in one of twenty
// steps.
func wander(t *testing.T, first beginning, sc scenario, strict bool, seed uint64) outcome {
	random := rand.New(rand.NewPCG(seed, 0))
	return play(t, first, sc, strict, false, func(_ *world, options []option) int {
		sound := 0
		for sound < len(options) && options[sound].fault == "" {
			sound++
		}
		if sound < len(options) && random.IntN(20) == 0 {
			return sound + random.IntN(len(options)-sound)
		}
		return random.IntN(sound)
	}, func(uint64) bool { return false })
}

// randomScenario makes one with two to four processes.
func randomScenario(seed uint64) scenario {
	random := rand.New(rand.NewPCG(seed, 1))
	commands := []string{"token", "token", "refresh", "login", "logout", "move"}
	sc := scenario{faults: random.IntN(4), ring: random.IntN(2) == 0}
	for range 2 + random.IntN(3) {
		var script []string
		for range 1 + random.IntN(3) {
			script = append(script, commands[random.IntN(len(commands))])
		}
		sc.scripts = append(sc.scripts, script)
	}
	return sc
}
