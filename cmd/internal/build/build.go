// Package build knows what the binary was built from.
package build

import (
	"runtime/debug"
	"strings"
)

// Version returns the module's version without its leading v, or "dev" for a
// build that no release stands behind.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	v := strings.TrimPrefix(info.Main.Version, "v")
	if v == "" || v == "(devel)" || strings.HasPrefix(v, "0.0.0-") {
		return "dev"
	}
	return v
}
