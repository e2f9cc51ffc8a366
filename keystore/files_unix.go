//go:build !windows

package keystore

import (
	"io/fs"
	"os"
	"syscall"
)

const (
	noFollow     = syscall.O_NOFOLLOW
	chmodMatters = true
	alsoFull     = syscall.EDQUOT
)

// syncDir makes a rename in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	_ = f.Close() // it was only read
	return err
}

// foreign reports whether a file belongs to another user.
func foreign(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) != os.Geteuid()
}
