// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"

	"github.com/spf13/cobra"

	"probe/internal/agent"
)

func newSnapshot(stdout io.Writer) *cobra.Command {
	o := agent.SnapshotOptions{Stdout: stdout}
	var config string
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Print the state of this host now, and what is under pressure",
		Long: `snapshot looks at the host twice and prints what happened in between: CPU,
memory, pressure (PSI), run queue, accept queues and services. It needs no BPF
and no root; what it could not see is listed at the end.`,
		Example: `  probe snapshot
  probe snapshot --interval 10s --json`,
		Args: usageArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := complete(cmd.Flags(), &config, validKeys(cmd.Root())); err != nil {
				return err
			}
			return agent.Snapshot(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.Interval, "interval", agent.DefaultSnapshotInterval, "time between the two looks, 100ms to 1h")
	f.BoolVar(&o.JSON, "json", false, "one JSON object")
	f.StringVar(&config, "config", "", "YAML or JSON file whose keys are the names of flags")
	registerThresholds(f, &o.Thresholds)
	return cmd
}
