//go:build !windows

package keystore

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

const (
	noFollow     = syscall.O_NOFOLLOW
	chmodMatters = true
	alsoFull     = syscall.EDQUOT
)

// syncDir makes a rename in a folder durable. Some file systems (CIFS for one)
// have no such thing for folders, and nothing better to offer.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	_ = f.Close() // it was only read
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}

// foreign reports whether a file belongs to another user.
func foreign(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) != os.Geteuid()
}
