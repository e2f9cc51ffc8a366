package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// placeFaults are about where things lie, and what lies there.
var placeFaults = []fault{
	{"F9_missing", func(k *killing) {
		k.fails(4, k.run("token"), "mxauth login")
		k.loggedIn(k.s)
		k.works()
	}},
	{"F9_a_file_in_its_place", func(k *killing) {
		k.write(k.state(), "")
		k.fails(7, k.run("token"))
		k.fails(7, k.run("login", k.s.URL))
	}},
	{"F9_not_ours", func(k *killing) {
		if os.Geteuid() != 0 {
			missing(k.t, "only root can give a folder away")
		}
		k.expired(k.s)
		k.chown(12345)
		k.fails(7, k.run("token"), "another user")
		k.chown(0)
		k.works()
	}},
	{"F9_0777", func(k *killing) {
		k.expired(k.s)
		if err := os.Chmod(k.state(), 0o777); err != nil {
			k.t.Fatal(err)
		}
		k.works()
		info, err := os.Stat(k.state())
		if err != nil || info.Mode().Perm() != 0o700 {
			k.t.Errorf("the mode is %v, %v", info.Mode(), err)
		}
	}},
	{"F10_no_HOME", func(k *killing) {
		k.env = slices.DeleteFunc(k.env, func(v string) bool {
			return strings.HasPrefix(v, "HOME=") || strings.HasPrefix(v, "MXAUTH_STATE_DIR=")
		})
		k.fails(2, k.run("token"), "HOME")
	}},
	{"F10_relative_XDG", func(k *killing) {
		k.env = append(slices.DeleteFunc(k.env, func(v string) bool { return strings.HasPrefix(v, "MXAUTH_STATE_DIR=") }), "XDG_STATE_HOME=here")
		k.fails(2, k.run("token"), "XDG_STATE_HOME")
	}},
	damage("F11_corrupt_record", ".plain", func(string) string { return "{not JSON" }),
	damage("F11_empty_record", ".plain", func(string) string { return "" }),
	damage("F11_truncated_record", ".plain", func(s string) string { return s[:len(s)/2] }),
	damage("F38_record_of_the_future", ".plain", func(s string) string { return strings.Replace(s, `"version":1`, `"version":2`, 1) }),
	damage("F11_corrupt_entry", ".json", func(string) string { return "\x00\x00" }),
	damage("F11_truncated_entry", ".json", func(s string) string { return s[:len(s)/2] }),
	damage("F38_entry_of_the_future", ".json", func(s string) string { return strings.Replace(s, `"version":1`, `"version":2`, 1) }),
	{"F12_wrong_key", func(k *killing) {
		k.box = sealedBox(k.t)
		k.expired(k.s)
		key := filepath.Join(k.dir, "key")
		right := k.read(key)
		if err := os.Rename(key, filepath.Join(k.t.TempDir(), "right")); err != nil {
			k.t.Fatal(err)
		}
		k.fails(7, k.run("token"))
		other := sealedBox(k.t)
		other.loggedIn(k.s)
		k.write(key, (&killing{box: other}).read(filepath.Join(other.dir, "key")))
		k.fails(7, k.run("token"))
		k.write(key, right)
		k.works()
	}},
	{"F12_flipped_bit", func(k *killing) {
		k.box = sealedBox(k.t)
		k.expired(k.s)
		path := k.only(".age")
		good := k.read(path)
		bad := []byte(good)
		bad[len(bad)-1] ^= 1
		k.write(path, string(bad))
		k.fails(7, k.run("token"))
		k.write(path, good)
		k.works()
	}},
}

func (k *killing) chown(uid int) {
	k.t.Helper()
	if err := os.Chown(k.state(), uid, -1); err != nil {
		k.t.Fatal(err)
	}
}

// damage spoils a file of a session: it is kept as it is, and a login under the
// same name repairs what is left. What a newer version wrote stays for ever, and
// then a session must be named.
func damage(name, suffix string, spoil func(string) string) fault {
	return fault{name, func(k *killing) {
		k.expired(k.s)
		path := k.only(suffix)
		bad := spoil(k.read(path))
		k.write(path, bad)
		says := ""
		if strings.HasPrefix(name, "F38") {
			says = "Update mxauth"
		}
		k.fails(7, k.run("token"), says)
		if k.read(path) != bad {
			k.t.Error("the file was changed")
		}
		k.loggedIn(k.s)
		if !strings.HasPrefix(name, "F38_entry") {
			k.works()
		} else if r := k.run("token", "@alice:"+k.s.ServerName); r.code != 0 || !k.accepts(r.stdout) {
			k.t.Errorf("by its name: exit %d: %s", r.code, r.stderr)
		}
	}}
}
