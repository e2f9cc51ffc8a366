package main

import (
	"strings"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// serverFaults go wrong at the server or on the way. A refresh goes on for twelve
// seconds, unless it is told to come back later than that.
var serverFaults = []fault{
	refused("F24_500", 5, flowtest.Status(500)),
	refused("F24_502_HTML", 5, flowtest.HTML(502)),
	refused("F24_503_Retry-After", 5, flowtest.Status(503, "Retry-After", "77")),
	refused("F24_429_Retry-After", 5, flowtest.RateLimited(77*time.Second)),
	refused("F24_408", 5, flowtest.Status(408)),
	refused("F24_404_HTML_of_a_proxy", 5, flowtest.HTML(404)),
	refused("F24_200_HTML_of_a_captive_portal", 5, flowtest.HTML(200)),
	refused("F24_dropped_before", 5, flowtest.DropBefore()),
	refused("F24_locked_out", 5, flowtest.Raw(403, "application/json", `{"errcode":"M_USER_LOCKED","error":"locked","soft_logout":true}`)),
	refused("F26_invalid_request", 6, flowtest.OAuthError(400, "invalid_request")),
	refused("F24_redirect", 6, flowtest.Redirect(307, "https://evil.example.org/token")),
	{"F3_answer_lost", func(k *killing) {
		k.expired(k.s)
		k.s.Inject(flowtest.Refresh, flowtest.LoseAnswer())
		k.works()
	}},
	{"F3_answer_cut", func(k *killing) {
		k.expired(k.s)
		k.s.Inject(flowtest.Refresh, flowtest.Truncate(), flowtest.Truncate())
		k.works()
	}},
	{"F22_answer_lost_strict", func(k *killing) {
		k.strictly()
		k.expired(k.s)
		k.s.Inject(flowtest.Refresh, flowtest.LoseAnswer())
		k.ended()
	}},
	{"F26_invalid_grant", func(k *killing) {
		k.expired(k.s)
		k.s.Inject(flowtest.Refresh, flowtest.OAuthError(400, "invalid_grant"))
		k.ended()
	}},
	{"F26_invalid_client", func(k *killing) {
		k.expired(k.s)
		k.s.Inject(flowtest.Refresh, flowtest.OAuthError(401, "invalid_client"))
		k.ended()
	}},
	{"F24_old_token_has_life", func(k *killing) {
		k.s.Inject(flowtest.Poll, flowtest.Edit(func(members map[string]any) { members["expires_in"] = 22 }))
		k.loggedIn(k.s)
		k.s.Inject(flowtest.Refresh, flowtest.Status(503, "Retry-After", "77"))
		time.Sleep(2100 * time.Millisecond) // so that less than 20 of its 22 seconds are left
		r := k.run("token", "--min-ttl", "20s")
		k.fails(0, r, "503", "good for another")
		if !k.accepts(r.stdout) {
			k.t.Error("the old token was not printed")
		}
	}},
	{"F2_killed_before_the_tokens_came", func(k *killing) {
		k.s.Inject(flowtest.Poll, flowtest.Hold(time.Minute))
		stop := k.approving()
		defer stop()
		cmd := k.command("login", k.s.URL)
		if err := cmd.Start(); err != nil {
			k.t.Fatal(err)
		}
		until(k.t, "the poll is answered", func() bool { return k.s.Succeeded(flowtest.Poll) == 1 })
		_ = cmd.Process.Kill() // it waits for the answer
		_ = cmd.Wait()         // it was killed
		if r := k.run("login", k.s.URL); r.code != 0 || !strings.Contains(r.stderr, "was interrupted") || !strings.Contains(r.stderr, "(device ") {
			k.t.Errorf("the next login does not tell of it: exit %d, %s", r.code, r.stderr)
		}
	}},
}

// refused makes every try of a refresh meet a fault.
func refused(name string, code int, f flowtest.Fault) fault {
	return fault{name, func(k *killing) {
		k.expired(k.s)
		k.s.Inject(flowtest.Refresh, f, f, f, f, f, f, f, f)
		began := time.Now()
		k.fails(code, k.run("token"), "Your login is kept")
		if took := time.Since(began); took > 25*time.Second {
			k.t.Errorf("it took %s", took)
		}
		k.s.Close()
		k.again()
	}}
}

// again tries once more when the fault is gone.
func (k *killing) again() {
	k.t.Helper()
	if list := k.must(0, "list").stdout; strings.Contains(list, "ended") {
		k.t.Error("the session counts as ended")
	}
}

// strictly puts a strict server in the place of the lenient one.
func (k *killing) strictly() {
	k.strict = true
	k.s = startServer(k.t, flowtest.WithStrictRotation())
}

// ended wants the end of the session to be told, and remembered.
func (k *killing) ended() {
	k.t.Helper()
	k.fails(4, k.run("token"), "mxauth login")
	asked := k.s.Count(flowtest.Refresh)
	k.fails(4, k.run("token"), "mxauth login")
	if k.s.Count(flowtest.Refresh) != asked {
		k.t.Error("the server was asked again")
	}
	if list := k.must(0, "list").stdout; strings.Count(list, "\n") != 2 {
		k.t.Errorf("the session is not listed any more: %s", list)
	}
	k.loggedIn(k.s)
	k.works()
}
