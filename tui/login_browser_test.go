package tui

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/flow"
)

const (
	landing  = "http://127.0.0.1:40123/callback"
	authLink = "https://account.matrix.org/authorize?client_id=01K3HTSAV0RT2GZSKYPD8J86G9&code_challenge=72xySjpngTcCxgbPfFmkPHjMvVDl2jW1aWP7-J6rmwU" +
		"&code_challenge_method=S256&redirect_uri=http%3A%2F%2F127.0.0.1%3A40123%2Fcallback&response_mode=query&response_type=code" +
		"&scope=urn%3Amatrix%3Aclient%3Aapi%3A%2A+urn%3Amatrix%3Aclient%3Adevice%3AQK7ZP2MXWAQK&state=OVGIQA6K3Y2SPSR4HQDTCTKPJ4"
)

func linkEvent() flow.Event {
	return flow.Event{Kind: flow.EventLink, Authorization: flow.Authorization{URI: authLink, RedirectURI: landing,
		Expiry: time.Now().Add(10 * time.Minute), Scope: flow.ScopeAPI}}
}

// A linkTerminal is a terminal with a login by browser in it.
type linkTerminal struct {
	*loginTerminal
	*script
	addresses <-chan string
	opened    []string
}

// byBrowser brings a terminal to the link. It must be called in a bubble.
func byBrowser(t *testing.T, w, h int, here bool) *linkTerminal {
	t.Helper()
	lt := &linkTerminal{}
	o := LoginOptions{Server: "matrix.org", InBrowser: true}
	o.Browser = func(ctx context.Context, server string, addresses <-chan string) <-chan flow.Event {
		lt.script, lt.addresses = &script{server: server, ctx: ctx, events: make(chan flow.Event)}, addresses
		return lt.events
	}
	if here {
		o.OpenURL = func(_ context.Context, url string) error { lt.opened = append(lt.opened, url); return nil }
	}
	lt.loginTerminal = open(t, w, h, o)
	synctest.Wait()
	lt.send(serverEvent(), linkEvent())
	return lt
}

// given is the address that came through, empty if none did.
func (lt *linkTerminal) given() string {
	synctest.Wait()
	select {
	case a := <-lt.addresses:
		return a
	default:
		return ""
	}
}

// The link is opened once, comes back by itself, and nothing of it stays.
func TestLoginByBrowserHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := byBrowser(t, 80, 24, true)
		lt.shows("Waiting. 10:00 left")
		lt.shows("o open")
		if len(lt.opened) != 1 || lt.opened[0] != authLink {
			t.Errorf("opened: %q", lt.opened)
		}
		lt.press("o")
		synctest.Wait()
		if len(lt.opened) != 2 {
			t.Errorf("opened: %q", lt.opened)
		}
		lt.press("?")
		lt.shows("comes back to this machine by itself")
		lt.press("?")
		lt.send(flow.Event{Kind: flow.EventAnswered})
		lt.shows("[ok] The browser has answered [..] Asking for the tokens")
		lt.send(flow.Event{Kind: flow.EventOffline, Retry: time.Now().Add(4 * time.Second)})
		lt.shows("No connection; next try in")
		lt.send(flow.Event{Kind: flow.EventOnline}, flow.Event{Kind: flow.EventApproved}, doneEvent())
		close(lt.events)
		lt.wait()
		if got, want := lt.text(), "[ok] Logged in as @alice:matrix.org; token in the keyring\n"; got != want {
			t.Errorf("left behind:\n%s", got)
		}
	})
}

// The whole link and the way to paste stand on the screen, in each size.
func TestLoginByBrowserSizes(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {40, 24}, {60, 20}, {200, 50}} {
		synctest.Test(t, func(t *testing.T) {
			lt := byBrowser(t, size[0], size[1], false)
			if len(lt.opened) != 0 {
				t.Error("a browser was opened where there is none")
			}
			if screen := strings.ReplaceAll(lt.text(), "\n", ""); !strings.Contains(screen, authLink) {
				t.Errorf("%v: the link is not whole:\n%s", size, lt.text())
			}
			for _, want := range []string{"paste", "Only approve a login that you started: to matrix.org.", "left", "q quit"} {
				lt.shows(want)
			}
			lt.play()
			lt.press("q")
			lt.wait()
		})
	}
	synctest.Test(t, func(t *testing.T) { // too small for the link
		lt := byBrowser(t, 30, 8, false)
		lt.shows("too long for this window")
		lt.play()
		lt.press("q")
		lt.wait()
	})
}

