package model

import (
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/keystore/keystoretest/disk"
)

// A mistake is put into the shipped code, to see that the model finds it.
// disk.Mistake tells at run time which one is meant.
type mistake struct {
	name   string
	file   string      // empty: the mistake is made in the model
	edits  [][2]string // what stands there, and what shall; MISTAKE stands for the call of disk.Mistake
	strict bool        // the server that shows it
	finds  scenario    // that shows it
	lot    bool        // it takes too long to search, and is met by chance
}

// inModel are mistakes whose place is the model itself.
const (
	usedTooSoon    = "used before it is stored"
	folderUnsynced = "the keyring's folder is not synced"
)

// finding is a scenario with one thing that goes wrong.
func finding(scripts [][]string) scenario {
	return scenario{scripts: scripts, faults: 1, coarse: true}
}

func (sc scenario) inRing() scenario {
	sc.ring = true
	return sc
}

func (sc scenario) faultless() scenario {
	sc.faults = 0
	return sc
}

var mistakes = []mistake{
	{name: usedTooSoon, finds: finding(twice("token"))},
	{name: "no lock", file: "/keystore/lock.go", finds: finding(twice("token")).faultless(), edits: [][2]string{{
		"	if err != nil {\n		return nil, lockError(path, err)",
		"	if MISTAKE {\n		got = true\n	}\n	if err != nil {\n		return nil, lockError(path, err)",
	}}},
	{name: "no second look under the lock", file: "/keystore/update.go", strict: true, finds: finding(twice("token")).faultless(), edits: [][2]string{
		{
			"	unlock, current, err := k.locked(ctx, e.ID)",
			"	early, _ := v.read(ctx, e)\n	ctx = context.WithValue(ctx, \"early\", early)\n	unlock, current, err := k.locked(ctx, e.ID)",
		},
		{
			"	s, err := e.decode(before)\n	if err != nil {\n		return s, err\n	}\n	if will(s)",
			"	if MISTAKE {\n		before = ctx.Value(\"early\").([]byte)\n	}\n	s, err := e.decode(before)\n	if err != nil {\n		return s, err\n	}\n	if will(s)",
		},
	}},
	{name: "the lock is given back before the tokens are stored", file: "/keystore/update.go", finds: finding(twice("token", "refresh")).faultless(), edits: [][2]string{
		{
			"	return k.rotate(ctx, v, current, refresh, will)",
			"	return k.rotate(context.WithValue(ctx, \"unlock\", unlock), v, current, refresh, will)",
		},
		{
			"	if err := k.write(ctx, pen, e, before, next); err != nil {",
			"	if MISTAKE {\n		ctx.Value(\"unlock\").(func())()\n	}\n	if err := k.write(ctx, pen, e, before, next); err != nil {",
		},
	}},
	{name: "the file is not synced", file: "/keystore/files.go", finds: finding(twice("token")), edits: [][2]string{{
		"		err = f.Sync()\n	}\n	return errors.Join(err, f.Close())",
		"		if !MISTAKE {\n			err = f.Sync()\n		}\n	}\n	return errors.Join(err, f.Close())",
	}}},
	{name: "the folder is not synced", file: "/keystore/files_unix.go", finds: finding(twice("token")), edits: [][2]string{{
		"	f, err := os.Open(dir)",
		"	if MISTAKE {\n		return nil\n	}\n	f, err := os.Open(dir)",
	}}},
	{name: folderUnsynced, finds: finding(twice("token")).inRing()},
	{name: "the keyring is believed", file: "/keystore/ringcall.go", finds: finding(twice("token")).inRing(), edits: [][2]string{{
		"	back, err := r.get(ctx, e)",
		"	if MISTAKE {\n		return nil\n	}\n	back, err := r.get(ctx, e)",
	}}},
	{name: "a reader trusts a rename", file: "/keystore/update.go", finds: finding(twice("token")), edits: [][2]string{{
		"func (k *Keystore) settle(e Entry, s flow.Session) error {",
		"func (k *Keystore) settle(e Entry, s flow.Session) error {\n	if MISTAKE {\n		return nil\n	}",
	}}},
	{name: "one try to store", file: "/keystore/update.go", strict: true, finds: finding(twice("token")), edits: [][2]string{{
		"		err := p.commit(ctx, data)",
		"		err := p.commit(ctx, data)\n		if MISTAKE {\n			return err\n		}",
	}}},
	{name: "the old place is emptied too soon", file: "/keystore/move.go", finds: finding(both("token", "move")), edits: [][2]string{{
		"	moved := e\n",
		"	if MISTAKE {\n		_ = from.erase(ctx, e)\n	}\n	moved := e\n",
	}}},
	{name: "a copy is not noted", file: "/keystore/move.go", finds: finding(both("token", "move")), edits: [][2]string{{
		"	if err := k.writeEntry(noted); err != nil {",
		"	if err := k.writeEntry(noted); err != nil && !MISTAKE {",
	}, {
		"	noted.Also = to // before",
		"	if !MISTAKE {\n		noted.Also = to\n	} // before",
	}}},
	{name: "forgotten, though not revoked", file: "/keystore/slots.go", finds: finding(both("token", "logout")), edits: [][2]string{{
		"		if err := k.revoke(ctx, v, e, revoke); err != nil {",
		"		if err := k.revoke(ctx, v, e, revoke); err != nil && !MISTAKE {",
	}}},
	{name: "one try to name", file: "/keystore/slots.go", finds: finding([][]string{{"login"}}), edits: [][2]string{{
		"	return k.store(ctx, plainPen{s.note}, b)",
		"	if MISTAKE {\n		return s.note.commit(b)\n	}\n	return k.store(ctx, plainPen{s.note}, b)",
	}}},
	{name: "a lost answer is forgotten", file: "/cmd/internal/login/login.go", finds: scenario{scripts: [][]string{{"login"}}, faults: 2, only: []string{"cut", "kill"}}, edits: [][2]string{{
		"	if errors.As(why, &unheard) {",
		"	if errors.As(why, &unheard) && !MISTAKE {",
	}}},
	{name: "unfinished logins are not looked at again", file: "/keystore/slots.go", finds: finding([][]string{{"token", "refresh", "refresh", "login"}, {"login"}}).faultless(), lot: true, edits: [][2]string{{
		"	if _, ours := k.slot(id); ours {\n		return nil",
		"	if _, ours := k.slot(id); ours || MISTAKE {\n		return nil",
	}}},
}

