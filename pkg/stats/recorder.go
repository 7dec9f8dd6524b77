// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"strings"
	"sync"
	"time"

	"probe/pkg/events"
)

// NumOutcomes is the number of events.Outcome values.
const NumOutcomes = int(events.OutcomeInProgress) + 1

// NumRoles is the number of events.Role values.
const NumRoles = int(events.RoleClient) + 1

// NumParts is the number of events.Part values.
const NumParts = events.NumParts

// Recorder aggregates requests. It is safe for concurrent use.
type Recorder struct {
	mu  sync.Mutex
	opt Options
	rnd random

	series map[seriesKey]*series
	// byService is how many series each service has.
	byService map[string]int
	// sorted holds all series, overflow included, in key order once inOrder.
	sorted   []*series
	inOrder  bool
	overflow [NumRoles]*series

	totals  Totals
	summary summaryState
	// Lifetime is restored + totals - forgotten: what Restore brought, and what
	// was there at the last Reset.
	restored, forgotten [NumRoles]Counters

	inFlight  map[inFlightKey]*inFlightGauge
	self      map[string]*selfCounter
	lastFlush time.Duration
}

// seriesKey is Key with the method as a number: two strings to hash, not three.
type seriesKey struct {
	service, route string
	origin         events.OriginKey
	role           events.Role
	method         method
	status         uint16
}

// series is one key's share of the current interval.
type series struct {
	key      Key
	lookup   seriesKey
	counters Counters
	latency  Histogram
	samples  sampler
	// idle is the number of intervals in a row without a request.
	idle int
}

// Counters are the exact figures of a series in one interval, or of a role
// since the start.
type Counters struct {
	// Requests that ended, in whatever way; requests in progress are not here.
	Requests uint64 `json:"requests"`
	// Errors are the requests whose Outcome.Failed() is true.
	Errors uint64 `json:"errors"`
	// RequestBytes and ResponseBytes include heads and framing.
	RequestBytes  uint64 `json:"request_bytes"`
	ResponseBytes uint64 `json:"response_bytes"`
	// Outcomes counts Requests by events.Outcome.
	Outcomes [NumOutcomes]uint64 `json:"outcomes"`
}

func (c *Counters) add(q *events.Request) {
	c.Requests++
	if q.Outcome.Failed() {
		c.Errors++
	}
	c.RequestBytes += q.RequestBytes
	c.ResponseBytes += q.ResponseBytes
	c.Outcomes[q.Outcome]++
}

// Totals are exact and only ever grow, from New on; neither Flush nor Reset
// changes them. At any time the sum of Requests over ByRole is the sum of
// Requests over all Snapshots plus the interval not yet flushed.
type Totals struct {
	// ByRole is indexed by events.Role.
	ByRole [NumRoles]Counters
	// InProgress counts the Record calls with a request still in progress;
	// they are part of no series.
	InProgress uint64
	// Invalid counts the Record calls with a role or outcome out of range.
	Invalid uint64
	// Overflowed requests are in an overflow series, MaxSeries or
	// MaxServiceSeries being reached.
	Overflowed uint64
	// SeriesCreated and SeriesDropped count series without the overflow ones.
	SeriesCreated, SeriesDropped uint64
	// IDsRefused counts RequestStart calls with MaxOpen ids open already.
	IDsRefused uint64
	// IDsUnknown counts RequestFinish and RequestFailure calls without a start.
	IDsUnknown uint64
	// ClientErrors counts the answers with 429 and 5xx to requests of RoleClient.
	ClientErrors ClientErrorTotals
	// GaugesRefused and SelfRefused count SetInFlight and SetSelf calls with a
	// new name and no room.
	GaugesRefused, SelfRefused uint64
}

// New returns an empty Recorder.
func New(opt Options) *Recorder {
	opt = opt.withDefaults()
	r := &Recorder{
		opt:       opt,
		rnd:       0x9E3779B97F4A7C15,
		series:    make(map[seriesKey]*series),
		byService: make(map[string]int),
		inFlight:  make(map[inFlightKey]*inFlightGauge),
		self:      make(map[string]*selfCounter),
	}
	r.summary.reset()
	r.lastFlush = opt.Now()
	r.setOwnSelf()
	return r
}

