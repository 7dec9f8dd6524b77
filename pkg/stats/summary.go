// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"log/slog"
	"math"
	"time"
)

// maxStatus is the largest status code with a counter of its own.
const maxStatus = 999

// Summary is what Calculate returns: all calls made by id and all requests of
// Options.SummaryRole since New or Reset.
type Summary struct {
	// Finished calls succeeded, Failed ones did not (Outcome.Failed).
	Finished, Failed uint64
	// Open is the number of ids started and not ended.
	Open int
	// Retried is the number of ended calls that needed more than one attempt.
	Retried uint64
	// AvgFinished and AvgFailed are mean durations of the calls whose duration
	// is known; 0 when there is none.
	AvgFinished, AvgFailed time.Duration
	// FinishedPerMinute and FailedPerMinute divide by Runtime; 0 before Start.
	FinishedPerMinute, FailedPerMinute float64
	// Runtime is the time between Start and now, or Close.
	Runtime time.Duration
	// Latency covers finished and failed calls of known duration; Latency.Sum
	// is the total duration.
	Latency HistogramSummary
	// StatusCodes are in ascending order; code 0 stands for those outside
	// 100..999. Requests without a response have no status code.
	StatusCodes []StatusCount
	// StatusClasses is indexed by the first digit; 0 holds all but 1xx to 5xx.
	StatusClasses [6]uint64
	// RetryHistogram[n] is the number of calls by id that ended after n
	// retries; the last possible index, MaxRetries, also holds those with
	// more. Trailing zeros are cut off.
	RetryHistogram []uint64
}

// StatusCount is the number of responses with one status code.
type StatusCount struct {
	Code  int    `json:"code"`
	Count uint64 `json:"count"`
}

// summaryState is what Calculate works on; guarded by Recorder.mu.
type summaryState struct {
	ends [2]endState
	// latency covers both kinds of ends.
	latency Histogram
	codes   [maxStatus + 1]uint64
	retries [MaxRetries + 1]uint64
	open    map[uint64]openCall

	active         bool
	since, elapsed time.Duration
}

// endState counts one kind of ends, finished or failed.
type endState EndState

func (e *endState) average() time.Duration {
	if e.Timed == 0 {
		return 0
	}
	return e.Sum / time.Duration(e.Timed)
}

func (s *summaryState) reset() { *s = summaryState{open: make(map[uint64]openCall)} }

func (s *summaryState) ended(failed bool, d time.Duration, known bool) {
	e := &s.ends[0]
	if failed {
		e = &s.ends[1]
	}
	e.Count++
	if known {
		e.Timed++
		e.Sum = addDurations(e.Sum, d)
		s.latency.Record(d)
	}
}

// addDurations stops at the largest Duration, 292 years: a thousand requests
// that are always open get there in four months.
func addDurations(a, b time.Duration) time.Duration {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

func (s *summaryState) status(code int) {
	if code < 100 || code > maxStatus {
		code = 0
	}
	s.codes[code]++
}

func (s *summaryState) runtime(now time.Duration) time.Duration {
	if !s.active {
		return s.elapsed
	}
	return s.elapsed + max(now-s.since, 0)
}

// Calculate returns the figures since New or Reset.
func (r *Recorder) Calculate() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.summary
	finished, failed := &s.ends[0], &s.ends[1]
	out := Summary{
		Finished: finished.Count, Failed: failed.Count, Open: len(s.open),
		AvgFinished: finished.average(), AvgFailed: failed.average(),
		Runtime: s.runtime(r.opt.Now()), Latency: s.latency.Summary(),
		StatusCodes: s.statusCounts(), RetryHistogram: s.retryCounts(),
	}
	if out.Runtime > 0 {
		minutes := out.Runtime.Minutes()
		out.FinishedPerMinute = float64(out.Finished) / minutes
		out.FailedPerMinute = float64(out.Failed) / minutes
	}
	for _, c := range out.StatusCodes {
		class := c.Code / 100
		if class >= len(out.StatusClasses) {
			class = 0
		}
		out.StatusClasses[class] += c.Count
	}
	for _, count := range s.retries[1:] {
		out.Retried += count
	}
	return out
}

// statusCounts lists the codes that occurred, in ascending order.
func (s *summaryState) statusCounts() []StatusCount {
	var counts []StatusCount
	for code, n := range &s.codes {
		if n > 0 {
			counts = append(counts, StatusCount{code, n})
		}
	}
	return counts
}

// retryCounts is the histogram of retries without its trailing zeros.
func (s *summaryState) retryCounts() []uint64 {
	last := len(s.retries)
	for last > 0 && s.retries[last-1] == 0 {
		last--
	}
	return append([]uint64(nil), s.retries[:last]...)
}

// LogAttrs returns the Summary as the attributes of one log line.
func (s Summary) LogAttrs() []slog.Attr {
	classes := make([]slog.Attr, 0, len(s.StatusClasses))
	for class, name := range [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		if n := s.StatusClasses[class]; n > 0 {
			classes = append(classes, slog.Uint64(name, n))
		}
	}
	return []slog.Attr{
		slog.Uint64("finished", s.Finished),
		slog.Uint64("failed", s.Failed),
		slog.Int("open", s.Open),
		slog.Uint64("retried", s.Retried),
		slog.Float64("finished_per_minute", s.FinishedPerMinute),
		slog.Float64("failed_per_minute", s.FailedPerMinute),
		slog.Duration("avg_finished", s.AvgFinished),
		slog.Duration("avg_failed", s.AvgFailed),
		slog.Duration("min", s.Latency.Min),
		slog.Duration("p50", s.Latency.P50),
		slog.Duration("p90", s.Latency.P90),
		slog.Duration("p99", s.Latency.P99),
		slog.Duration("p999", s.Latency.P999),
		slog.Duration("max", s.Latency.Max),
		slog.Duration("total_duration", s.Latency.Sum),
		slog.Duration("runtime", s.Runtime),
		{Key: "status", Value: slog.GroupValue(classes...)},
	}
}