// mistaken puts the mistakes of a file into its code. A mistake whose place is
// gone must be put elsewhere: a model that finds nothing any more proves nothing.
func mistaken(t *testing.T, file, code string) string {
	t.Helper()
	for _, m := range mistakes {
		if m.file != file {
			continue
		}
		for _, e := range m.edits {
			if strings.Count(code, e[0]) != 1 {
				t.Errorf("the mistake %q has no place in %s any more: %q", m.name, file, e[0])
			}
			code = strings.Replace(code, e[0], strings.ReplaceAll(e[1], "MISTAKE", "disk.Mistake(\""+m.name+"\")"), 1)
		}
	}
	return code
}

// TestMistakes makes each of them, and wants the model to find it.
func TestMistakes(t *testing.T) {
	if !modelled {
		t.Skip("see TestModel")
	}
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			disk.Make(m.name)
			defer disk.Make("")
			out, runs := m.find(t, time.Now().Add(5*time.Minute))
			if out.wrong == "" {
				t.Fatalf("not found in %d runs", runs)
			}
			t.Logf("found in run %d: %s", runs, out.wrong)
		})
	}
}

// find returns the first run that shows the mistake.
func (m mistake) find(t *testing.T, until time.Time) (out outcome, runs int) {
	first := beginnings{}.afterLogin(t, m.finds.kind())
	if !m.lot {
		var s search
		out, _ = s.explore(t, first, m.finds, m.strict, m.name == usedTooSoon, until)
		return out, s.runs
	}
	for out.wrong == "" && time.Now().Before(until) {
		runs++
		out = wander(t, first, m.finds, m.strict, uint64(runs))
	}
	return out, runs
}
