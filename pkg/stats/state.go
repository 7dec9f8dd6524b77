// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"errors"
	"fmt"
	"time"
)

// State is what a Recorder remembers across restarts of the program: plain
// data, to be kept as JSON. It holds what Lifetime and Calculate report, less
// the ids that are open.
type State struct {
	// ByRole is indexed by events.Role.
	ByRole [NumRoles]Counters `json:"by_role"`
	// Finished and Failed are the two kinds of ends in Calculate.
	Finished EndState `json:"finished"`
	Failed   EndState `json:"failed"`
	// Latency covers both kinds.
	Latency HistogramState `json:"latency"`
	// Codes are in ascending order, as in Summary.StatusCodes.
	Codes []StatusCount `json:"codes,omitempty"`
	// Retries is Summary.RetryHistogram.
	Retries []uint64 `json:"retries,omitempty"`
	// Runtime is the time during which the Recorder was active.
	Runtime time.Duration `json:"runtime_ns"`
}

// EndState counts the calls that ended in one way. The duration is known for
// Timed of them, and Sum adds those up.
type EndState struct {
	Count uint64        `json:"count"`
	Timed uint64        `json:"timed"`
	Sum   time.Duration `json:"sum_ns"`
}

// Lifetime returns the counters per role, indexed by events.Role, since the
// first start of the program that is remembered, or since Reset. Unlike Totals
// it includes what Restore brought.
func (r *Recorder) Lifetime() [NumRoles]Counters {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lifetime()
}

func (r *Recorder) lifetime() [NumRoles]Counters {
	sum := r.restored
	for role := range sum {
		sum[role].plus(&r.totals.ByRole[role])
		sum[role].minus(&r.forgotten[role])
	}
	return sum
}

func (c *Counters) plus(o *Counters) {
	c.Requests += o.Requests
	c.Errors += o.Errors
	c.RequestBytes += o.RequestBytes
	c.ResponseBytes += o.ResponseBytes
	for i, n := range &o.Outcomes {
		c.Outcomes[i] += n
	}
}

func (c *Counters) minus(o *Counters) {
	c.Requests -= o.Requests
	c.Errors -= o.Errors
	c.RequestBytes -= o.RequestBytes
	c.ResponseBytes -= o.ResponseBytes
	for i, n := range &o.Outcomes {
		c.Outcomes[i] -= n
	}
}

// State returns what should outlive the program.
func (r *Recorder) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.summary
	return State{
		ByRole:   r.lifetime(),
		Finished: EndState(s.ends[0]), Failed: EndState(s.ends[1]),
		Latency: s.latency.State(), Codes: s.statusCounts(), Retries: s.retryCounts(),
		Runtime: s.runtime(r.opt.Now()),
	}
}

// Restore adds what an earlier Recorder remembered, so that Lifetime and
// Calculate go on from there; Totals and the series do not change. A State that
// contradicts itself is an error and changes nothing.
func (r *Recorder) Restore(from State) error {
	latency, err := from.check()
	if err != nil {
		return fmt.Errorf("restore statistics: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for role := range r.restored {
		r.restored[role].plus(&from.ByRole[role])
	}
	s := &r.summary
	s.ends[0].plus(from.Finished)
	s.ends[1].plus(from.Failed)
	s.latency.Merge(latency)
	for _, c := range from.Codes {
		s.codes[c.Code] += c.Count
	}
	for n, count := range from.Retries {
		s.retries[n] += count
	}
	s.elapsed = addDurations(s.elapsed, from.Runtime)
	return nil
}

func (e *endState) plus(o EndState) {
	e.Count += o.Count
	e.Timed += o.Timed
	e.Sum = addDurations(e.Sum, o.Sum)
}

// Validate reports what no Recorder can have written, and Restore refuses.
func (s *State) Validate() error {
	_, err := s.check()
	return err
}

// check also returns the histogram.
func (s *State) check() (*Histogram, error) {
	var latency Histogram
	return &latency, errors.Join(s.checkCounts(), latency.restore(s.Latency))
}

func (s *State) checkCounts() error {
	for role := range s.ByRole {
		if err := s.ByRole[role].validate(); err != nil {
			return fmt.Errorf("role %d: %w", role, err)
		}
	}
	for _, e := range []EndState{s.Finished, s.Failed} {
		if e.Timed > e.Count || e.Sum < 0 {
			return errors.New("more durations than ends, or a negative sum")
		}
	}
	if timed := s.Finished.Timed + s.Failed.Timed; timed != s.Latency.Count {
		return fmt.Errorf("%d durations in the histogram, %d elsewhere", s.Latency.Count, timed)
	}
	for i, c := range s.Codes {
		if c.Code < 0 || c.Code > maxStatus || (i > 0 && c.Code <= s.Codes[i-1].Code) {
			return fmt.Errorf("status code %d is out of range or order", c.Code)
		}
	}
	if len(s.Retries) > MaxRetries+1 {
		return fmt.Errorf("%d retry counts, at most %d", len(s.Retries), MaxRetries+1)
	}
	if s.Runtime < 0 {
		return errors.New("negative run time")
	}
	return nil
}

func (c *Counters) validate() error {
	var ended uint64
	for _, n := range &c.Outcomes {
		ended += n
	}
	if ended != c.Requests || c.Errors > c.Requests {
		return fmt.Errorf("%d requests, but %d outcomes and %d errors", c.Requests, ended, c.Errors)
	}
	return nil
}
