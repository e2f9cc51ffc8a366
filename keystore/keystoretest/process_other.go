//go:build !linux

package keystoretest

import (
	"os"
	"syscall"
)

// Nothing is started here, so nothing is frozen: see need.
var freeze, thaw os.Signal = os.Interrupt, os.Interrupt

func withParent() *syscall.SysProcAttr { return nil }
