// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"probe/internal/accesslog"
	"probe/internal/clock"
	"probe/internal/exchange"
	"probe/internal/route"
	"probe/internal/single"
	"probe/pkg/events"
	"probe/pkg/loader"
	"probe/pkg/stats"
)

// Agent is the running program. The parts a request goes through are used by one
// goroutine, the pipeline; beside it run services that can be restarted
// (tree.go): the delivery of lines, the HTTP endpoint, the writing of totals,
// the looks at the host.
type Agent struct {
	opt     Options // as started
	live    Options // the pipeline's, with what has changed since
	log     *slog.Logger
	clock   *clock.Clock
	kernel  *loader.Loader
	tracker *exchange.Tracker
	names   *naming
	routes  *route.Services
	stats   *stats.Recorder
	export  exporter           // nil when tracing
	trace   *accesslog.Printer // nil when not
	host    *hostWatch         // nil when not
	delays  delayWatch

	record     events.Record
	alike      [alikeSlots]alike
	decodeErr  uint64 // records that did not decode
	counters   []loader.Counter
	sweeps     sweepTimer
	pace       pace
	background *background // nil when not
	nextFlush  uint64
	nextLog    uint64
	nextForget uint64
	nextResync uint64
	nextBatch  uint64
	batchNS    uint64

	deliver *delivery
	merges  merges
	// exported are the counters of exporters that were replaced. replaceExport:
	// the next flush is the last one of the present exporter, whose settings
	// are exportBefore. replacing: it has been handed over.
	exported                 map[string]uint64
	replaceExport, replacing bool
	exportBefore             Options

	memory  *keeper // of the totals; nil when not
	server  *server // nil when not
	signals *signals
	notify  *notifier
	parts   *parts
	mailbox *mailbox
	// turns are the locks by what they are for, nil where it could not be taken.
	// fellBack are the settings in use where an exporter of new ones could not be made.
	turns    map[string]*single.Lock
	fellBack atomic.Pointer[Options]
	// attached is closed once the kernel side runs, stopping when it is to end.
	attached, stopping chan struct{}
	startedNS          uint64
	shutdownTimeout    atomic.Int64 // time.Duration
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

// mono is CLOCK_MONOTONIC.
func (a *Agent) mono() time.Duration { return time.Duration(a.clock.Now()) }

// build makes every part but attaches nothing.
func build(o Options) (*Agent, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	now, err := clock.New()
	if err != nil {
		return nil, err
	}
	routes, err := route.NewServices(route.Options{Patterns: o.Routes})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	a := &Agent{
		opt: o, live: o, log: o.Log, clock: now, routes: routes,
		pace:  pace{ring: cmp.Or(o.RingBytes, loader.DefaultRingBytes), next: liveDrain, spare: &spareCPU{read: readUptime}},
		parts: newParts(), mailbox: newMailbox(), exported: map[string]uint64{}, turns: map[string]*single.Lock{}, notify: newNotifier(o.Log),
		attached: make(chan struct{}), stopping: make(chan struct{}),
		startedNS: now.Now(),
	}
	a.stats = stats.New(stats.Options{Now: a.mono, SummaryRole: summaryRole(o.Role)})
	a.deliver = newDelivery(&a.parts.exporter, now.Now, o.Log)
	a.shutdownTimeout.Store(int64(o.ShutdownTimeout))
	if a.names, err = newNaming(o); err != nil {
		return nil, err
	}
	a.newTracker(loader.Detail(o.Detail))
	if a.host, err = newHostWatch(o, a.mono, a.clientErrors, a.delays.host); err != nil {
		return nil, err
	}
	if o.Trace {
		a.trace = accesslog.New(o.Stdout, accesslog.Options{JSON: o.JSON, Query: o.Query, Slow: o.Slow, Wall: now.Wall, MemoryPressure: a.memoryPressure})
		return a, nil
	}
	x, err := a.newExporter(o)
	if err != nil {
		return nil, err
	}
	a.useExporter(x)
	return a, nil
}

// summaryRole: an exchange seen at both ends counts once, at the server.
func summaryRole(role string) events.Role {
	if role == "client" {
		return events.RoleClient
	}
	return events.RoleServer
}

// run opens what the agent needs, in the order in which it would have to be
// refused, and closes it in the opposite one.
func (a *Agent) run(ctx context.Context) (err error) {
	a.signals = newSignals(a) // before the first wait
	defer a.signals.stop()
	if err := a.takeTurn(ctx); err != nil {
		if ctx.Err() != nil {
			a.log.Info("told to end while it waited for another probe")
			return nil
		}
		return err
	}
	defer a.endTurns()
	if err := a.openServer(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.closeServer()) }()
	if err := a.openMemory(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.closeMemory(err)) }()
	if err := a.load(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			a.log.Info("told to end before it was attached")
			return nil
		}
		return err
	}
	// A pipeline that does not stop still uses the kernel side; the end of the
	// process frees it.
	defer func() {
		if !errors.Is(err, errStuck) {
			err = errors.Join(err, a.kernel.Close())
		}
	}()
	if err := a.startNaming(ctx); err != nil {
		return err
	}
	defer a.names.close()
	a.background = newBackground(a.kernel, a.log)
	defer func() { err = errors.Join(err, a.background.close()) }()
	a.dropPrivileges()
	withdraw, err := a.announce()
	if err != nil {
		return err
	}
	defer withdraw()
	if a.opt.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.opt.Duration)
		defer cancel()
	}
	return a.supervise(ctx)
}

