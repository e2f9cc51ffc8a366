//go:build !windows

package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// A relay hands the signals that mxauth gets on to a command.
type relay struct {
	signals chan os.Signal
	done    chan struct{}
}

// catchSignals begins to keep signals for a command that is about to start.
func catchSignals() relay {
	r := relay{make(chan os.Signal, 8), make(chan struct{})}
	signal.Notify(r.signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	return r
}

// passTo hands them on, until stop.
//
// What a terminal sends goes to its whole foreground group, so the command has it
// already: to send it again would make of one Ctrl-C two, which many programs
// take for "quit at once".
func (r relay) passTo(p *os.Process) {
	go func() {
		for {
			select {
			case s := <-r.signals:
				fromTerminal := s == syscall.SIGINT || s == syscall.SIGQUIT || s == syscall.SIGHUP
				if !fromTerminal || !inForeground() {
					_ = p.Signal(s) // it may have ended in this moment
				}
			case <-r.done:
				return
			}
		}
	}()
}

func (r relay) stop() { signal.Stop(r.signals); close(r.done) }

// inForeground reports whether mxauth's process group is the one that the
// terminal sends signals to.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false // there is no terminal
	}
	defer func() { _ = tty.Close() }() // nothing was written
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// signalOf returns the signal that ended a process, 0 if it ended by itself.
func signalOf(p *os.ProcessState) int {
	if status, ok := p.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return int(status.Signal())
	}
	return 0
}
