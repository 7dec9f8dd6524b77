// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
)

// hostSim makes the looks at a host whose use of everything the test decides.
type hostSim struct {
	now    time.Duration
	cpu    CPUTimes
	stall  time.Duration
	errors ClientErrorTotals
}

// use lets d pass with this share of the CPUs used and this share of the time
// stalled, and returns the look after it.
func (h *hostSim) use(d time.Duration, cpu, memory, stalled float64) *HostState {
	h.now += d
	h.cpu.Total += 2 * d
	h.cpu.Used += time.Duration(2 * float64(d) * cpu)
	h.stall += time.Duration(float64(d) * stalled)
	const total = 1 << 30
	used := uint64(memory * total)
	return &HostState{
		Time:   h.now,
		CPU:    &HostCPU{Times: h.cpu, Cores: []CoreCPU{{Number: 0, Times: h.cpu}}},
		Memory: &HostMemory{Total: total, Available: total - used, Used: used, UsedRatio: memory},
		PSI:    PSI{Memory: &Pressure{Some: &Stall{Total: h.stall}}},
		Listen: &Listen{Sockets: []ListenSocket{{Address: "::", Port: 80, Length: 3, Limit: 8}}},
	}
}

func newSnapshotter(t testing.TB, h *hostSim, change func(*SnapshotterOptions)) *Snapshotter {
	t.Helper()
	opt := SnapshotterOptions{
		Now:          func() time.Duration { return h.now },
		ClientErrors: func() (ClientErrorTotals, bool) { return h.errors, true },
	}
	if change != nil {
		change(&opt)
	}
	s, err := NewSnapshotter(opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSnapshotterRatios(t *testing.T) {
	t.Parallel()
	h := &hostSim{}
	s := newSnapshotter(t, h, nil)
	s.Push(h.use(time.Second, 1, 0.5, 1))
	if s.Latest() != nil || len(s.CPU(0)) != 0 {
		t.Fatal("one look gave ratios")
	}
	s.Push(h.use(2*time.Second, 0.25, 0.5, 0.75))
	got := s.Latest()
	if got.Interval != 2*time.Second || got.CPU.Used != 0.25 || got.CPU.Cores[0].Used != 0.25 || got.PSI.Memory.Some.Ratio != 0.75 {
		t.Errorf("state %+v cpu %+v psi %+v", got, got.CPU, got.PSI.Memory.Some)
	}
	if got.PSI.IO != nil || got.RunQueue != nil || got.SchedDelay != nil {
		t.Error("a section that was never there is there")
	}
	if len(got.Missing) > 0 {
		t.Errorf("client errors are known, yet missing: %+v", got.Missing)
	}
	s.Push(h.use(0, 1, 1, 1)) // not later: ignored
	if s.Latest() != got {
		t.Error("a look at the same time was taken")
	}
}

func TestSnapshotterHistory(t *testing.T) {
	t.Parallel()
	h := &hostSim{}
	s := newSnapshotter(t, h, func(o *SnapshotterOptions) { o.MaxSamples = 5 })
	s.Push(h.use(time.Second, 0, 0, 0))
	for i := range 7 {
		h.errors.RateLimited += uint64(i)
		s.Push(h.use(time.Second, float64(i)/10, 0.5, 0))
	}
	times := func(from []CPUSample) (at []time.Duration) {
		for _, c := range from {
			at = append(at, c.Time/time.Second)
		}
		return at
	}
	for _, tt := range []struct {
		d    time.Duration
		want []time.Duration
	}{
		{0, []time.Duration{4, 5, 6, 7, 8}},
		{-1, []time.Duration{4, 5, 6, 7, 8}},
		{time.Hour, []time.Duration{4, 5, 6, 7, 8}},
		{2 * time.Second, []time.Duration{7, 8}},
		{1, []time.Duration{8}},
	} {
		if diff := cmp.Diff(tt.want, times(s.CPU(tt.d))); diff != "" {
			t.Errorf("CPU(%v) (-want +got):\n%s", tt.d, diff)
		}
	}
	if n := len(s.Memory(0)); n != 5 {
		t.Errorf("%d memory samples", n)
	}
	if got := s.ClientErrors(time.Second); len(got) != 1 || got[0].RateLimited != 6 || !got[0].Overloaded {
		t.Errorf("client errors %+v", got)
	}
	if n := len(s.SchedDelay(0)); n != 0 {
		t.Errorf("%d samples of an unknown delay", n)
	}
	h.now += time.Minute
	if got := s.CPU(2 * time.Second); len(got) != 0 {
		t.Errorf("old samples are within the last seconds: %+v", got)
	}
}

// A day at one look a second leaves the memory as it was after ten minutes.
func TestSnapshotterDayInConstantMemory(t *testing.T) {
	h := &hostSim{}
	s := newSnapshotter(t, h, func(o *SnapshotterOptions) {
		o.SchedDelay = func() (SchedDelay, bool) { return SchedDelay{P99: time.Second}, true }
	})
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	run := func(seconds int) {
		for i := range seconds {
			h.errors.ServerErrors += uint64(i % 5)
			state := h.use(time.Second, float64(i%2), float64(i%2), 0.5)
			state.Listen.Sockets[0].Port = uint16(1 + i%200)
			s.Push(state)
			if i%10 == 0 {
				s.Flush()
			}
		}
	}
	run(600)
	before := heap()
	run(24 * 60 * 60)
	after := heap()
	if limit := before + 64<<10; after > limit {
		t.Errorf("%d bytes after ten minutes, %d after a day", before, after)
	}
	if n := len(s.CPU(0)) + len(s.SchedDelay(0)) + len(s.ClientErrors(0)); n != 3*DefaultMaxSamples {
		t.Errorf("%d samples in three histories", n)
	}
	runtime.KeepAlive(s)
}

// The recorder counts what the Snapshotter takes as client errors.
func TestRecorderCountsClientErrors(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	for _, status := range []uint16{200, 404, 428, 429, 429, 499, 500, 503, 599, 600} {
		q := get("/a", status, 10)
		r.Record(q) // at a server it is nobody's call
		q.Role = events.RoleClient
		r.Record(q)
	}
	if diff := cmp.Diff(ClientErrorTotals{RateLimited: 2, ServerErrors: 3}, r.Totals().ClientErrors); diff != "" {
		t.Errorf("client errors (-want +got):\n%s", diff)
	}
}

// Totals that grow faster than the time, or go back, give shares from 0 to 1
// and no counts from below 0.
func TestSnapshotterOddTotals(t *testing.T) {
	t.Parallel()
	h := &hostSim{}
	s := newSnapshotter(t, h, nil)
	counters := func(n uint64) *Listen { return &Listen{Counters: &ListenCounters{Total: ListenTotals{Drops: n}}} }
	s.Push(h.use(time.Second, 0, 0, 0))
	state := h.use(time.Second, 1.5, 0.5, 1.5)
	state.Listen = counters(9)
	s.Push(state)
	got := s.Latest()
	if got.CPU.Used != 1 || got.PSI.Memory.Some.Ratio != 1 || got.Listen.Counters != nil {
		t.Errorf("too fast: cpu %+v, psi %+v, counters %+v", got.CPU, got.PSI.Memory.Some, got.Listen.Counters)
	}
	h.cpu.Used, h.stall = 0, 0
	h.errors = ClientErrorTotals{}
	state = h.use(time.Second, 0, 0.5, 0)
	state.Listen = counters(3)
	s.Push(state)
	got = s.Latest()
	if got.CPU.Used != 0 || got.PSI.Memory.Some.Ratio != 0 || got.Listen.Counters.Drops != 0 {
		t.Errorf("back: cpu %+v, psi %+v, counters %+v", got.CPU, got.PSI.Memory.Some, got.Listen.Counters)
	}
}