// announce says that the agent is attached; what it returns takes it back.
func (a *Agent) announce() (withdraw func(), err error) {
	detail, missing := a.kernel.Detail()
	a.log.Info("attached", "source", string(a.kernel.Source()), "role", a.opt.Role, "detail", string(detail))
	if len(missing) > 0 {
		a.log.Warn("this kernel cannot tell all of where time goes", "missing", strings.Join(missing, ", "))
	}
	if a.kernel.SweepsFiles() {
		a.log.Info("this kernel refuses iterators over maps: open requests are found by way of open files, which costs more on hosts with many")
	}
	if why := a.kernel.UserMemory(); why != "" {
		a.log.Debug("messages are read from the memory of the processes, which costs them more", "reason", why)
	}
	a.warnAbsent()
	withdraw = func() {}
	if a.opt.ReadyFile != "" {
		file, err := makeReady(a.opt.ReadyFile)
		if err != nil {
			return nil, err
		}
		withdraw = file.remove
	}
	a.notify.ready(a.statusLine())
	return withdraw, nil
}

func (a *Agent) statusLine() string {
	return fmt.Sprintf("attached, source %s, role %s", a.kernel.Source(), a.opt.Role)
}

// finish takes what is left and sends the last interval. One step that fails
// does not keep the next from being tried.
func (a *Agent) finish() error {
	a.parts.enter(stageLastDrain)
	err := a.guard(a.lastDrain)
	if err != nil {
		a.delays.kernel = nil // it cannot be asked any more; the interval must leave all the same
	}
	if a.trace != nil {
		a.parts.enter(stageOutput)
		err = errors.Join(err, a.guard(a.trace.Flush))
	}
	err = errors.Join(err, a.guard(func() error { a.collect(); return nil }))
	if a.export != nil {
		a.parts.enter(stageLastFlush)
		err = errors.Join(err, a.guard(a.lastDelivery))
	}
	a.stats.Close()
	a.logSummary("totals")
	return err
}

// lastDrain stops the hooks and takes what they have left.
func (a *Agent) lastDrain() error {
	err := a.kernel.Detach()
	now := a.clock.Now()
	err = errors.Join(err, a.kernel.Sweep(now, false))
	_, taken := a.take()
	err = errors.Join(err, taken)
	a.tracker.Close(a.clock.Now())
	a.releaseHeld(true)
	return err
}
