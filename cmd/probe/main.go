// SPDX-License-Identifier: Apache-2.0

// Command probe tells why requests on a Linux host are slow, with no change to
// any program. See README.md.
//
// Rules of this user interface: output on stdout, everything else on stderr;
// an error is one line that begins with "probe:" and says what to do; exit 0
// fine, 1 failed, 2 bad usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"probe/internal/agent"
)

// version is set by the build.
var version = "dev"

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if code, said := errors.AsType[exitCode](err); said {
		return int(code)
	}
	fmt.Fprintln(stderr, "probe:", oneLine(err))
	if errors.Is(err, agent.ErrUsage) {
		return exitUsage
	}
	return exitFailed
}

// oneLine drops the marker that only chooses the exit code and joins the lines
// of errors that stand together.
func oneLine(err error) string {
	text := strings.ReplaceAll(err.Error(), agent.ErrUsage.Error()+": ", "")
	return strings.Join(strings.Split(text, "\n"), "; ")
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "probe",
		Short: "See every HTTP request of every process on this host, and why it was slow",
		Long: `probe sees every HTTP/1 request of every process on this host, with no change
to any program: it needs Linux 5.9 or later with BTF, and root.

  probe trace    one line per request, live
  probe run      statsd lines, to stdout or to --statsd udp://HOST:PORT
  probe snapshot the host now, and what is under pressure; needs no root
  probe doctor   what this host and these privileges allow, and how to fix the rest
  probe status   totals that were kept, and whether an agent runs
  probe reset    forget them`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetVersionTemplate("probe {{.Version}}\n")
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w%s (see %s --help)", agent.ErrUsage, err, meantFlag(cmd, err), cmd.CommandPath())
	})
	root.SetHelpCommand(newHelp(root))
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(stdout, stderr), newTrace(stdout, stderr), newSnapshot(stdout), newDoctor(stdout), newStatus(stdout), newReset())
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args, completion.RunE = usageArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, shell := range completion.Commands() {
			shell.Args = usageArgs // the library's refusal is not known as bad usage
		}
	}
	return root
}

// newHelp is the library's help command, but for an unknown command, which is bad usage.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err != nil {
				return usageArgs(cmd, args)
			} else if len(rest) > 0 {
				return usageArgs(about, rest)
			}
			about.InitDefaultHelpFlag()
			about.InitDefaultVersionFlag()
			return about.Help()
		},
	}
}

// usageArgs refuses positional arguments: an unknown command is bad usage.
func usageArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return fmt.Errorf("%w: unknown argument %q%s (see %s --help)", agent.ErrUsage, args[0], meant(args[0], "", names), cmd.CommandPath())
}
