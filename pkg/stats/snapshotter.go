// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults and limits of a Snapshotter.
const (
	// DefaultSnapshotInterval is between two looks at the host.
	DefaultSnapshotInterval = time.Second
	// DefaultMaxSamples of each of the four histories: ten minutes at the
	// default interval, about 150 KB.
	DefaultMaxSamples = 600
)

// HostReader looks at the host. Calls do not overlap. The result, whose ratios
// it leaves alone, is the Snapshotter's from then on. The error is for a look
// that failed as a whole: a source that is missing is told in the HostState.
type HostReader interface {
	ReadHost(now time.Duration) (*HostState, error)
}

// SnapshotterOptions of a Snapshotter. Only Now is needed.
type SnapshotterOptions struct {
	Thresholds Thresholds
	// Reader takes the samples between Start and Close. Nil: they are pushed.
	Reader HostReader
	// Interval between two looks. 0: DefaultSnapshotInterval.
	Interval time.Duration
	// MaxSamples in each history; older ones are forgotten. 0:
	// DefaultMaxSamples.
	MaxSamples int
	// Window in which samples are judged together, see Overload. 0:
	// DefaultOverloadWindow.
	Window time.Duration
	// SchedDelay, where it is set, replaces that of the Reader with what was
	// measured since its last call: quantiles of single waits. False: not known.
	SchedDelay func() (SchedDelay, bool)
	// ClientErrors returns the totals of answers to outbound calls. Nil or
	// false: not known.
	ClientErrors func() (ClientErrorTotals, bool)
	// Now is a monotonic clock with any origin.
	Now func() time.Duration
}

// Snapshotter keeps the last samples of the host's CPU, memory, scheduler delay
// and client errors, and says whether the host is overloaded. It has nothing to
// do with Snapshot, which is an interval of requests. All methods may be called
// from several goroutines.
type Snapshotter struct {
	opt    SnapshotterOptions
	latest atomic.Pointer[HostState]
	books  snapshotterBooks

	mu           sync.Mutex
	base         *HostState    // the last one pushed, as it came
	errors       *ClientErrors // totals at the first Start, for the first look
	cpu          history[CPUSample]
	memory       history[MemorySample]
	schedDelay   history[SchedDelaySample]
	clientErrors history[ClientErrorSample]
	judges       map[Resource]*judge
	interval     hostAccumulator

	run sampling
}

// snapshotterBooks count what happened since the start.
type snapshotterBooks struct{ samples, skipped, failed atomic.Uint64 }

// NewSnapshotter returns a Snapshotter without samples; the error is an option
// out of range.
func NewSnapshotter(opt SnapshotterOptions) (*Snapshotter, error) {
	if err := opt.validate(); err != nil {
		return nil, fmt.Errorf("set up snapshotter: %w", err)
	}
	opt.Thresholds = opt.Thresholds.withDefaults()
	if opt.Interval == 0 {
		opt.Interval = DefaultSnapshotInterval
	}
	if opt.MaxSamples == 0 {
		opt.MaxSamples = DefaultMaxSamples
	}
	if opt.Window == 0 {
		opt.Window = DefaultOverloadWindow
	}
	s := &Snapshotter{
		opt:          opt,
		cpu:          newHistory[CPUSample](opt.MaxSamples),
		memory:       newHistory[MemorySample](opt.MaxSamples),
		schedDelay:   newHistory[SchedDelaySample](opt.MaxSamples),
		clientErrors: newHistory[ClientErrorSample](opt.MaxSamples),
		judges:       make(map[Resource]*judge),
	}
	for _, r := range Resources() {
		s.judges[r] = new(judge)
	}
	return s, nil
}

func (o SnapshotterOptions) validate() error {
	switch {
	case o.Now == nil:
		return errors.New("a clock is needed")
	case o.Interval < 0 || o.Window < 0 || o.MaxSamples < 0:
		return errors.New("interval, window and number of samples must not be negative")
	}
	return o.Thresholds.Validate()
}

// Push takes one look at the host. The first one only starts the totals; each
// later one adds a sample to each history whose section it has. The state and
// what it points to must not change after it. A look that is not later than
// the one before is ignored.
func (s *Snapshotter) Push(raw *HostState) {
	own := *raw
	s.addInputs(&own) // before the lock: it may take its time
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.base != nil && own.Time <= s.base.Time {
		return
	}
	if s.base == nil {
		if s.errors != nil {
			own.ClientErrors = s.errors // what came meanwhile counts
		}
		s.base = &own
		s.interval.restart(&own)
		return
	}
	state := own.since(s.base)
	s.base = &own
	s.sample(state)
	s.interval.add(state)
	s.books.samples.Add(1)
	s.latest.Store(state)
}

// addInputs puts in what does not come from the reader.
func (s *Snapshotter) addInputs(state *HostState) {
	state.Missing = slices.Clone(state.Missing)
	if s.opt.SchedDelay != nil {
		if d, known := s.opt.SchedDelay(); known {
			d.Quantiles = true
			state.SchedDelay = &d
			state.Missing = slices.DeleteFunc(state.Missing, func(m MissingSource) bool {
				return m.Source == string(ResourceSchedDelay)
			})
		}
	}
	s.addErrors(state)
	if state.ClientErrors == nil {
		state.Missing = append(state.Missing,
			MissingSource{string(ResourceClientErrors), "outbound calls are not observed"})
	}
}

