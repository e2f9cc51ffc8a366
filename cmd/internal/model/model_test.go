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
// What stands for the keyring keeps its items on that disk as gnome-keyring does,
// answers in turn, and may answer late, not at all, or report a success that is
// none. Sealed files are not modelled: to the disk they are plain ones.
//
// What makes the search small loses nothing: a step that nobody else can notice is
// not put off; moments that differ only in what nobody reads any more, or in which
// of two equal processes is which, are one; what crashes leave is compared before
// they happen. Only pairs with a login take the reading of the whole list for one
// step.
//
// What is not modelled: a request of a killed process that reaches the server
// later, and several machines.
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
	only  = flag.String("model.only", "", "search only scenarios with this in their names")
	long  = flag.Duration("model.long", 0, "how long to wander, and search everything; 0 is a few seconds")
)

// wanderTime is how long to wander without -model.long.
const wanderTime = 3 * time.Second

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

// scenarios are searched completely: those that are marked in every run, the
// others with -model.long. With two rotations each, a crash comes at every step;
// with one command each, everything that is known to go wrong does.
var scenarios = []scenario{
	{name: "two rotations twice", scripts: twice("token", "refresh"), always: true},
	{name: "two rotations twice, a crash", scripts: twice("token", "refresh"), faults: 1, only: crashes, always: true},
	{name: "token, token", scripts: twice("token"), faults: 1, always: true},
	{name: "logout, logout", scripts: twice("logout"), faults: 1, always: true},
	{name: "token, move, a crash", scripts: both("token", "move"), faults: 1, only: crashes, always: true},
	{name: "login, a crash", scripts: [][]string{{"login"}}, faults: 1, only: crashes, always: true},
	{name: "keyring: token, token", scripts: twice("token"), ring: true, faults: 1, always: true},
	{name: "keyring: token, move, a crash", scripts: both("token", "move"), ring: true, faults: 1, only: crashes, always: true},

	{name: "token, logout", scripts: both("token", "logout"), faults: 1},
	{name: "token, move", scripts: both("token", "move"), faults: 1},
	{name: "logout, move", scripts: both("logout", "move"), faults: 1},
	{name: "move, move", scripts: twice("move"), faults: 1},
	{name: "login", scripts: [][]string{{"login"}}, faults: 1},
	{name: "keyring: two rotations, a crash", scripts: twice("token", "refresh"), ring: true, faults: 1, only: crashes},
	{name: "keyring: token, logout", scripts: both("token", "logout"), ring: true, faults: 1},
	{name: "keyring: token, move", scripts: both("token", "move"), ring: true, faults: 1},
	{name: "keyring: login", scripts: [][]string{{"login"}}, ring: true, faults: 1},
	{name: "two rotations twice, a fault", scripts: twice("token", "refresh"), faults: 1},
	{name: "token, login, a crash", scripts: both("token", "login"), faults: 1, only: crashes, coarse: true},
	{name: "login, logout, a crash", scripts: both("login", "logout"), faults: 1, only: crashes, coarse: true},
	{name: "login, login, a crash", scripts: twice("login"), faults: 1, only: crashes, coarse: true},
}

func twice(script ...string) [][]string { return [][]string{script, script} }

func both(one, other string) [][]string { return [][]string{{one}, {other}} }

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
	t.Log("searched                          states    runs     steps crashes seconds")
	first := beginnings{}
	var left []string
	for _, sc := range scenarios {
		switch {
		case !strings.Contains(sc.name, *only):
		case sc.always || *long > 0 || *only != "":
			complete(t, first.afterLogin(t, sc.kind()), sc, strict)
		default:
			left = append(left, sc.name)
		}
	}
	t.Logf("each of them in every order; left to -model.long: %s", strings.Join(left, "; "))
	runs, steps := 0, 0
	began := time.Now()
	for ; time.Since(began) < max(wanderTime, *long) && !t.Failed(); runs++ {
		n := *seed + uint64(runs)
		sc := randomScenario(n)
		out := wander(t, first.afterLogin(t, sc.kind()), sc, strict, n)
		steps += out.steps
		if out.wrong != "" {
			t.Errorf("%s\n-model.seed=%d, %v:\n%s", out.wrong, n, sc.scripts, strings.Join(out.trace, "\n"))
		}
	}
	t.Logf("%-32s         %7d %9d         %7.1f", "at random", runs, steps, time.Since(began).Seconds())
}

// complete searches a scenario to its end.
func complete(t *testing.T, first beginning, sc scenario, strict bool) {
	t.Helper()
	var s search
	began := time.Now()
	out, path := s.explore(t, first, sc, strict, false, time.Time{})
	t.Logf("%-32s %7d %7d %9d %7d %7.1f", sc.name, len(s.visited), s.runs, s.steps, s.crashes, time.Since(began).Seconds())
	if out.wrong != "" {
		t.Errorf("%s\n-model.again=%q\n%s", out.wrong, sc.name+": "+strings.Trim(fmt.Sprint(path), "[]"), strings.Join(out.trace, "\n"))
	}
}

// repeat makes the choices of a run that failed.
func repeat(t *testing.T, strict bool, choices string) {
	name, rest, _ := strings.Cut(choices, ": ")
	picks := strings.Fields(rest)
	for _, sc := range scenarios {
		if sc.name != name {
			continue
		}
		out := play(t, beginnings{}.afterLogin(t, sc.kind()), sc, strict, false, func(*world, []option) int {
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
