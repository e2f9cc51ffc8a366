package main

import (
	"bytes"
	"time"

	"github.com/mxauth/mxauth/flow/flowtest"
	"github.com/mxauth/mxauth/keystore/keystoretest"
)

// ringFaults happen to a real keyring.
var ringFaults = []fault{
	{"F13_no_bus", func(k *killing) {
		k.box = newBox(k.t)
		k.fails(7, k.run("login", k.s.URL), "--store")
	}},
	{"F13_dead_socket", func(k *killing) {
		k.box = newBox(k.t, "DBUS_SESSION_BUS_ADDRESS=unix:path="+k.t.TempDir()+"/none")
		k.fails(7, k.run("login", k.s.URL), "--store")
	}},
	{"F13_silent_bus", func(k *killing) {
		bus := keystoretest.StartBus(k.t)
		k.box = newBox(k.t, bus.Env()...)
		bus.Freeze()
		began := time.Now()
		k.fails(7, k.run("login", k.s.URL))
		if took := time.Since(began); took > 10*time.Second {
			k.t.Errorf("it took %s", took)
		}
	}},
	ringFault("F16_locked", 7, nil, (*keystoretest.SecretService).Lock, (*keystoretest.SecretService).Unlock),
	ringFault("F17_dies_between_read_and_write", 7, nil, (*keystoretest.SecretService).Kill, (*keystoretest.SecretService).Start),
	ringFault("F17_freezes_between_read_and_write", 7, nil, (*keystoretest.SecretService).Stop, (*keystoretest.SecretService).Cont),
	ringFault("F18_late", 0, func(s *keystoretest.SecretService) { time.AfterFunc(2*time.Second, s.Cont) }, (*keystoretest.SecretService).Stop, nil),
	{"F16_locked_from_the_start", func(k *killing) {
		s := k.withRing()
		k.expired(k.s)
		s.Lock()
		k.fails(7, k.run("token"), "locked", "Unlock")
		if k.s.Count(flowtest.Refresh) != 0 {
			k.t.Error("the server was asked")
		}
		s.Unlock()
		k.works()
	}},
}

func (k *killing) withRing() *keystoretest.SecretService {
	k.t.Helper()
	s := keystoretest.StartService(k.t)
	k.box = newBox(k.t, s.Env()...)
	return s
}

// ringFault happens to the keyring while a refresh is at the server.
func ringFault(name string, code int, soon func(*keystoretest.SecretService), breaks, mend func(*keystoretest.SecretService)) fault {
	return fault{name, func(k *killing) {
		s := k.withRing()
		k.expired(k.s)
		k.s.Inject(flowtest.Refresh, flowtest.Hold(time.Second))
		cmd := k.command("token")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Start(); err != nil {
			k.t.Fatal(err)
		}
		until(k.t, "the refresh is at the server", func() bool { return k.s.Count(flowtest.Refresh) > 0 })
		breaks(s)
		if soon != nil {
			soon(s)
		}
		_ = cmd.Wait() // how it ended is looked at below
		r := result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
		if code != 0 {
			k.fails(code, r)
		} else if r.code != 0 || !k.accepts(r.stdout) {
			k.t.Errorf("exit %d, %s", r.code, r.stderr)
		}
		if mend != nil {
			mend(s)
		}
		k.works()
	}}
}
