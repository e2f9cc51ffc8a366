package main

import "golang.org/x/sys/unix"

// protect keeps memory, which holds tokens, out of core dumps and from other
// processes of the same user. On Linux a process that is not dumpable has neither,
// whatever its RLIMIT_CORE. The limit is left alone: what "run" starts would
// inherit it, and this ends with exec.
func protect() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // it fails for other arguments only
}
