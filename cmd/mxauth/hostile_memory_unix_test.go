//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
)

// peakMemory is what an ended process had resident at most, in bytes.
func peakMemory(s *os.ProcessState) int64 {
	usage, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss
	}
	return usage.Maxrss << 10
}
