// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"probe/internal/agent"
)

func newRun(stdout, stderr io.Writer) *cobra.Command {
	c := common{flags: runFlags}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Send requests as statsd lines; without a target, print them",
		Example: `  probe run
  probe run --statsd udp://127.0.0.1:8125 --statsd-dialect dogstatsd`,
		Args: usageArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.observe(cmd, stdout, stderr)
		},
	}
	c.flags(&c, cmd.Flags())
	return cmd
}

func runFlags(c *common, f *pflag.FlagSet) {
	c.register(f, "basic")
	f.StringVar(&c.opt.Statsd, "statsd", "", "where to send: udp://HOST:PORT or stdout: (default: STATSD_HOST, else stdout)")
	f.StringVar(&c.opt.Dialect, "statsd-dialect", "plain", "plain or dogstatsd")
	f.StringVar(&c.opt.Prefix, "prefix", "", "first part of every metric name (default: STATSD_PREFIX, else probe)")
	f.DurationVar(&c.opt.Interval, "interval", agent.DefaultInterval, "time between two flushes, at least 100ms")
	f.StringVar(&c.opt.Listen, "listen", "", "serve /healthz, /readyz, /metrics and /debug/state on this address, say 127.0.0.1:9102 (default: do not)")
	f.BoolVar(&c.opt.ListenPublic, "listen-public", false, "allow an address for --listen that other hosts can reach")
	f.BoolVar(&c.opt.Pprof, "pprof", false, "serve /debug/pprof there too")
	f.StringVar(&c.opt.StateDir, "state-dir", "", "keep the totals in this directory, so that they survive a restart (default: do not)")
	f.DurationVar(&c.opt.SnapshotInterval, "snapshot-interval", agent.DefaultSnapshotInterval, "time between two looks at the host, at least 100ms; 0: none")
	f.BoolVar(&c.allowSecond, "allow-second", false, "send even if another probe of this host sends to the same receiver (counts are doubled there)")
	registerThresholds(f, &c.opt.Thresholds)
}