func (s *Snapshotter) addErrors(state *HostState) {
	if s.opt.ClientErrors == nil {
		return
	}
	if t, known := s.opt.ClientErrors(); known {
		state.ClientErrors = &ClientErrors{Total: t}
	}
}

func (s *Snapshotter) sample(state *HostState) {
	t, now := &s.opt.Thresholds, state.Time
	if state.CPU != nil {
		one := t.cpu(now, state.CPU)
		record(s, ResourceCPU, &s.cpu, one, func(x *CPUSample) Verdict { return x.Verdict })
	}
	if state.Memory != nil {
		one := t.memory(now, state.Memory)
		record(s, ResourceMemory, &s.memory, one, func(x *MemorySample) Verdict { return x.Verdict })
	}
	if state.SchedDelay != nil {
		one := t.schedDelay(now, state.SchedDelay)
		record(s, ResourceSchedDelay, &s.schedDelay, one, func(x *SchedDelaySample) Verdict { return x.Verdict })
	}
	if state.ClientErrors != nil {
		one := t.clientErrors(now, state.ClientErrors)
		record(s, ResourceClientErrors, &s.clientErrors, one, func(x *ClientErrorSample) Verdict { return x.Verdict })
	}
}

func record[T timed](s *Snapshotter, r Resource, h *history[T], one T, verdict func(*T) Verdict) {
	h.add(one)
	n, over := h.count(one.at()-s.opt.Window, func(x *T) bool { return verdict(x).Overloaded })
	s.judges[r].look(n, over, verdict(&one))
}

// Latest returns the newest state, nil before the second look. It waits for
// nothing; the result must not be changed.
func (s *Snapshotter) Latest() *HostState { return s.latest.Load() }

// CPU returns the samples of the last d, oldest first; without d (0 or less)
// the whole history. The same holds for Memory, SchedDelay and ClientErrors.
func (s *Snapshotter) CPU(d time.Duration) []CPUSample { return recent(s, &s.cpu, d) }

// Memory returns the samples of the last d, see CPU.
func (s *Snapshotter) Memory(d time.Duration) []MemorySample { return recent(s, &s.memory, d) }

// SchedDelay returns the samples of the last d, see CPU.
func (s *Snapshotter) SchedDelay(d time.Duration) []SchedDelaySample {
	return recent(s, &s.schedDelay, d)
}

// ClientErrors returns the samples of the last d, see CPU.
func (s *Snapshotter) ClientErrors(d time.Duration) []ClientErrorSample {
	return recent(s, &s.clientErrors, d)
}

func recent[T timed](s *Snapshotter, h *history[T], d time.Duration) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d <= 0 {
		return h.after(-1 << 63)
	}
	return h.after(s.opt.Now() - d)
}

// Overload returns the resources that are overloaded, none when the host is
// fine. A single sample above a threshold is not enough, nor is a single one
// below it the end: a resource becomes overloaded when TripShare of its samples
// within the Window are, and is so until at most ClearShare are. With fewer
// samples than a full Window, those that there are decide. A resource without
// new samples for a Window is not judged.
func (s *Snapshotter) Overload() []Overload {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overload()
}

func (s *Snapshotter) overload() []Overload {
	var out []Overload
	stale := s.opt.Now() - max(s.opt.Window, 2*s.opt.Interval)
	newest := map[Resource]time.Duration{
		ResourceCPU: last(&s.cpu), ResourceMemory: last(&s.memory),
		ResourceSchedDelay: last(&s.schedDelay), ResourceClientErrors: last(&s.clientErrors),
	}
	for _, r := range Resources() {
		if j := s.judges[r]; j.tripped && newest[r] > stale {
			out = append(out, Overload{r, j.reason})
		}
	}
	return out
}

func last[T timed](h *history[T]) time.Duration {
	if len(h.ring) == 0 {
		return -1 << 63
	}
	return (*h.nth(0)).at()
}

// Report hands over the Snapshotter's own counters: samples taken, looks left
// out because the one before took too long, and looks that failed.
func (s *Snapshotter) Report(report func(name string, value uint64)) {
	report("host.samples", s.books.samples.Load())
	report("host.samples_skipped", s.books.skipped.Load())
	report("host.read_failed", s.books.failed.Load())
}

// Active reports whether the Snapshotter is between Start and Close.
func (s *Snapshotter) Active() bool { return s.run.active() }

// Start begins to take samples, one at once and the n-th at start + n ×
// Interval, in a goroutine of its own, until Close or the end of ctx. Without a
// Reader it only makes the Snapshotter active. On an active one it does nothing.
func (s *Snapshotter) Start(ctx context.Context) {
	var begin HostState
	s.addErrors(&begin)
	s.mu.Lock()
	if s.errors == nil {
		s.errors = begin.ClientErrors
	}
	s.mu.Unlock()
	s.run.start(ctx, s.loop)
}

// Close stops the samples and waits for one that is being taken. The histories
// stay, and a later Start goes on.
func (s *Snapshotter) Close() { s.run.stop() }
