package main

import (
	"bufio"
	"io"
	"strings"

	"github.com/muesli/cancelreader"
)

// typedLines reads stdin line by line until it ends or done is called, so that
// what is typed later is there for whoever comes next. The channel closes then.
func (a *app) typedLines() (lines <-chan string, done func()) {
	var in io.Reader = a.in
	cancel := func() {}
	if r, err := cancelreader.NewReader(a.in); err == nil { // an error: a file, at which nobody waits
		in, cancel = r, func() { r.Cancel() }
	}
	typed, stop := make(chan string), make(chan struct{})
	go func() {
		defer close(typed)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, 64<<10)
		for scanner.Scan() {
			line := strings.TrimSpace(scanner.Text())
			if line == "" {
				continue
			}
			select {
			case typed <- line:
			case <-stop:
				return
			}
		}
	}()
	return typed, func() {
		close(stop)
		cancel()
	}
}
