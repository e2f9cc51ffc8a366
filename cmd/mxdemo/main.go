// Command mxdemo is a homeserver in a box and one login against it: the first
// thing a newcomer runs. It needs no account, no network and no keyring; all it
// keeps lies in a temporary directory that it removes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow/flowtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintf(os.Stderr, "mxdemo: %v.\n", err) // there is nobody else to tell
	}
	os.Exit(exit.Code(err))
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("mxdemo", flag.ContinueOnError)
	serve := flags.Bool("serve", false, "only serve, so that every command can be tried against it")
	addr := flags.String("addr", "127.0.0.1:0", "where to listen with --serve")
	plain := flags.Bool("plain", false, "plain lines instead of a screen")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return &exit.UsageError{Err: err}
	}
	if flags.NArg() > 0 {
		return exit.Usagef("mxdemo takes no arguments")
	}
	if *serve {
		return serveOnly(ctx, *addr)
	}
	server := flowtest.NewServer(flowtest.WithInterval(time.Second)) // nobody should wait for a demonstration
	defer server.Close()
	d, err := newDemo(server, *plain)
	if err != nil {
		return err
	}
	defer d.remove()
	return d.run(ctx)
}

// serveOnly answers until it is interrupted.
func serveOnly(ctx context.Context, addr string) error {
	server := flowtest.NewServer(flowtest.WithAddr(addr))
	defer server.Close()
	say("A homeserver for trying things is at %s (user alice, password alice).", server.URL)
	say("In another terminal:")
	say("  export MXAUTH_STATE_DIR=$(mktemp -d) MXAUTH_STORE=plaintext")
	say("  mxauth login %s", server.URL)
	say("Ctrl-C ends it.")
	<-ctx.Done()
	return nil
}

func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }
