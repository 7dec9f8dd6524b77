// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"strings"

	"probe/pkg/events"
)

type inFlightKey struct {
	service string
	role    events.Role
}

type inFlightGauge struct {
	n int
	// set is false when SetInFlight was not called since the last Flush.
	set bool
}

// SetInFlight sets the number of requests of a service that are being served
// (RoleServer) or waited for (RoleClient). Call it before each Flush for each
// service with such requests: a service that was left out is reported as 0
// once, so that receivers which remember gauges do not keep the old value, and
// then forgotten. More than Options.MaxSeries services are refused and counted
// in Totals.GaugesRefused.
func (r *Recorder) SetInFlight(service string, role events.Role, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := inFlightKey{service, role}
	g := r.inFlight[k]
	if g == nil {
		if len(r.inFlight) >= r.opt.MaxSeries {
			r.totals.GaugesRefused++
			return
		}
		k.service = strings.Clone(k.service)
		g = new(inFlightGauge)
		r.inFlight[k] = g
	}
	g.n, g.set = n, true
}

// selfCounter is a counter of the program itself.
type selfCounter struct {
	total, flushed uint64
}

// SetSelf sets the cumulative counter name of the program itself, for example
// the records dropped for one reason. Each Snapshot carries what was added
// since the one before. A value smaller than the last one means that its
// source began again at 0. More than 1024 names are refused and counted in
// Totals.SelfRefused.
func (r *Recorder) SetSelf(name string, value uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setSelf(name, value)
}

func (r *Recorder) setSelf(name string, value uint64) {
	c := r.self[name]
	if c == nil {
		if len(r.self) >= maxSelf {
			r.totals.SelfRefused++
			return
		}
		c = new(selfCounter)
		r.self[strings.Clone(name)] = c
	}
	if value < c.total {
		// What was counted up to the last SetSelf must not be lost: shift the
		// base so that total-flushed still is the sum to report.
		c.flushed -= c.total
	}
	c.total = value
}

// Self counters of the Recorder, present in every Snapshot.
const (
	SelfRequests       = "stats.requests"
	SelfInProgress     = "stats.in_progress"
	SelfInvalid        = "stats.invalid"
	SelfOverflowed     = "stats.series_overflowed"
	SelfSeriesCreated  = "stats.series_created"
	SelfSeriesDropped  = "stats.series_dropped"
	SelfIDsRefused     = "stats.ids_refused"
	SelfIDsUnknown     = "stats.ids_unknown"
	SelfGaugesRefused  = "stats.gauges_refused"
	SelfCounterRefused = "stats.self_refused"
)

// setOwnSelf runs in New, before anyone can use up the room, and at each Flush.
func (r *Recorder) setOwnSelf() { r.totals.Report(r.setSelf) }

// Report hands each total that is a self counter to set, under its name.
func (t *Totals) Report(set func(name string, value uint64)) {
	var requests uint64
	for role := range t.ByRole {
		requests += t.ByRole[role].Requests
	}
	set(SelfRequests, requests)
	set(SelfInProgress, t.InProgress)
	set(SelfInvalid, t.Invalid)
	set(SelfOverflowed, t.Overflowed)
	set(SelfSeriesCreated, t.SeriesCreated)
	set(SelfSeriesDropped, t.SeriesDropped)
	set(SelfIDsRefused, t.IDsRefused)
	set(SelfIDsUnknown, t.IDsUnknown)
	set(SelfGaugesRefused, t.GaugesRefused)
	set(SelfCounterRefused, t.SelfRefused)
}
