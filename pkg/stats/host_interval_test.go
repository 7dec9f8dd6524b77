// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSnapshotterFlush(t *testing.T) {
	t.Parallel()
	h := &hostSim{}
	s := newSnapshotter(t, h, nil)
	if s.Flush() != nil {
		t.Error("an interval without a sample")
	}
	push := func(cpu float64, runnable uint64, change func(*HostState)) {
		state := h.use(time.Second, cpu, 0.5, cpu)
		state.RunQueue = &RunQueue{Runnable: runnable}
		change(state)
		s.Push(state)
	}
	services := func(names ...string) func(*HostState) {
		return func(st *HostState) {
			for _, n := range names {
				st.Services = append(st.Services, Service{
					Name: n, Cgroup: "/" + n, CPU: &ServiceCPU{TotalUsed: 2 * h.now}, Memory: &ServiceMemory{Used: 7},
				})
			}
		}
	}
	queue := func(length uint32) func(*HostState) {
		return func(st *HostState) {
			services("a", "b")(st)
			st.Listen.Sockets[0].Length = length
			st.Listen.Counters = &ListenCounters{Total: ListenTotals{Overflows: uint64(h.now / time.Second)}}
		}
	}
	push(0, 1, queue(0))
	push(1, 1, queue(8))
	push(0, 4, queue(2))
	got := s.Flush()
	if got.Samples != 2 || got.Interval != 2*time.Second || got.CPU.Used != 0.5 || got.Runnable != 2.5 || got.PSI.Memory.Some.Ratio != 0.5 {
		t.Errorf("interval %+v, cpu %+v", got, got.CPU)
	}
	if diff := cmp.Diff([]PortQueue{{80, 8, 8}}, got.Ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	if got.Listen.Counters.Overflows != 2 || len(got.Services) != 2 || got.Services[1].CPU.Used != 2 {
		t.Errorf("counters %+v services %+v", got.Listen.Counters, got.Services)
	}
	push(0, 1, func(st *HostState) { services("b")(st); st.Listen.Sockets[0].Port = 81 })
	got = s.Flush()
	if diff := cmp.Diff([]PortQueue{{80, 0, 0}, {81, 3, 8}}, got.Ports); diff != "" {
		t.Errorf("a port that is gone (-want +got):\n%s", diff)
	}
	if len(got.Services) != 2 || got.Services[1].Name != "a" || got.Services[1].Memory.Used != 0 || got.Services[1].CPU.Used != 0 {
		t.Errorf("a service that is gone: %+v", got.Services)
	}
	push(0, 1, func(st *HostState) { services("b")(st); st.Listen = nil })
	if got = s.Flush(); len(got.Services) != 1 || len(got.Ports) != 1 || got.Ports[0] != (PortQueue{Port: 81}) {
		t.Errorf("told twice: %+v %+v", got.Services, got.Ports)
	}
}

// What was counted since the last look is told at the end, once, and no level of
// so short a time is made of it.
func TestSnapshotterFinish(t *testing.T) {
	t.Parallel()
	for name, samples := range map[string]int{"with a look before": 1, "without": 0} {
		h := &hostSim{}
		look := func(d time.Duration, cpu float64, drops uint64) *HostState {
			state := h.use(d, cpu, 0.5, 0)
			state.Listen.Counters = &ListenCounters{Total: ListenTotals{Overflows: drops, Drops: drops}}
			return state
		}
		s := newSnapshotter(t, h, func(o *SnapshotterOptions) {
			o.Reader = lookFunc(func() *HostState { return look(time.Millisecond, 1, 9) })
		})
		if s.Finish() != nil {
			t.Errorf("%s: an interval without a beginning", name)
		}
		s.Push(look(time.Second, 0, 1))
		if samples > 0 {
			h.errors.RateLimited = 2
			s.Push(look(time.Second, 0.5, 3))
		}
		h.errors.ServerErrors = 5
		got := s.Finish()
		if got == nil || got.Samples != samples {
			t.Fatalf("%s: %+v, want %d samples", name, got, samples)
		}
		if c := got.ClientErrors; c.ServerErrors != 5 || c.RateLimited != h.errors.RateLimited {
			t.Errorf("%s: client errors %+v of %+v", name, c, h.errors)
		}
		if c := got.Listen.Counters; c.Overflows != 8 || c.Drops != 8 {
			t.Errorf("%s: listen counters %+v, want 8", name, c)
		}
		if (got.CPU != nil) != (samples > 0) || (got.CPU != nil && got.CPU.Used != 0.5) || len(got.Ports) != samples {
			t.Errorf("%s: levels %+v, ports %v", name, got.CPU, got.Ports)
		}
		if n := s.books.samples.Load(); n != uint64(samples) {
			t.Errorf("%s: %d samples counted", name, n)
		}
	}
}

// Errors between Start and the end of the first look count as well.
func TestSnapshotterErrorsBeforeFirstLook(t *testing.T) {
	t.Parallel()
	h := &hostSim{}
	s := newSnapshotter(t, h, nil) // without a reader: looks are pushed
	h.errors.ServerErrors = 1      // before the start
	s.Start(t.Context())
	defer s.Close()
	h.errors.ServerErrors = 4
	s.Push(h.use(time.Second, 0, 0.5, 0))
	h.errors.ServerErrors = 6
	s.Push(h.use(time.Second, 0, 0.5, 0))
	if got := s.Flush().ClientErrors.ServerErrors; got != 5 {
		t.Errorf("%d errors, want 5", got)
	}
}

type lookFunc func() *HostState

func (f lookFunc) ReadHost(time.Duration) (*HostState, error) { return f(), nil }

func TestSchedDelaySources(t *testing.T) {
	t.Parallel()
	// Sums only: the mean of the interval.
	h := &hostSim{}
	s := newSnapshotter(t, h, nil)
	for i := range 3 {
		state := h.use(time.Second, 0, 0, 0)
		state.SchedDelay = &SchedDelay{TotalDelay: time.Duration(i*i) * time.Second, TotalCount: uint64(10 * i)}
		s.Push(state)
	}
	want := SchedDelay{Count: 10, Mean: 300 * time.Millisecond, TotalDelay: 4 * time.Second, TotalCount: 20}
	if diff := cmp.Diff(&want, s.Latest().SchedDelay); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
	// Quantiles replace them; a flush has the highest.
	p99 := time.Duration(0)
	s = newSnapshotter(t, h, func(o *SnapshotterOptions) {
		o.SchedDelay = func() (SchedDelay, bool) {
			p99 += 10 * time.Millisecond
			return SchedDelay{Count: 5, P50: 100*time.Millisecond - p99, P99: p99}, true
		}
	})
	for range 3 {
		s.Push(h.use(time.Second, 0, 0, 0))
	}
	want = SchedDelay{Count: 10, Quantiles: true, P50: 80 * time.Millisecond, P99: 30 * time.Millisecond}
	if diff := cmp.Diff(&want, s.Flush().SchedDelay); diff != "" {
		t.Errorf("quantiles (-want +got):\n%s", diff)
	}
}
