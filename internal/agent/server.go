// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"probe/internal/endpoint"
	"probe/pkg/loader"
)

// server is the HTTP endpoint as a service.
type server struct {
	*endpoint.Server
	part     *part
	address  string       // as bound
	listener net.Listener // of the first Serve; nil afterwards
}

func (o Options) validateListen() error {
	if o.Listen == "" {
		if o.Pprof {
			return errors.New("pprof: needs an address to listen on (--listen)")
		}
		return nil
	}
	err := endpoint.CheckAddress(o.Listen)
	if errors.Is(err, endpoint.ErrPublic) {
		if o.ListenPublic {
			return nil
		}
		return fmt.Errorf("listen %w: other hosts could see the figures of this one; add --listen-public if they should", err)
	}
	if err != nil {
		return fmt.Errorf("listen %w", err)
	}
	return nil
}

// openServer binds the address: one that is taken is told at the start. What
// comes before the kernel side runs waits in the kernel's queue.
func (a *Agent) openServer() error {
	if a.opt.Listen == "" {
		return nil
	}
	listener, err := net.Listen("tcp", a.opt.Listen)
	if err != nil {
		return fmt.Errorf("open endpoint: %w", err)
	}
	a.server = &server{
		Server:   endpoint.New((*view)(a), endpoint.Options{Pprof: a.opt.Pprof, AnyName: a.opt.ListenPublic, Log: a.log}),
		part:     &a.parts.endpoint,
		address:  listener.Addr().String(),
		listener: listener,
	}
	a.log.Info("endpoint", "address", a.server.address)
	return nil
}

// closeServer closes what Serve did not get to.
func (a *Agent) closeServer() error {
	if a.server == nil || a.server.listener == nil {
		return nil
	}
	return a.server.listener.Close()
}

func (s *server) String() string { return s.part.name }

// Serve is called again after a failure, and binds the same address again.
func (s *server) Serve(ctx context.Context) error {
	listener := s.listener
	s.listener = nil
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", s.address); err != nil {
			return fmt.Errorf("open endpoint: %w", err)
		}
	}
	return s.Server.Serve(ctx, listener)
}

// view is the agent as the endpoint sees it.
type view Agent

func (v *view) Alive() error {
	a := (*Agent)(v)
	var problems []string
	for _, s := range a.parts.stuck(a.clock.Now()) {
		problems = append(problems, fmt.Sprintf("%s is stuck for %v", s.name, s.since.Round(time.Second)))
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

func (v *view) Ready() error {
	a := (*Agent)(v)
	select {
	case <-a.stopping:
		return errors.New("stopping")
	default:
	}
	select {
	case <-a.attached:
	default:
		return errors.New("programs are not attached")
	}
	if err := v.Alive(); err != nil {
		return err
	}
	if s := a.exportStatus(); !a.opt.Trace && !s.working() {
		return fmt.Errorf("statsd receiver not reached: %s", s.Err)
	}
	return nil
}

// errBusy: the interval so far cannot be ended now.
var errBusy = errors.New("an interval is on its way to the statsd receiver: try again in a few seconds")

func (v *view) State(ctx context.Context) any { return (*Agent)(v).describe(ctx) }

// Reset forgets the totals, on disk too.
func (v *view) Reset(ctx context.Context) error {
	a := (*Agent)(v)
	failed, err := ask(ctx, a.mailbox, func() error {
		var err error
		if a.export != nil { // or the interval would count after the reset
			if a.deliver.busy() {
				return errBusy
			}
			err = a.flush()
		}
		a.stats.Reset()
		if a.memory != nil {
			a.memory.reset()
		}
		a.keepTotals()
		return err
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		a.log.Info("totals reset")
	}
	return err
}

// inside is what only the pipeline knows.
type inside struct {
	source   loader.Source
	counters []loader.Counter
	programs []loader.ProgramStats
	open     uint64
}

// askInside copies it, in the pipeline.
func (a *Agent) askInside(ctx context.Context) (inside, error) {
	return ask(ctx, a.mailbox, func() inside {
		in := inside{source: a.kernel.Source(), open: a.tracker.Stats().Open}
		in.counters = append(in.counters, a.selfCounters()...)
		totals := a.stats.Totals() // those that the recorder adds to each interval by itself
		totals.Report(func(name string, value uint64) {
			in.counters = append(in.counters, loader.Counter{Name: name, Value: value})
		})
		programs, err := a.kernel.Programs()
		if err != nil {
			a.log.Warn("programs not read", "error", err)
		}
		in.programs = programs
		return in
	})
}

func (v *view) Metrics(ctx context.Context) endpoint.Metrics {
	a := (*Agent)(v)
	m := endpoint.Metrics{Version: a.opt.Version, ByRole: a.stats.Totals().ByRole, Series: a.stats.ActiveSeries()}
	in, err := a.askInside(ctx)
	m.Complete = err == nil
	m.Source = string(in.source)
	for _, c := range in.counters {
		m.Self = append(m.Self, endpoint.Counter(c))
	}
	measured := loader.RunTimeMeasured()
	for _, p := range in.programs {
		m.Programs = append(m.Programs, endpoint.Program{
			Name: p.Name, Attached: p.Attached, Measured: measured || p.Runs > 0, Runs: p.Runs, RunTime: p.RunTime,
		})
	}
	for _, p := range a.parts.all() {
		_, stuck := p.stuckFor(a.clock.Now())
		m.Parts = append(m.Parts, endpoint.Part{Name: p.name, Stuck: stuck, Restarts: p.restarts.Load()})
	}
	if a.opt.Trace {
		return m
	}
	s := a.exportStatus()
	m.Export = &endpoint.Export{Connected: s.Connected, QueueBytes: s.QueueBytes, QueueLines: s.QueueLines}
	if s.LastSuccess > 0 {
		m.Export.LastSuccess = a.clock.Wall(uint64(s.LastSuccess))
	}
	if a.memory != nil {
		m.Saved = a.memory.status("").SavedAt
	}
	return m
}
