// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"probe/internal/agent"
)

// common are the flags of every command that observes.
type common struct {
	opt       agent.Options
	ports     []uint
	pids      []uint
	logLevel  string
	logFormat string
	config    string

	// flags registers all flags of the command.
	flags func(*common, *pflag.FlagSet)
	// level can be changed while the agent runs.
	level *slog.LevelVar

	keepPrivileges, allowSecond bool
}

func (c *common) register(f *pflag.FlagSet, detail string) {
	f.StringVar(&c.opt.Role, "role", "server", "which end of connections to report: server, client or both")
	f.StringVar(&c.opt.Source, "source", "auto", "where to hook: auto, socket (kernel 6.3) or syscall (kernel 5.9)")
	f.StringVar(&c.opt.Detail, "detail", detail, "where the time of requests goes: off, basic (CPU, run queue, blocked) or full (and what for)")
	f.UintSliceVar(&c.ports, "port", nil, "only connections whose server listens on this port (may be repeated, at most 16)")
	f.UintSliceVar(&c.pids, "pid", nil, "only connections of this process (may be repeated, at most 16)")
	f.StringSliceVar(&c.opt.Comms, "comm", nil, "only connections of processes with this exact name, as ps shows it (may be repeated, at most 8)")
	registerNames(f, &c.opt.Names)
	f.StringArrayVar(&c.opt.Routes, "route", nil, "route template like /users/{id} that comes before the heuristics (may be repeated)")
	f.DurationVar(&c.opt.Duration, "duration", 0, "stop by itself after this time (default: run until told)")
	f.StringVar(&c.opt.ReadyFile, "ready-file", "", "create this file once everything is attached")
	f.IntVar(&c.opt.CaptureBytes, "capture-bytes", 512, "bytes kept of each message head, of a response's up to twice as many; 64 to 512")
	f.IntVar(&c.opt.RingBytes, "ring-bytes", agent.DefaultRingBytes, "size of the ring buffer between kernel and probe, a power of two")
	f.BoolVar(&c.keepPrivileges, "keep-privileges", false, "keep capabilities that are needed only to load and attach")
	f.DurationVar(&c.opt.LogInterval, "log-interval", agent.DefaultLogInterval, "time between two log lines with totals and losses; 0: none")
	f.DurationVar(&c.opt.ShutdownTimeout, "shutdown-timeout", agent.DefaultShutdownTimeout, "longest time between a signal to stop and the end")
	f.StringVar(&c.config, "config", "", "YAML or JSON file whose keys are the names of flags; SIGHUP reads it again")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
}

// envPrefix begins the variable of each flag: --log-level is PROBE_LOG_LEVEL.
const envPrefix = "PROBE_"

func variable(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets the flags that the command line left alone.
func fromEnvironment(f *pflag.FlagSet) error {
	var first error
	f.VisitAll(func(flag *pflag.Flag) {
		name := variable(flag.Name)
		value, set := os.LookupEnv(name)
		if !set || flag.Changed || first != nil {
			return
		}
		// Kubernetes sets PROBE_PORT=tcp://10.0.0.1:80 by itself for a Service
		// that is called probe.
		if flag.Name == "port" && strings.Contains(value, "://") {
			return
		}
		if err := f.Set(flag.Name, value); err != nil {
			first = fmt.Errorf("%w: environment variable %s: %w", agent.ErrUsage, name, err)
		}
	})
	return first
}

// complete sets the flags that the command line left alone, in the order of
// precedence: the environment, the config file, which either may name.
func complete(f *pflag.FlagSet, config *string, valid []string) error {
	if err := fromEnvironment(f); err != nil {
		return err
	}
	if err := fromFile(f, *config, valid); err != nil {
		return err
	}
	return refuseZero(f)
}

// observe runs the agent with these flags until it ends.
func (c *common) observe(cmd *cobra.Command, stdout, stderr io.Writer) error {
	c.level = new(slog.LevelVar)
	fromCommandLine, valid := typedFlags(cmd.Flags()), validKeys(cmd.Root())
	o, err := c.options(cmd.Flags(), valid)
	if err != nil {
		return err
	}
	o.Stdout, o.Log = stdout, newLogger(stderr, c.level, c.logFormat)
	for _, line := range mistyped(os.Environ(), valid) {
		o.Log.Warn("environment: " + line)
	}
	ctx := cmd.Context()
	if c.config != "" {
		o.Reload = c.reloader(cmd.Flags(), fromCommandLine, valid, stdout)
	} else if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
	}
	return agent.Run(ctx, o)
}

// options completes the flags, and checks and converts what pflag cannot.
func (c *common) options(f *pflag.FlagSet, valid []string) (agent.Options, error) {
	if err := complete(f, &c.config, valid); err != nil {
		return c.opt, err
	}
	for _, p := range c.ports {
		if p == 0 || p > 65535 {
			return c.opt, fmt.Errorf("%w: port %d: want 1 to 65535", agent.ErrUsage, p)
		}
		c.opt.Ports = append(c.opt.Ports, uint16(p))
	}
	for _, p := range c.pids {
		if p == 0 || p > 1<<22 {
			return c.opt, fmt.Errorf("%w: pid %d: want 1 to %d", agent.ErrUsage, p, 1<<22)
		}
		c.opt.PIDs = append(c.opt.PIDs, uint32(p))
	}
	// An empty list, say from an unset variable, must not become no filter.
	if f.Changed("port") && len(c.ports) == 0 || f.Changed("pid") && len(c.pids) == 0 {
		return c.opt, fmt.Errorf("%w: a list of ports or pids must not be empty", agent.ErrUsage)
	}
	if f.Changed("comm") && len(c.opt.Comms) == 0 {
		c.opt.Comms = []string{""}
	}
	noEmptyFilters(f, &c.opt.Names)
	c.opt.Version = version
	if err := c.opt.Validate(); err != nil {
		return c.opt, err
	}
	c.opt.DropPrivileges = !c.keepPrivileges
	if !c.allowSecond {
		c.opt.LockDir = agent.LockDir
	}
	return c.opt, c.setLog()
}

// setLog checks the format and sets the level.
func (c *common) setLog() error {
	if c.logFormat != "text" && c.logFormat != "json" {
		return fmt.Errorf("%w: unknown log format %q: want text or json", agent.ErrUsage, c.logFormat)
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.logLevel)); err != nil {
		return fmt.Errorf("%w: unknown log level %q: want debug, info, warn or error", agent.ErrUsage, c.logLevel)
	}
	c.level.Set(l)
	return nil
}

func newLogger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
