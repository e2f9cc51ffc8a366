// Package model searches for an order of events in which mxauth loses a session.
//
// The code under test is the shipped one: cmd/internal/login, flow and keystore.
// It is built with a disk in memory in the place of package os and of the file
// locks (package disk of keystoretest), and talks to a server in memory, so that
// every operation of a process is a step at which somebody decides: who goes on,
// who is killed, whether the power fails, the step fails, the answer is lost, the
// clock jumps. Two processes are searched completely, every order and every
// fault; more processes and several faults wander at random.
//
// What is not modelled: a request of a killed process that reaches the server
// later, several machines, and keyrings.
//
//	go test ./cmd/internal/model -v                   what CI runs
//	go test ./cmd/internal/model -v -model.long=10m   everything, and wandering for that long
//	go test ./cmd/internal/model -v -model.again=…     repeat a run that failed in a search
//	go test ./cmd/internal/model -v -model.seed=164   begin to wander with the run that failed
package model

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("model.seed", 1, "of the first random run")
	again = flag.String("model.again", "", "choices of a run that failed, after the name of its scenario: \"token, token: 0 1\"")
	long  = flag.Duration("model.long", 0, "how long to wander, and search everything; 0 is a few seconds")
)

// Without -model.long a search that takes longer than searchTime is given up, but
// for those that are always made.
const (
	searchTime = 3 * time.Second
	wanderTime = 3 * time.Second
)

// TestModel builds the code on its modelled disk and runs the tests below with
// it, one process for each.
func TestModel(t *testing.T) {
	if modelled {
		t.Skip("this is the modelled build")
	}
	if testing.Short() {
		t.Skip("it builds the code anew")
	}
	bin := filepath.Join(t.TempDir(), "model.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", bin, "-overlay", writeOverlay(t), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"Lenient", "Strict", "Mistakes"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"-test.run=^Test" + name + "$", "-test.v", "-test.timeout=0"}
			flag.VisitAll(func(f *flag.Flag) {
				if strings.HasPrefix(f.Name, "model.") {
					args = append(args, "-"+f.Name+"="+f.Value.String())
				}
			})
			out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// scenarios are searched completely.
var scenarios = []scenario{
	{"two rotations twice", [][]string{{"token", "refresh"}, {"token", "refresh"}}, 0, true, true},
	{"token, token", [][]string{{"token"}, {"token"}}, 1, true, true},
	{"logout, logout", [][]string{{"logout"}, {"logout"}}, 1, true, true},
	{"token, logout", [][]string{{"token"}, {"logout"}}, 1, true, false},
	{"login alone", [][]string{{"login"}}, 1, true, false},
	{"token, login", [][]string{{"token"}, {"login"}}, 1, true, false},
	{"login, login", [][]string{{"login"}, {"login"}}, 1, true, false},
	{"login, logout", [][]string{{"login"}, {"logout"}}, 1, true, false},
	{"two rotations, one fault", [][]string{{"token", "refresh"}, {"token", "refresh"}}, 1, true, false},
}

func TestLenient(t *testing.T) { holds(t, false) }

func TestStrict(t *testing.T) { holds(t, true) }

func holds(t *testing.T, strict bool) {
	if !modelled {
		t.Skip("see TestModel")
	}
	if *again != "" {
		repeat(t, strict, *again)
		return
	}
	t.Log("searched                    states    runs     steps  complete")
	for _, sc := range scenarios {
		var s search
		var until time.Time
		if *long == 0 && !sc.always {
			until = time.Now().Add(searchTime)
		}
		out, path := s.explore(t, sc, strict, false, until)
		t.Logf("%-26s %7d %7d %9d  %t", sc.name, len(s.visited), s.runs, s.steps, s.complete)
		if out.wrong != "" {
			t.Errorf("%s\n-model.again=%q\n%s", out.wrong, sc.name+": "+strings.Trim(fmt.Sprint(path), "[]"), strings.Join(out.trace, "\n"))
		}
	}
	first := afterLogin(t)
	runs, steps := 0, 0
	for began := time.Now(); time.Since(began) < max(wanderTime, *long) && !t.Failed(); runs++ {
		n := *seed + uint64(runs)
		sc := randomScenario(n)
		out := wander(t, first, sc, strict, n)
		steps += out.steps
		if out.wrong != "" {
			t.Errorf("%s\n-model.seed=%d, %v:\n%s", out.wrong, n, sc.scripts, strings.Join(out.trace, "\n"))
		}
	}
	t.Logf("%-26s         %7d %9d", "at random", runs, steps)
}

// repeat makes the choices of a run that failed.
func repeat(t *testing.T, strict bool, choices string) {
	name, rest, _ := strings.Cut(choices, ": ")
	picks := strings.Fields(rest)
	for _, sc := range scenarios {
		if sc.name != name {
			continue
		}
		out := play(t, afterLogin(t), sc, strict, false, func(*world, []option) int {
			pick := 0
			if len(picks) > 0 {
				pick, _ = strconv.Atoi(picks[0]) // what is no number is the first way
				picks = picks[1:]
			}
			return pick
		}, func(uint64) bool { return false })
		t.Logf("%s\n%s", strings.Join(out.trace, "\n"), out.wrong)
	}
}
