// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"probe/pkg/events"
)

// Snapshot is one interval, from one Flush to the next. Consumers only read it.
type Snapshot struct {
	// Interval is the time since the previous Flush, or New.
	Interval time.Duration
	// Series holds every key with at least one request, in the order of
	// Key.Compare.
	Series []Series
	// InFlight is ordered by role and service.
	InFlight []InFlight
	// Delays are the waits for a CPU of services, ordered by name.
	Delays []ServiceDelay
	// Self holds every self counter, changed or not, ordered by name.
	Self []SelfValue
	// ActiveSeries is the number of series in memory, idle ones included.
	ActiveSeries int
	// Host is what Snapshotter.Flush returned, put in by the caller; nil
	// without one.
	Host *HostInterval

	// arena holds the samples of all series, so that a Flush makes one
	// allocation for them.
	arena []time.Duration
}

// Series is the share of one Key in an interval.
type Series struct {
	Key
	Counters
	// Latency covers the requests of known duration: Latency.Count <= Requests.
	Latency HistogramSummary
	Samples Samples
}

// Samples are raw timings of one out of Every requests. The slices differ in
// length where a request lacks a timing: TTFB without a response, WaitAccept
// and WaitSocket where the arrival is unknown (Wait.Known).
type Samples struct {
	Duration, TTFB, WaitAccept, WaitSocket []time.Duration
	// Parts of the time after the read, by events.Part; a part that was 0 in
	// every sample is nil.
	Parts [events.NumParts][]time.Duration
	// Every is a power of two; 1 means that every request is here.
	Every uint32
}

// InFlight is the gauge of SetInFlight.
type InFlight struct {
	Service string
	Role    events.Role
	N       int
}

// ServiceDelay is how long the threads of a service that serve requests waited
// for a CPU in the interval.
type ServiceDelay struct {
	Service string
	SchedDelay
}

// SelfValue is one self counter.
type SelfValue struct {
	Name string
	// Delta is what was added in the interval, Total the last value set.
	Delta, Total uint64
}

// Flush returns everything since the previous Flush and starts a new interval.
func (r *Recorder) Flush() *Snapshot {
	s := new(Snapshot)
	r.FlushInto(s)
	return s
}

// FlushInto is Flush into memory the caller has used before: it overwrites s,
// and everything taken from s becomes invalid. With the same s in each
// interval, a steady load allocates nothing.
func (r *Recorder) FlushInto(s *Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.opt.Now()
	s.Interval, s.Host = now-r.lastFlush, nil
	r.lastFlush = now
	r.flushSeries(s)
	r.flushInFlight(s)
	r.flushSelf(s)
}

func (r *Recorder) flushSeries(s *Snapshot) {
	if !r.inOrder {
		slices.SortFunc(r.sorted, func(a, b *series) int { return a.key.Compare(b.key) })
		r.inOrder = true
	}
	s.reserve(r.sorted)
	r.sorted = slices.DeleteFunc(r.sorted, func(one *series) bool {
		if one.counters.Requests > 0 {
			one.idle = 0
			s.add(one)
			one.restart()
			return false
		}
		one.idle++
		if one.idle < r.opt.IdleIntervals {
			return false
		}
		r.drop(one)
		return true
	})
	s.ActiveSeries = len(r.sorted)
}

// reserve makes room for the samples of all series, so that the slices handed
// out point into one arena.
func (s *Snapshot) reserve(all []*series) {
	busy, timings := 0, 0
	for _, one := range all {
		if one.counters.Requests > 0 {
			busy++
			columns := 4
			if len(one.samples.kept) > 0 && one.samples.kept[0].split {
				columns += events.NumParts
			}
			timings += columns * len(one.samples.kept)
		}
	}
	s.Series = slices.Grow(s.Series[:0], busy)
	s.arena = slices.Grow(s.arena[:0], timings)
}

func (s *Snapshot) add(one *series) {
	s.Series = append(s.Series, Series{
		Key: one.key, Counters: one.counters, Latency: one.latency.Summary(),
		Samples: Samples{
			Duration:   s.column(one, func(t *timings) time.Duration { return t.duration }),
			TTFB:       s.column(one, func(t *timings) time.Duration { return t.ttfb }),
			WaitAccept: s.column(one, func(t *timings) time.Duration { return t.waitAccept }),
			WaitSocket: s.column(one, func(t *timings) time.Duration { return t.waitSocket }),
			Parts:      s.parts(one),
			Every:      one.samples.every,
		},
	})
}

// parts returns the columns of the parts that are not 0 throughout.
func (s *Snapshot) parts(one *series) (columns [events.NumParts][]time.Duration) {
	var seen [events.NumParts]bool
	for i := range one.samples.kept {
		for p, ns := range one.samples.kept[i].parts {
			seen[p] = seen[p] || ns != 0
		}
	}
	for p := range columns {
		if seen[p] {
			columns[p] = s.column(one, func(t *timings) time.Duration {
				if !t.split {
					return notMeasured
				}
				return time.Duration(t.parts[p])
			})
		}
	}
	return columns
}

func (s *Snapshot) column(one *series, of func(*timings) time.Duration) []time.Duration {
	start := len(s.arena)
	for i := range one.samples.kept {
		if d := of(&one.samples.kept[i]); d != notMeasured {
			s.arena = append(s.arena, d)
		}
	}
	return s.arena[start:len(s.arena):len(s.arena)]
}

func (s *series) restart() {
	s.counters = Counters{}
	s.latency.Reset()
	s.samples.reset()
}

// drop removes an idle series from the tables other than r.sorted.
func (r *Recorder) drop(one *series) {
	if r.overflow[one.key.Role] == one {
		r.overflow[one.key.Role] = nil
		return
	}
	delete(r.series, one.lookup)
	if r.byService[one.lookup.service]--; r.byService[one.lookup.service] == 0 {
		delete(r.byService, one.lookup.service)
	}
	r.totals.SeriesDropped++
}

func (r *Recorder) flushInFlight(s *Snapshot) {
	s.InFlight = s.InFlight[:0]
	for k, g := range r.inFlight {
		if !g.set {
			g.n = 0
			delete(r.inFlight, k)
		}
		s.InFlight = append(s.InFlight, InFlight{Service: k.service, Role: k.role, N: g.n})
		g.set = false
	}
	slices.SortFunc(s.InFlight, func(a, b InFlight) int {
		if c := cmp.Compare(a.Role, b.Role); c != 0 {
			return c
		}
		return strings.Compare(a.Service, b.Service)
	})
}

func (r *Recorder) flushSelf(s *Snapshot) {
	r.setOwnSelf()
	s.Self = s.Self[:0]
	for name, c := range r.self {
		s.Self = append(s.Self, SelfValue{Name: name, Delta: c.total - c.flushed, Total: c.total})
		c.flushed = c.total
	}
	slices.SortFunc(s.Self, func(a, b SelfValue) int { return strings.Compare(a.Name, b.Name) })
}
