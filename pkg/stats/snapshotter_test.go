// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
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

// Every threshold, above and not above.
func TestThresholdsVerdicts(t *testing.T) {
	t.Parallel()
	limits := Thresholds{MaxMemorySize: 100 << 20}.withDefaults()
	quantiles := func(p99 time.Duration) *SchedDelay {
		return &SchedDelay{Quantiles: true, Mean: time.Hour, P99: p99, Max: time.Hour}
	}
	cpu := func(used float64) Verdict { return limits.cpu(0, &HostCPU{CPURatios: CPURatios{Used: used}}).Verdict }
	memory := func(used uint64, ratio float64) Verdict {
		return limits.memory(0, &HostMemory{Used: used, UsedRatio: ratio}).Verdict
	}
	errs := func(limited, server uint64) Verdict {
		return limits.clientErrors(0, &ClientErrors{RateLimited: limited, ServerErrors: server}).Verdict
	}
	for _, tt := range []struct {
		name string
		got  Verdict
		want string
	}{
		{"cpu", cpu(0.951), "used ratio 0.951 is above 0.95"},
		{"cpu at the threshold", cpu(0.95), ""},
		{"memory", memory(0, 0.901), "used ratio 0.901 is above 0.9"},
		{"memory at the threshold", memory(0, 0.9), ""},
		{"memory size", memory(100<<20+1, 0.1), "104857601 bytes used, above 104857600"},
		{"memory at the size", memory(100<<20, 0.1), ""},
		{"delay", limits.schedDelay(0, quantiles(51*time.Millisecond)).Verdict, "p99 51ms is above 50ms"},
		{"delay at the threshold", limits.schedDelay(0, quantiles(50*time.Millisecond)).Verdict, ""},
		{"mean delay", limits.schedDelay(0, &SchedDelay{Mean: time.Second}).Verdict, "mean 1s is above 50ms"},
		{"client errors", errs(1, 2), "3 answers with 429 or 5xx, above 2"},
		{"client errors at the threshold", errs(1, 1), ""},
	} {
		want := Verdict{Overloaded: tt.want != "", Reason: tt.want}
		if diff := cmp.Diff(want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A resource trips at 40 % of the window and clears at 10 %, not before.
func TestOverloadTripsAndClears(t *testing.T) {
	t.Parallel()
	h := &hostSim{}
	s := newSnapshotter(t, h, nil)
	push := func(cpu float64) bool {
		s.Push(h.use(time.Second, cpu, 0.5, 0))
		return len(s.Overload()) > 0
	}
	push(0)
	for range 20 {
		if push(0.5) {
			t.Fatal("overloaded at half use")
		}
	}
	for i := 1; i <= 4; i++ { // of the ten in the window
		if got, want := push(1), i == 4; got != want {
			t.Errorf("overloaded %v after %d busy samples", got, i)
		}
	}
	want := []Overload{{ResourceCPU, "used ratio 1.000 is above 0.95"}}
	if diff := cmp.Diff(want, s.Overload()); diff != "" {
		t.Errorf("overload (-want +got):\n%s", diff)
	}
	for i := 1; i <= 9; i++ { // the last of the four leaves at the tenth
		if got, want := push(0.5), i < 9; got != want {
			t.Errorf("overloaded %v after %d calm samples", got, i)
		}
	}
	if push(1) {
		t.Error("one busy sample alone trips")
	}
	for range 4 {
		push(1)
	}
	h.now += time.Minute
	if got := s.Overload(); len(got) != 0 {
		t.Errorf("judged a minute after the last sample: %v", got)
	}
}

// The first samples decide by themselves.
func TestOverloadFirstSample(t *testing.T) {
	t.Parallel()
	h := &hostSim{}
	s := newSnapshotter(t, h, nil)
	s.Push(h.use(time.Second, 0, 0, 0))
	h.errors.ServerErrors = 5
	s.Push(h.use(time.Second, 1, 0.99, 0))
	var got []Resource
	for _, o := range s.Overload() {
		got = append(got, o.Resource)
	}
	if diff := cmp.Diff([]Resource{ResourceCPU, ResourceMemory, ResourceClientErrors}, got); diff != "" {
		t.Errorf("overload (-want +got):\n%s", diff)
	}
}

func TestFromConfig(t *testing.T) {
	t.Parallel()
	now := SnapshotterOptions{Now: func() time.Duration { return 0 }}
	s, err := FromConfig(map[string]string{
		"max_used_cpu_ratio": "0.5", "max_used_memory_ratio": "0.6", "max_event_loop_delay": "7ms",
		"max_client_errors": "8", "max_memory_size": "9",
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Thresholds{0.5, 0.6, 7 * time.Millisecond, 8, 9}, s.opt.Thresholds); diff != "" {
		t.Errorf("thresholds (-want +got):\n%s", diff)
	}
	if s, err = FromConfig(nil, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Thresholds{0.95, 0.9, 50 * time.Millisecond, 2, 0}, s.opt.Thresholds); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	for key, value := range map[string]string{
		"max_used_cpu_ratio": "1.1", "max_used_memory_ratio": "NaN", "max_event_loop_delay": "-1s",
		"max_client_errors": "-1", "max_memory_size": "1GiB", "max_cpu": "1",
	} {
		if _, err := FromConfig(map[string]string{key: value}, now); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
	if _, err := NewSnapshotter(SnapshotterOptions{}); err == nil {
		t.Error("no clock, no error")
	}
	if _, err := NewSnapshotter(SnapshotterOptions{Now: now.Now, Interval: -1}); err == nil {
		t.Error("negative interval, no error")
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

func TestNextTick(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		n       int64
		now     time.Duration
		wait    time.Duration
		skipped int64
	}{
		{"on time", 1, 100, 10, 0},
		{"late by less than an interval", 2, 117, 3, 0},
		{"exactly due", 2, 120, 0, 0},
		{"late by more", 2, 121, 9, 1},
		{"late by two", 2, 145, 5, 3},
	} {
		wait, skipped := nextTick(100, 10, tt.n, tt.now)
		if wait != tt.wait || skipped != tt.skipped {
			t.Errorf("%s: wait %d skipped %d, want %d %d", tt.name, wait, skipped, tt.wait, tt.skipped)
		}
	}
}

// slowReader takes its time for every look.
type slowReader struct {
	mu    sync.Mutex
	looks []time.Duration
	fail  bool
}

func (r *slowReader) ReadHost(now time.Duration) (*HostState, error) {
	time.Sleep(5 * time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks = append(r.looks, now)
	if r.fail {
		return nil, errors.New("no host")
	}
	return &HostState{Time: now}, nil
}

// The n-th look is at start + n × interval, however long a look takes.
func TestSnapshotterDrift(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	reader := &slowReader{}
	const interval = 20 * time.Millisecond
	s, err := NewSnapshotter(SnapshotterOptions{
		Reader: reader, Interval: interval, Now: func() time.Duration { return time.Since(begin) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Active() {
		t.Error("active before Start")
	}
	s.Start(context.Background())
	s.Start(context.Background()) // does nothing
	if !s.Active() {
		t.Error("not active after Start")
	}
	time.Sleep(40 * interval)
	s.Close()
	s.Close()
	if s.Active() {
		t.Error("active after Close")
	}
	if len(reader.looks) < 2 {
		t.Fatalf("%d looks", len(reader.looks))
	}
	var skipped, samples uint64
	s.Report(func(name string, v uint64) {
		switch name {
		case "host.samples":
			samples = v
		case "host.samples_skipped":
			skipped = v
		}
	})
	// Each look belongs to a tick: with those left out, there is one for every
	// interval that passed, and none comes before its tick.
	for i, at := range reader.looks {
		tick := reader.looks[0] + time.Duration(i)*interval
		if at < tick {
			t.Errorf("look %d at %v, before its tick at %v", i, at, tick)
		}
	}
	// Without the correction the 5 ms of each look would add up to ten ticks;
	// a busy machine may be late for the last one.
	last := reader.looks[len(reader.looks)-1] - reader.looks[0]
	told := len(reader.looks) - 1 + int(skipped)
	if ticks := int(last / interval); ticks < told || ticks > told+4 {
		t.Errorf("%d looks and %d left out within %v", len(reader.looks), skipped, last)
	}
	if samples != uint64(len(reader.looks)-1) {
		t.Errorf("%d samples from %d looks", samples, len(reader.looks))
	}
	s.Start(context.Background())
	if !s.Active() {
		t.Error("not active after a second Start")
	}
	s.Close()
}

func TestSnapshotterFailedLook(t *testing.T) {
	t.Parallel()
	s := newSnapshotter(t, &hostSim{}, func(o *SnapshotterOptions) { o.Reader = &slowReader{fail: true} })
	ctx, cancel := context.WithCancel(context.Background())
	s.Start(ctx)
	cancel()
	s.Close()
	failed := uint64(0)
	s.Report(func(name string, v uint64) {
		if name == "host.read_failed" {
			failed = v
		}
	})
	if failed == 0 || s.Latest() != nil {
		t.Errorf("%d failed looks, latest %v", failed, s.Latest())
	}
}

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
