// SPDX-License-Identifier: Apache-2.0

package stats

import "time"

// openCall is an id between RequestStart and its end.
type openCall struct {
	// started is the time of the last RequestStart, attempts how many there were.
	started  time.Duration
	attempts int
}

// RequestStart notes that the call id begins, or, when it is open already,
// that it is tried again: its duration counts from the last start, and every
// start but the first is a retry. With Options.MaxOpen calls open, a new id is
// refused and counted in Totals.IDsRefused.
func (r *Recorder) RequestStart(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	open, found := r.summary.open[id]
	if !found && len(r.summary.open) >= r.opt.MaxOpen {
		r.totals.IDsRefused++
		return
	}
	open.started = r.opt.Now()
	open.attempts++
	r.summary.open[id] = open
}

// RequestFinish ends the call id with success. An id that is not open is
// counted in Totals.IDsUnknown and otherwise ignored.
func (r *Recorder) RequestFinish(id uint64) { r.end(id, false) }

// RequestFailure ends the call id for good without success; see RequestFinish.
func (r *Recorder) RequestFailure(id uint64) { r.end(id, true) }

func (r *Recorder) end(id uint64, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	open, found := r.summary.open[id]
	if !found {
		r.totals.IDsUnknown++
		return
	}
	delete(r.summary.open, id)
	r.summary.ended(failed, max(r.opt.Now()-open.started, 0), true)
	r.summary.retries[min(open.attempts-1, MaxRetries)]++
}

// RegisterStatusCode counts a status code of a call made by id. Codes outside
// 100..999 are counted together under code 0.
func (r *Recorder) RegisterStatusCode(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.status(code)
}

// Start lets the time run that the per-minute rates divide by. Calls and
// requests are counted whether or not it runs. On an active Recorder it does
// nothing.
func (r *Recorder) Start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.summary.active {
		r.summary.active, r.summary.since = true, r.opt.Now()
	}
}

// Close stops the time that Start let run; a later Start goes on from there.
func (r *Recorder) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.elapsed = r.summary.runtime(r.opt.Now())
	r.summary.active = false
}

// Active reports whether the Recorder is between Start and Close.
func (r *Recorder) Active() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.summary.active
}

// Reset forgets everything that Calculate and Lifetime report, open ids included,
// and lets the run time begin again at 0. Totals, the series of the current interval and
// the gauges stay: they belong to the exporter.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	active := r.summary.active
	r.summary.reset()
	r.summary.active, r.summary.since = active, r.opt.Now()
	r.restored, r.forgotten = [NumRoles]Counters{}, r.totals.ByRole
}
