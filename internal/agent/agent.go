// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"probe/internal/accesslog"
	"probe/internal/clock"
	"probe/internal/exchange"
	"probe/internal/route"
	"probe/internal/workload"
	"probe/pkg/events"
	"probe/pkg/export"
	"probe/pkg/loader"
	"probe/pkg/stats"
)

// Agent is the running program. All its parts are used by one goroutine, the
// pipeline; only the delivery of lines and the looks at the host run beside it.
type Agent struct {
	opt     Options
	log     *slog.Logger
	clock   *clock.Clock
	kernel  *loader.Loader
	tracker *exchange.Tracker
	names   *workload.Resolver
	routes  *route.Table
	stats   *stats.Recorder
	export  *export.Exporter   // nil when tracing
	trace   *accesslog.Printer // nil when not
	host    *hostWatch         // nil when not
	delays  delayWatch

	record    events.Record
	decodeErr uint64 // records that did not decode
	counters  []loader.Counter
	sweeps    sweepTimer
	deliver   delivery
	interval  time.Duration // until the next drain
	quiet     int           // drains since one that found a record
	nextFlush uint64
	nextLog   uint64
	batchNS   uint64
}

// Run runs the agent until ctx ends, Duration has passed, or the kernel side
// fails. It flushes what it has before it returns.
func Run(ctx context.Context, o Options) error {
	a, err := build(o)
	if err != nil {
		return err
	}
	return a.run(ctx)
}

// build makes every part but attaches nothing.
func build(o Options) (*Agent, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	now, err := clock.New()
	if err != nil {
		return nil, err
	}
	routes, err := route.New(route.Options{Patterns: o.Routes})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	mono := func() time.Duration { return time.Duration(now.Now()) }
	a := &Agent{
		opt: o, log: o.Log, clock: now, routes: routes,
		names:    workload.New(workload.Options{}),
		stats:    stats.New(stats.Options{Now: mono, SummaryRole: summaryRole(o.Role)}),
		interval: maxDrain,
	}
	a.newTracker(loader.Detail(o.Detail))
	if a.host, err = newHostWatch(o, mono, a.clientErrors, a.delays.host); err != nil {
		return nil, err
	}
	if o.Trace {
		a.trace = accesslog.New(o.Stdout, accesslog.Options{JSON: o.JSON, Query: o.Query, Slow: o.Slow, Wall: now.Wall, MemoryPressure: a.memoryPressure})
		return a, nil
	}
	eo, err := o.exportOptions(mono)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	a.export, err = export.New(eo)
	return a, err
}

// summaryRole: an exchange seen at both ends counts once, at the server.
func summaryRole(role string) events.Role {
	if role == "client" {
		return events.RoleClient
	}
	return events.RoleServer
}

func (a *Agent) run(ctx context.Context) (err error) {
	lo, err := a.opt.loaderOptions()
	if err != nil {
		return err
	}
	a.kernel, err = loader.Load(lo)
	if err != nil {
		if log := loader.VerifierLog(err); log != "" {
			a.log.Debug("the kernel's verifier said", "log", log)
		}
		return err
	}
	defer func() { err = errors.Join(err, a.kernel.Close()) }()
	a.delays.kernel = a.kernel
	if detail, _ := a.kernel.Detail(); detail == loader.DetailOff {
		a.newTracker(detail) // the kernel may have less than was asked for
	}
	if err := a.announce(); err != nil {
		return err
	}
	if a.opt.ReadyFile != "" {
		defer os.Remove(a.opt.ReadyFile)
	}
	if a.opt.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.opt.Duration)
		defer cancel()
	}
	a.host.start(ctx)
	err = a.loop(ctx)
	a.host.close()
	return errors.Join(err, a.finish())
}

// newTracker makes one that expects what this detail tells of each request.
func (a *Agent) newTracker(detail loader.Detail) {
	a.tracker = exchange.New(exchange.Options{Times: detail != loader.DetailOff}, a.take)
}

func (a *Agent) announce() error {
	detail, missing := a.kernel.Detail()
	a.log.Info("attached", "source", string(a.kernel.Source()), "role", a.opt.Role, "detail", string(detail))
	if len(missing) > 0 {
		a.log.Warn("this kernel cannot tell all of where time goes", "missing", strings.Join(missing, ", "))
	}
	if a.opt.ReadyFile == "" {
		return nil
	}
	if err := os.WriteFile(a.opt.ReadyFile, []byte("ready\n"), 0o644); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	return nil
}

// take receives every rebuilt exchange from the tracker.
func (a *Agent) take(q *events.Request) {
	q.Service = a.service(q.Conn, q.Role, q.PID)
	if len(q.Target) > 0 {
		q.Route = a.routes.Template(q.Target)
	}
	a.stats.Record(q)
	if q.Role == events.RoleServer {
		a.delays.served(q.PID, q.Service)
	}
	if a.trace != nil {
		a.trace.Print(q)
	}
}

// service names the process at our end of a connection; a server also by the
// port it listens on.
func (a *Agent) service(c *events.Conn, role events.Role, pid uint32) string {
	port := uint16(0)
	if role == events.RoleServer {
		port = c.Local.Port
	}
	return a.names.Service(pid, port, c.Comm, a.batchNS)
}

// finish stops the hooks, takes what is left, and sends the last interval.
func (a *Agent) finish() error {
	err := a.kernel.Detach()
	now := a.clock.Now()
	err = errors.Join(err, a.kernel.Sweep(now, false), a.drain())
	a.tracker.Close(a.clock.Now())
	if a.trace != nil {
		err = errors.Join(err, a.trace.Flush())
	}
	if a.export != nil {
		a.deliver.wait()
		a.collect()
		ctx, cancel := context.WithTimeout(context.Background(), lastFlush)
		defer cancel()
		if e := a.export.Export(ctx, a.flushStats()); e != nil {
			a.log.Warn("last interval not delivered", "error", e)
		}
		err = errors.Join(err, a.export.Close(ctx))
	} else {
		a.collect()
	}
	a.logSummary("totals")
	return err
}
