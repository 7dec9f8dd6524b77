// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"probe/internal/agent"
	"probe/internal/doctor"
)

// exitCode ends the program without a further word.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Exit codes of doctor. Bad usage is 2 as well, with nothing on stdout.
var doctorExits = map[doctor.Status]exitCode{doctor.Degraded: 1, doctor.Broken: 2}

func newDoctor(stdout io.Writer) *cobra.Command {
	var o agent.Options
	var asJSON bool
	var config string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this kernel and these privileges allow, and how to fix what is missing",
		Long: `doctor looks at the kernel, its hooks, the privileges of this process, the
files that names come from, and the receiver. It loads and attaches every program
for a moment where it may. Run it as the user, and in the container, of probe run.

Exit code 0: all is fine. 1: something is degraded; probe works and does not
measure or name something. 2: something is broken.`,
		Example: `  probe doctor
  probe doctor --statsd udp://127.0.0.1:8125 --json
  probe doctor --config /etc/probe/config.yaml`,
		Args: usageArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := complete(cmd.Flags(), &config, validKeys(cmd.Root())); err != nil {
				return err
			}
			target, prefix, err := o.Receiver()
			if err != nil {
				return fmt.Errorf("%w: %w", agent.ErrUsage, err)
			}
			report := doctor.Examine(cmd.Context(), doctor.Options{Version: version, Target: target, Prefix: prefix})
			write := report.WriteText
			if asJSON {
				write = report.WriteJSON
			}
			if err := write(stdout); err != nil {
				return fmt.Errorf("write report: %w", err)
			}
			if code := doctorExits[report.Verdict]; code != 0 {
				return code
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Statsd, "statsd", "", "the receiver of probe run --statsd (default: STATSD_HOST, else none)")
	f.StringVar(&o.Dialect, "statsd-dialect", "plain", "the dialect of probe run --statsd-dialect")
	f.StringVar(&config, "config", "", "take these from the config file of probe run")
	f.StringVar(&o.Prefix, "prefix", "", "the prefix of probe run --prefix")
	f.BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}
