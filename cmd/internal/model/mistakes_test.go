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
	name     string
	file     string
	old, new string     // MISTAKE in new stands for the call of disk.Mistake
	strict   bool       // the server that shows it
	scripts  [][]string // that show it; nil: it wanders
}

var (
	twoTokens = [][]string{{"token"}, {"token"}}
	logoutToo = [][]string{{"token"}, {"logout"}}
)

var mistakes = []mistake{
	{"used before it is stored", "", "", "", false, twoTokens},
	{
		"no lock", "/keystore/lock.go",
		"	if err != nil {\n		return nil, lockError(path, err)",
		"	if MISTAKE {\n		got = true\n	}\n	if err != nil {\n		return nil, lockError(path, err)",
		false, twoTokens,
	},
	{
		"the file is not synced", "/keystore/files.go",
		"		err = f.Sync()\n	}\n	return errors.Join(err, f.Close())",
		"		if !MISTAKE {\n			err = f.Sync()\n		}\n	}\n	return errors.Join(err, f.Close())",
		false, twoTokens,
	},
	{
		"the folder is not synced", "/keystore/files_unix.go",
		"	f, err := os.Open(dir)",
		"	if MISTAKE {\n		return nil\n	}\n	f, err := os.Open(dir)",
		false, twoTokens,
	},
	{
		"a reader trusts a rename", "/keystore/update.go",
		"func (k *Keystore) settle(e Entry, s flow.Session) error {",
		"func (k *Keystore) settle(e Entry, s flow.Session) error {\n	if MISTAKE {\n		return nil\n	}",
		false, twoTokens,
	},
	{
		"one try to store", "/keystore/update.go",
		"		err := p.commit(ctx, data)",
		"		err := p.commit(ctx, data)\n		if MISTAKE {\n			return err\n		}",
		true, twoTokens,
	},
	{
		"forgotten, though not revoked", "/keystore/slots.go",
		"		if err := k.revoke(ctx, v, e, revoke); err != nil {",
		"		if err := k.revoke(ctx, v, e, revoke); err != nil && !MISTAKE {",
		false, logoutToo,
	},
	{
		"unfinished logins are not looked at again", "/keystore/slots.go",
		"	if _, ours := k.slot(id); ours {\n		return nil",
		"	if _, ours := k.slot(id); ours || MISTAKE {\n		return nil",
		false, nil,
	},
}

// mistaken puts the mistakes of a file into its code. A mistake whose place is
// gone must be put elsewhere: a model that finds nothing any more proves nothing.
func mistaken(t *testing.T, file, code string) string {
	t.Helper()
	for _, m := range mistakes {
		if m.file != file {
			continue
		}
		if strings.Count(code, m.old) != 1 {
			t.Errorf("the mistake %q has no place in %s any more: %q", m.name, file, m.old)
		}
		code = strings.Replace(code, m.old, strings.ReplaceAll(m.new, "MISTAKE", "disk.Mistake(\""+m.name+"\")"), 1)
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
			out, runs := m.find(t, time.Now().Add(30*time.Second))
			if out.wrong == "" {
				t.Errorf("not found in %d runs", runs)
			}
			t.Logf("found in run %d: %s", runs, out.wrong)
		})
	}
}

// find returns the first run that shows the mistake.
func (m mistake) find(t *testing.T, until time.Time) (out outcome, runs int) {
	if m.scripts != nil {
		var s search
		out, _ = s.explore(t, scenario{m.name, m.scripts, 1, true, true}, m.strict, m.file == "", until)
		return out, s.runs
	}
	first := afterLogin(t)
	for out.wrong == "" && time.Now().Before(until) {
		runs++
		out = wander(t, first, randomScenario(uint64(runs)), m.strict, uint64(runs))
	}
	return out, runs
}
