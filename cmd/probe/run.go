// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"time"

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
  probe run --statsd udp://127.0.0.1:8125 --statsd-dialect dogstatsd
  probe run --statsd tcp://statsd.example:8125 --spool-dir /var/lib/probe/spool`,
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
	registerExport(f, &c.opt)
	f.DurationVar(&c.opt.Interval, "interval", agent.DefaultInterval, "time between two flushes, at least 100ms")
	f.StringVar(&c.opt.Listen, "listen", "", "serve /healthz, /readyz, /metrics and /debug/state on this address, say 127.0.0.1:9102 (default: do not)")
	f.BoolVar(&c.opt.ListenPublic, "listen-public", false, "allow an address for --listen that other hosts can reach")
	f.BoolVar(&c.opt.Pprof, "pprof", false, "serve /debug/pprof on the address of --listen too")
	f.StringVar(&c.opt.StateDir, "state-dir", "", "keep the totals in this directory, so that they survive a restart (default: do not)")
	f.DurationVar(&c.opt.SnapshotInterval, "snapshot-interval", agent.DefaultSnapshotInterval, "time between two looks at the host, at least 100ms; 0: none")
	f.BoolVar(&c.allowSecond, "allow-second", false, "send even if another probe of this host sends to the same receiver (counts are doubled there)")
	registerThresholds(f, &c.opt.Thresholds)
}

// registerExport adds the flags of where lines go and how they look.
func registerExport(f *pflag.FlagSet, o *agent.Options) {
	x := &o.Export
	f.StringVar(&o.Statsd, "statsd", "", "where to send: udp://HOST:PORT, tcp://HOST:PORT, unixgram:///PATH, unix:///PATH, unix+dd:///PATH, stdout: or file:///PATH (default: STATSD_HOST, else stdout)")
	f.StringVar(&o.Dialect, "statsd-dialect", "plain", "plain, dogstatsd, dogstatsd-1.1, influx, graphite, signalfx or librato")
	f.StringVar(&o.Prefix, "prefix", "", "first part of every metric name (default: STATSD_PREFIX, else probe)")
	f.StringVar(&x.Fields, "tags", "", "tags to write, some of host,service,method,route,status,namespace,workload,container,pod,container_id, or none (default: the first five)")
	f.StringArrayVar(&x.Tags, "tag", nil, "constant tag KEY=VALUE on every line (may be repeated; default: STATSD_TAGS)")
	f.StringVar(&x.Template, "name-template", "", "names in the plain dialect, such as {prefix}.{host}.{service}.{scope}.{route}.{method}.{status}.{metric}, which is the default")
	f.IntVar(&x.QueueBytes, "queue-bytes", 8<<20, "most bytes of lines that wait in memory for a tcp or unix receiver, at least 262144; the oldest are dropped")
	f.DurationVar(&x.QueueAge, "queue-age", 24*time.Hour, "most time that lines wait for a tcp or unix receiver")
	f.StringVar(&x.SpoolDir, "spool-dir", "", "directory where lines wait for a tcp or unix receiver, instead of in memory, so that they outlive probe")
	f.Int64Var(&x.SpoolBytes, "spool-bytes", 1<<30, "most bytes in the spool directory, at least 1048576; the oldest are dropped")
}
