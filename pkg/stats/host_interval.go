// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"cmp"
	"slices"
)

// HostInterval is the host from one Snapshotter.Flush to the next.
type HostInterval struct {
	// HostState of the interval: ratios and counts are those of the whole
	// interval, levels like memory and load the last ones. Of the sched delays
	// the highest of the samples is here, figure by figure, since percentiles
	// cannot be averaged; Count is their sum.
	HostState
	// Samples in the interval. At the end there may be none (Finish): then only
	// counters are here.
	Samples int
	// Runnable is the mean of the samples; it means nothing without RunQueue.
	Runnable float64
	// Ports are ordered by number. One that no longer listens is here once
	// with zeros, so that receivers which remember gauges do not keep the old
	// value; the same holds for Services.
	Ports []PortQueue
	// Overload at the end of the interval, see Snapshotter.Overload.
	Overload []Overload
}

// PortQueue is the accept queue of a TCP port: of the sockets that share the
// port, the one whose queue was the fullest, at its fullest in the interval.
type PortQueue struct {
	Port          uint16
	Length, Limit uint32
}

// hostAccumulator gathers what the last state alone does not tell.
type hostAccumulator struct {
	base     *HostState // as it came, at the last flush
	samples  int
	runnable float64
	delay    *SchedDelay
	ports    map[uint16]PortQueue

	flushedPorts    []PortQueue
	flushedServices []Service
}

func (a *hostAccumulator) restart(base *HostState) {
	a.base, a.samples, a.runnable, a.delay = base, 0, 0, nil
	a.ports = make(map[uint16]PortQueue, len(a.ports))
}

func (a *hostAccumulator) add(s *HostState) {
	a.samples++
	if s.RunQueue != nil {
		a.runnable += float64(s.RunQueue.Runnable)
	}
	if s.SchedDelay != nil {
		a.delay = a.delay.highest(s.SchedDelay)
	}
	if s.Listen == nil {
		return
	}
	for _, l := range s.Listen.Sockets {
		q := PortQueue{l.Port, l.Length, l.Limit}
		if old, known := a.ports[l.Port]; !known || q.fuller(old) {
			a.ports[l.Port] = q
		}
	}
}

// fuller compares shares of the limits, without dividing by a limit of 0.
func (q PortQueue) fuller(o PortQueue) bool {
	return uint64(q.Length)*uint64(max(o.Limit, 1)) > uint64(o.Length)*uint64(max(q.Limit, 1))
}

func (s *SchedDelay) highest(o *SchedDelay) *SchedDelay {
	if s == nil {
		s = &SchedDelay{}
	}
	return &SchedDelay{
		Count: s.Count + o.Count, Mean: max(s.Mean, o.Mean), Quantiles: s.Quantiles || o.Quantiles,
		P50: max(s.P50, o.P50), P90: max(s.P90, o.P90), P99: max(s.P99, o.P99), Max: max(s.Max, o.Max),
	}
}

// Flush returns the host since the last Flush, or nil when there was no sample
// in this time.
func (s *Snapshotter) Flush() *HostInterval {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush()
}

// Finish is the last Flush, after Close: it looks once more, so that what was
// counted since the last look is not lost. That look is no sample, for it may
// come a moment after another one. Nil when there was no look before.
func (s *Snapshotter) Finish() *HostInterval {
	end := &HostState{Time: s.opt.Now()}
	if s.opt.Reader != nil {
		state, err := s.opt.Reader.ReadHost(end.Time)
		if err != nil {
			s.books.failed.Add(1)
		} else {
			*end = *state
		}
	}
	s.addErrors(end)
	s.mu.Lock()
	defer s.mu.Unlock()
	start := s.interval.base
	out := s.flush()
	if start == nil {
		return nil
	}
	if out == nil {
		out = &HostInterval{HostState: HostState{Interval: end.Time - start.Time}, Overload: s.overload()}
	}
	if c := end.ClientErrors.since(start.ClientErrors); c != nil {
		out.ClientErrors = c
	}
	if l := end.Listen.since(start.Listen); l != nil && l.Counters != nil {
		counted := Listen{}
		if out.Listen != nil {
			counted = *out.Listen
		}
		counted.Counters = l.Counters
		out.Listen = &counted
	}
	return out
}

// flush is called with mu held.
func (s *Snapshotter) flush() *HostInterval {
	a := &s.interval
	if a.samples == 0 {
		return nil
	}
	out := &HostInterval{
		HostState: *s.base.since(a.base), Samples: a.samples,
		Runnable: a.runnable / float64(a.samples), Overload: s.overload(),
	}
	out.SchedDelay = a.delay
	for _, q := range a.ports {
		out.Ports = append(out.Ports, q)
	}
	live, services := slices.Clone(out.Ports), out.Services
	out.Ports = append(out.Ports, gonePorts(a.flushedPorts, a.ports)...)
	slices.SortFunc(out.Ports, func(x, y PortQueue) int { return cmp.Compare(x.Port, y.Port) })
	out.Services = append(slices.Clip(services), goneServices(a.flushedServices, services)...)
	a.flushedPorts, a.flushedServices = live, services
	a.restart(s.base)
	return out
}

func gonePorts(before []PortQueue, now map[uint16]PortQueue) []PortQueue {
	var gone []PortQueue
	for _, q := range before {
		if _, listens := now[q.Port]; !listens {
			gone = append(gone, PortQueue{Port: q.Port})
		}
	}
	return gone
}

func goneServices(before, now []Service) []Service {
	var gone []Service
	for _, s := range before {
		if !slices.ContainsFunc(now, func(o Service) bool { return o.Name == s.Name }) {
			gone = append(gone, s.zero())
		}
	}
	return gone
}

// zero is the service with the same sections and nothing in them.
func (s Service) zero() Service {
	z := Service{Name: s.Name, Cgroup: s.Cgroup}
	if s.CPU != nil {
		z.CPU = &ServiceCPU{}
		if s.CPU.Throttled != nil {
			z.CPU.Throttled = new(float64)
		}
	}
	if s.Memory != nil {
		z.Memory = &ServiceMemory{}
	}
	z.PSI = PSI{CPU: s.PSI.CPU.zero(), Memory: s.PSI.Memory.zero(), IO: s.PSI.IO.zero()}
	return z
}

func (p *Pressure) zero() *Pressure {
	if p == nil {
		return nil
	}
	z := &Pressure{}
	if p.Some != nil {
		z.Some = &Stall{}
	}
	if p.Full != nil {
		z.Full = &Stall{}
	}
	return z
}
