package main

import (
	"os"
	"os/signal"
)

// A relay keeps mxauth alive while a command runs. Ctrl-C goes to every program
// of a console, so the command has it already.
type relay struct{ signals chan os.Signal }

func catchSignals() relay {
	r := relay{make(chan os.Signal, 8)}
	signal.Notify(r.signals, os.Interrupt)
	return r
}

func (relay) passTo(*os.Process) {}

func (r relay) stop() { signal.Stop(r.signals) }

// signalOf is 0: no signal ends a process here.
func signalOf(*os.ProcessState) int { return 0 }
