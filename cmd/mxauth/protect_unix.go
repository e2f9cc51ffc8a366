//go:build !linux && !windows

package main

import "syscall"

// protect keeps memory, which holds tokens, out of core dumps. What "run" starts
// inherits that, and may undo it: the hard limit stays.
func protect() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit) // lowering it is always allowed
	}
}
