package tui_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/tui"
)

// A login is a channel of events. The screen takes the same function as its Start.
func ExampleLines() {
	start := func(context.Context, string) <-chan flow.Event {
		events := make(chan flow.Event, 3)
		events <- flow.Event{Kind: flow.EventDiscover, Name: "example.org"}
		events <- flow.Event{Kind: flow.EventCode, DeviceName: "build-box", Code: flow.Code{
			UserCode: "7KQ4ZP", VerificationURI: "https://account.example.org/link", Expiry: time.Date(2026, 11, 24, 14, 32, 0, 0, time.Local)}}
		events <- flow.Event{Kind: flow.EventDone, Name: "@alice:example.org", UserID: "@alice:example.org", Store: "the OS keyring"}
		close(events)
		return events
	}
	ctx := context.Background()
	last, err := tui.Lines(ctx, os.Stdout, start(ctx, "example.org"), tui.LinesOptions{Environ: []string{"LANG=C.UTF-8"}})
	fmt.Println(last.Name, err)
	// Output:
	// Looking up example.org.
	// Open https://account.example.org/link and enter 7KQ4ZP
	// 7, K, Q, 4, Z, P
	// Only approve a login that you started: to example.org, from build-box.
	// The page names build-box and repeats the code as "security code": compare both.
	// The code is good until 14:32. Waiting.
	// Logged in as @alice:example.org; token in the OS keyring.
	// @alice:example.org <nil>
}