// An address is pasted at once, or typed: its letters are no keys then.
func TestPasteAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := byBrowser(t, 80, 24, false)
		address := landing + "?code=" + strings.Repeat("cpqno", 200) + "&state=Q"
		lt.press("\x1b[200~" + address[:100] + "\r\n  " + address[100:] + "\n\x1b[201~") // as a terminal breaks it
		if got := lt.given(); got != address {
			t.Errorf("pasted: %q", got)
		}
		lt.send(flow.Event{Kind: flow.EventStray})
		lt.shows(strayed)
		lt.press("a")
		lt.shows("It begins with " + landing)
		lt.press("\r")
		lt.shows("Type or paste the address first.")
		lt.press("http://127.0.0.1/qcpno?q")
		lt.shows("127.0.0.1/qcpno?q")
		lt.press("\r")
		if got := lt.given(); got != "http://127.0.0.1/qcpno?q" {
			t.Errorf("typed: %q", got)
		}
		lt.shows("Waiting.")
		lt.press("a")
		lt.press("\x1b")
		lt.shows("a enter address")
		lt.press("a")
		lt.press("\x1b[200~" + address + "\x1b[201~")
		if got := lt.given(); got != address {
			t.Errorf("pasted into the field: %q", got)
		}
		lt.play()
		lt.press("\x03")
		lt.wait()
		if got := lt.text(); strings.Contains(got, "127.0.0.1") {
			t.Errorf("left behind:\n%s", got)
		}
	})
}

// A server without codes is logged in to by one key, where there is a way.
func TestBrowserIsOffered(t *testing.T) {
	only := flow.Event{Kind: flow.EventError, Err: &flow.Error{Kind: flow.KindUnsupported, Problem: "no device login", Err: flow.ErrBrowserOnly}}
	for _, tt := range []struct {
		end     flow.Event
		way     bool
		offered bool
	}{{only, true, true}, {only, false, false}, {errorEvent(flow.KindUnsupported, "nothing"), true, false}} {
		synctest.Test(t, func(t *testing.T) {
			var began int
			second := &script{events: make(chan flow.Event)}
			o := LoginOptions{Server: "matrix.org"}
			if tt.way {
				o.Browser = func(ctx context.Context, _ string, _ <-chan string) <-chan flow.Event {
					began++
					second.ctx = ctx
					return second.events
				}
			}
			term := open(t, 80, 24, o)
			a := term.attempt()
			a.send(serverEvent(), tt.end)
			close(a.events)
			if !tt.offered {
				term.hides("by browser")
				term.press("q")
				term.wait()
				return
			}
			term.shows("b log in by browser")
			term.press("b")
			synctest.Wait()
			if began != 1 {
				t.Fatalf("%d logins by browser were begun", began)
			}
			second.send(serverEvent(), flow.Event{Kind: flow.EventRegister})
			term.shows("[..] Registering")
			second.send(linkEvent())
			term.shows("Waiting.")
			second.send(errorEvent(flow.KindExpired, "nobody answered in the browser within 10m0s"))
			term.shows("nobody answered in the browser")
			term.shows("enter new link")
			close(second.events)
			term.press("q")
			term.wait()
		})
	}
}

// Plain lines go on with the same login, and take the address.
func TestLinkInPlainLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := byBrowser(t, 80, 24, true)
		until := time.Now().Add(10 * time.Minute).Local().Format("15:04")
		lt.press("p")
		lt.wait()
		if lt.result.Plain == nil || lt.result.Plain.Paste == nil {
			t.Fatalf("%+v, %v", lt.result, lt.err)
		}
		from := make(chan string, 1)
		from <- "http://x/"
		close(from)
		lt.result.Plain.Paste(from)
		if got := lt.given(); got != "http://x/" {
			t.Errorf("%q came through", got)
		}
		go func() {
			lt.events <- flow.Event{Kind: flow.EventStray}
			lt.events <- flow.Event{Kind: flow.EventAnswered}
			lt.events <- doneEvent()
			close(lt.events)
		}()
		var out lineLog
		opener := func(context.Context, string) error { return fmt.Errorf("opened twice") }
		if _, err := Lines(t.Context(), &out, lt.result.Plain.Events, LinesOptions{Seen: lt.result.Plain.Seen, Browser: true, Paste: true, OpenURL: opener,
			Environ: []string{"LANG=C.UTF-8"}}); err != nil {
			t.Error(err)
		}
		lt.result.Plain.Cancel()
		want := `Registering at account.matrix.org.
Open this link in a browser on this machine:
` + authLink + `
In a browser elsewhere, the last page cannot be shown: paste its address here. It begins with ` + landing + `
Only approve a login that you started: to matrix.org.
The link is good until ` + until + `. Waiting.
` + strayed + `
The browser has answered. Asking for the tokens.
Logged in as @alice:matrix.org; token in the keyring.
`
		if out.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
		}
	})
}

// Without a screen the link is opened too, and it is said if that fails.
func TestLinesOpenTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan flow.Event)
		go func() {
			events <- linkEvent()
			time.Sleep(time.Second)
			events <- errorEvent(flow.KindDeclined, "declined")
			close(events)
		}()
		var out lineLog
		var opened string
		_, err := Lines(t.Context(), &out, events, LinesOptions{Browser: true, Environ: []string{"LANG=C.UTF-8"},
			OpenURL: func(_ context.Context, url string) error { opened = url; return fmt.Errorf("no \x1b display") }})
		if err == nil || opened != authLink || !strings.Contains(out.String(), "No browser could be opened: No display.") || strings.Contains(out.String(), "paste") {
			t.Errorf("%v, %q\n%s", err, opened, out.String())
		}
	})
}
