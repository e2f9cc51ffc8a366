// Command mxauth logs a terminal in to a Matrix homeserver by its OAuth 2.0
// API, keeps the rotating tokens, and hands out fresh access tokens.
//
// What goes where: stdout carries what was asked for and nothing else, and is
// empty unless the exit code is 0 (streams of events excepted). Everything said
// to a person goes to stderr. Package exit has the exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/mxauth/mxauth/cmd/internal/exit"
)

func main() {
	protect()
	ctx, stop := withSignals(context.Background())
	code := run(ctx, os.Args[1:], &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv})
	stop()
	os.Exit(code)
}

// withSignals ends the context at the first signal, with the signal as its
// cause. The second one ends the program the usual way.
func withSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			number, _ := s.(syscall.Signal)
			cancel(&exit.SignalError{Signal: number})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}
