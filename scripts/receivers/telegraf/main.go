// SPDX-License-Identifier: Apache-2.0

// Command telegraf is Telegraf with only what the tests of pkg/export need. It is a
// module of its own: scripts/install-receivers.sh adds the requirement and builds it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/influxdata/telegraf/agent"
	"github.com/influxdata/telegraf/config"
	_ "github.com/influxdata/telegraf/plugins/inputs/statsd"
	_ "github.com/influxdata/telegraf/plugins/outputs/file"
	_ "github.com/influxdata/telegraf/plugins/serializers/influx"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "telegraf:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string) error {
	c := config.NewConfig()
	if err := c.LoadAll(path); err != nil {
		return err
	}
	return agent.NewAgent(c).Run(ctx)
}
