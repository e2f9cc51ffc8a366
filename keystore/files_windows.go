package keystore

import (
	"io/fs"
	"syscall"
)

const (
	noFollow     = 0
	chmodMatters = false              // access lists of the profile's folder protect it
	alsoFull     = syscall.Errno(112) // ERROR_DISK_FULL
)

// syncDir does nothing: NTFS writes renames to its journal by itself.
func syncDir(string) error { return nil }

func foreign(fs.FileInfo) bool { return false }
