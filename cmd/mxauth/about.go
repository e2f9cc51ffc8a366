package main

import (
	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/internal/build"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(*cobra.Command, []string) error { return a.print("mxauth " + build.Version() + "\n") },
	}
}
