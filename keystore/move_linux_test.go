package keystore

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

func init() {
	childWork["move"] = func(k *Keystore) error {
		e, err := k.Find("bot")
		if err == nil {
			_, err = k.Move(context.Background(), e, Kind(os.Getenv("KEYSTORE_KIND")))
		}
		return err
	}
	childWork["rekey"] = func(k *Keystore) error {
		_, err := k.Rekey(context.Background(), NewKey{})
		return err
	}
}

// TestKilledMove and TestKilledRekey kill at calls of the kernel. The session
// must be there each time, and the same command must bring it to its end; or a
// logout must leave nothing.
func TestKilledMove(t *testing.T) {
	needKills(t)
	for _, to := range []Kind{KindFile, KindPlaintext} {
		t.Run("to "+string(to), func(t *testing.T) {
			killEverywhere(t, "move", map[Kind]Kind{KindFile: KindPlaintext, KindPlaintext: KindFile}[to], to)
		})
	}
}

func TestKilledRekey(t *testing.T) {
	needKills(t)
	killEverywhere(t, "rekey", KindFile, KindFile)
}

func killEverywhere(t *testing.T, work string, from, to Kind) {
	points := 0
	for _, call := range killable {
		for when := 1; killWork(t, work, from, to, call, when); when++ {
			points++
		}
	}
	t.Logf("killed at %d points", points)
	if points < 40 {
		t.Errorf("killed at %d points only", points)
	}
}

// killWork kills a child at one call, looks for the session, and has the same
// done again.
func killWork(t *testing.T, work string, from, to Kind, call string, when int) (killed bool) {
	dir := quickDir(t)
	key := quickDir(t) + "/key"
	k := anywhere(t, dir, key)
	if err := k.Prepare(t.Context(), KindFile); err != nil {
		t.Fatal(err)
	}
	e := login(t, k, from, "bot", session(1))
	at := fmt.Sprintf("%s %d", call, when)
	c := spawn(t, work, []string{"KEYSTORE_DIR=" + dir, "KEYSTORE_KEY=" + key, "KEYSTORE_KIND=" + string(to)},
		"strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, when))
	if c.line() != "ready" { // it died before its work began
		return true
	}
	_, _ = io.WriteString(c.in, "go\n") // it may be dead
	if said := c.line(); said != "" {
		t.Fatalf("%s: it failed: %s", at, said)
	}
	killed = c.cmd.Wait() != nil

	for name, k := range map[string]*Keystore{"another process": anywhere(t, dir, key), "who was there before": k} {
		s, err := k.Get(t.Context(), mustFind(t, k, "bot"))
		if err != nil {
			t.Fatalf("%s: %s cannot read the session: %v", at, name, err)
		}
		carries(t, s, 1)
	}
	if _, err := k.Update(t.Context(), e, next(2)); err != nil {
		t.Fatalf("%s: it cannot be updated: %v", at, err)
	}
	again := anywhere(t, dir, key)
	if when%2 == 0 { // a logout finds every copy too
		if err := again.Remove(t.Context(), mustFind(t, again, "bot"), nil); err != nil {
			t.Fatalf("%s: it cannot be removed: %v", at, err)
		}
		if files := leftovers(t, again); len(files) != 0 {
			t.Errorf("%s: the logout left %v", at, files)
		}
		return killed
	}
	if err := againDone(t, again, work, to); err != nil {
		t.Fatalf("%s: the second time: %v", at, err)
	}
	now := mustFind(t, again, "bot")
	holds(t, again, now, 2)
	if now.Kind != to || now.Also != "" {
		t.Errorf("%s: the entry is %+v", at, now)
	}
	if files := leftovers(t, again); len(files) != 3 || strings.Contains(strings.Join(files, " "), ".tmp") {
		t.Errorf("%s: left behind: %v", at, files)
	}
	if text := string(mustRead(t, key)); strings.Count(text, "AGE-SECRET-KEY-") != 1 {
		t.Errorf("%s: the key file holds %d keys", at, strings.Count(text, "AGE-SECRET-KEY-"))
	}
	modes(t, dir)
	return killed
}

func againDone(t *testing.T, k *Keystore, work string, to Kind) error {
	if work == "rekey" {
		_, err := k.Rekey(t.Context(), NewKey{})
		return err
	}
	_, err := k.Move(t.Context(), mustFind(t, k, "bot"), to)
	return err
}
