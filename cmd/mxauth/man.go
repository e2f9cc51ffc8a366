package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand writes a manual page. Cobra's own writer goes by way of Markdown
// and brings regular expressions that are compiled at every start; a page in
// man(7) needs neither.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man [COMMAND]",
		Short: "Print the manual page, for man -l - or an installer",
		Args:  usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			page, _, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), manPage(page))
			return err
		},
	}
}

func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) } // a Builder takes everything
	say(".TH %q 1", strings.ToUpper(name))
	say(".SH NAME\n%s \\- %s", roff(name), roff(cmd.Short))
	say(".SH SYNOPSIS\n.B %s", roff(cmd.UseLine()))
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	say(".SH DESCRIPTION\n%s", roff(long))
	if subs := cmd.Commands(); len(subs) > 0 {
		say(".SH COMMANDS")
		for _, sub := range subs {
			if sub.IsAvailableCommand() {
				say(".TP\n.B %s\n%s", roff(sub.Use), roff(sub.Short))
			}
		}
	}
	say(".SH OPTIONS")
	flag := func(f *pflag.Flag) {
		short := ""
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		say(".TP\n.B %s", roff(short+"--"+f.Name))
		say("%s", roff(f.Usage))
	}
	cmd.LocalFlags().VisitAll(flag)
	cmd.InheritedFlags().VisitAll(flag)
	if cmd.Example != "" {
		say(".SH EXAMPLES\n.nf\n%s\n.fi", roff(cmd.Example))
	}
	if !cmd.HasParent() {
		say(".SH EXIT STATUS\n.nf\n%s\n.fi", roff(exitStatus))
	}
	return b.String()
}

const exitStatus = `0      done
1      bug, or nothing else fits
2      usage or configuration
3      the login was declined, or its code expired
4      not logged in, or the server ended the session
5      network or server trouble; the session is kept, try again
6      the server's answer is invalid, or was refused for safety
7      the credential store; nothing is lost
8      another process holds the lock; try again
128+n  ended by signal n`

// roff escapes text for man(7): backslashes, hyphens, and dots and quotes that
// would begin a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