// Record counts one request. It borrows q and what q points to only for the
// call. A request in progress changes nothing but Totals.InProgress.
//
// The latency of a request whose start was not seen (FlagNoRequest) is unknown:
// it is counted, but it is in no histogram and no sample.
func (r *Recorder) Record(q *events.Request) { r.RecordAt(q, new(Place)) }

// Place is where a request was recorded, if that was a series of its own. The zero
// value is none.
type Place struct {
	series  *series
	dropped uint64 // Totals.SeriesDropped at that time
}

// RecordAt is Record, and notes the place in p. Where p has one already, q must be
// equal to that request in all that Key is made of; finding it again is saved.
func (r *Recorder) RecordAt(q *events.Request, p *Place) {
	r.mu.Lock()
	r.record(q, p)
	r.mu.Unlock()
}

func (r *Recorder) record(q *events.Request, p *Place) {
	if int(q.Role) >= NumRoles || int(q.Outcome) >= NumOutcomes {
		r.totals.Invalid++
		return
	}
	if q.Outcome == events.OutcomeInProgress {
		r.totals.InProgress++
		return
	}
	r.totals.ByRole[q.Role].add(q)
	s := p.series
	if s == nil || p.dropped != r.totals.SeriesDropped {
		s = r.find(q)
		*p = Place{}
		if s != r.overflow[q.Role] {
			*p = Place{series: s, dropped: r.totals.SeriesDropped}
		}
	}
	s.counters.add(q)
	s.samples.offer(q, r.opt.SamplesPerSeries, &r.rnd)
	known := durationKnown(q)
	if known {
		s.latency.Record(q.Duration)
	}
	if q.Role == events.RoleClient {
		r.totals.ClientErrors.add(q.Status)
	}
	if q.Role == r.opt.SummaryRole {
		r.summary.ended(q.Outcome.Failed(), q.Duration, known)
		if q.Status != 0 {
			r.summary.status(int(q.Status))
		}
	}
}

// find returns the series of q, creating it while there is room.
func (r *Recorder) find(q *events.Request) *series {
	k := seriesKey{
		service: q.Service, route: q.Route, role: q.Role, origin: q.Tags,
		method: methodOf(q.Method), status: q.Status,
	}
	if s := r.series[k]; s != nil {
		return s
	}
	if len(r.series) >= r.opt.MaxSeries || r.byService[k.service] >= r.opt.MaxServiceSeries {
		r.totals.Overflowed++
		return r.overflowOf(q.Role)
	}
	// The caller's strings may be parts of larger ones.
	k.service, k.route = strings.Clone(k.service), strings.Clone(k.route)
	s := r.add(Key{
		Service: k.service, Method: k.method.String(), Route: k.route,
		Role: k.role, Status: k.status, Origin: k.origin,
	})
	s.lookup = k
	r.series[k] = s
	r.byService[k.service]++
	r.totals.SeriesCreated++
	return s
}

func (r *Recorder) overflowOf(role events.Role) *series {
	if r.overflow[role] == nil {
		r.overflow[role] = r.add(Key{Service: Other, Method: Other, Route: Other, Role: role})
	}
	return r.overflow[role]
}

func (r *Recorder) add(k Key) *series {
	s := &series{key: k}
	s.samples.reset()
	r.sorted = append(r.sorted, s)
	r.inOrder = false
	return s
}

func (t *ClientErrorTotals) add(status uint16) {
	switch {
	case status == 429:
		t.RateLimited++
	case status >= 500 && status <= 599:
		t.ServerErrors++
	}
}

// Totals returns the exact books since New.
func (r *Recorder) Totals() Totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.totals
}

// ActiveSeries returns the number of series in memory, idle ones included.
func (r *Recorder) ActiveSeries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sorted)
}
