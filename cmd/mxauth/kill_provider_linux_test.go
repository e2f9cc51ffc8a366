package main

import "testing"

// TestKillAtProvider kills a refresh at a real provider that is strict: who sends a
// refresh token twice loses the session. So it may end where the answer died with
// its reader, and nowhere else: never before the tokens were asked for, and never
// once they are stored.
func TestKillAtProvider(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	k := &killing{box: newBox(t, "MXAUTH_STORE=plaintext")}
	args := []string{"--issuer", startProvider(t), "--name", "ci"}
	login := func() {
		t.Helper()
		approve := func(e event) { newBrowser(t).approveAtProvider(e.URI, e.UserCode, "alice") }
		if done, code := k.login(approve, args...); code != 0 {
			t.Fatal(done.Error)
		}
	}
	login()
	whole := k.killedAt(0, "refresh")
	if whole.code != 0 {
		t.Fatalf("without a kill: exit %d: %s", whole.code, whole.stderr)
	}
	step, sum := 1, tally{points: whole.points}
	if !*killAll {
		step = max(1, whole.points/12)
	}
	for at := 1 + step/2; ; at += step {
		before := k.read(k.only(".plain"))
		if !k.killedAt(at, "refresh").killed {
			break
		}
		sum.kills++
		after := k.read(k.only(".plain"))
		r := k.run("refresh")
		if r.code == 0 {
			continue
		}
		sum.lost++
		if r.code != 4 || after != before {
			t.Errorf("killed at call %d of %d: exit %d, and the new tokens were stored: %t: %s", at, whole.points, r.code, after != before, r.stderr)
		}
		login()
	}
	t.Logf("%d calls, %d kills, %d lost, each before its answer was stored", sum.points, sum.kills, sum.lost)
	if sum.kills == 0 || sum.lost == sum.kills {
		t.Error("no kill left the session alive")
	}
}
