// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"probe/internal/agent"
)

func newTrace(stdout, stderr io.Writer) *cobra.Command {
	c := common{flags: traceFlags}
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Print one line per finished request, live: an access log for any binary",
		Example: `  probe trace --port 8080
  probe trace --slow 100ms
  probe trace --role both --json`,
		Args: usageArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.observe(cmd, stdout, stderr)
		},
	}
	c.flags(&c, cmd.Flags())
	return cmd
}

func traceFlags(c *common, f *pflag.FlagSet) {
	c.opt.Trace = true
	c.opt.SnapshotInterval = agent.DefaultSnapshotInterval // for the pressure in a blame
	c.register(f, "full")
	f.BoolVar(&c.opt.JSON, "json", false, "one JSON object per line")
	f.DurationVar(&c.opt.Slow, "slow", 0, "only requests that took at least this long, each with a sentence that says why")
	f.BoolVar(&c.opt.Query, "capture-query", false, "keep query strings; they may hold secrets")
}
