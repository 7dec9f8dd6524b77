// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"time"

	"probe/pkg/events"
)

// Defaults and limits.
const (
	// DefaultMaxSeries is the number of distinct keys of one Recorder. At about
	// 1 KB per quiet and 7 KB per busy series this is 10 to 70 MB when full.
	DefaultMaxSeries = 10000
	// DefaultSamplesPerSeries is the number of requests whose timings are kept
	// per series and interval, 80 bytes each: 5 KB per busy series.
	DefaultSamplesPerSeries = 64
	// DefaultIdleIntervals is the number of intervals without a request after
	// which a series is dropped.
	DefaultIdleIntervals = 10
	// DefaultMaxOpen is the number of ids that may be open at once.
	DefaultMaxOpen = 65536
	// MaxRetries is the last index of Summary.RetryHistogram; calls with more
	// retries are counted there too.
	MaxRetries = 32
	// maxSelf bounds the number of self counters; the program has about 100.
	maxSelf = 1024
)

// Options of a Recorder. The zero value is usable.
type Options struct {
	// MaxSeries is the number of distinct keys kept. A request with one more
	// key is counted in the overflow series of its role. 0: DefaultMaxSeries.
	MaxSeries int
	// MaxServiceSeries is how many of them one service may have, so that it
	// leaves some to the others; what is beyond is counted in the overflow series.
	// 0: three quarters of MaxSeries.
	MaxServiceSeries int
	// SamplesPerSeries is the most raw timings kept per series and interval,
	// rounded up to an even number. 0: DefaultSamplesPerSeries. Negative: none.
	SamplesPerSeries int
	// IdleIntervals is how many Flush calls a series without requests
	// survives. 0: DefaultIdleIntervals.
	IdleIntervals int
	// MaxOpen bounds the ids of RequestStart that have not ended yet.
	// 0: DefaultMaxOpen.
	MaxOpen int
	// SummaryRole is the role whose requests feed Calculate, so that an
	// exchange seen at both ends counts once. RoleUnknown: RoleServer.
	SummaryRole events.Role
	// Now is a monotonic clock with any origin. It is used for the calls by
	// id, the rates of Calculate and Snapshot.Interval, never by Record.
	// Nil: a clock that stands still, so these figures are 0.
	Now func() time.Duration
}

func (o Options) withDefaults() Options {
	if o.MaxSeries <= 0 {
		o.MaxSeries = DefaultMaxSeries
	}
	if o.MaxServiceSeries <= 0 {
		o.MaxServiceSeries = o.MaxSeries - o.MaxSeries/4
	}
	if o.SamplesPerSeries == 0 {
		o.SamplesPerSeries = DefaultSamplesPerSeries
	}
	o.SamplesPerSeries = max(o.SamplesPerSeries, 0)
	o.SamplesPerSeries += o.SamplesPerSeries % 2
	if o.IdleIntervals <= 0 {
		o.IdleIntervals = DefaultIdleIntervals
	}
	if o.MaxOpen <= 0 {
		o.MaxOpen = DefaultMaxOpen
	}
	if o.SummaryRole == events.RoleUnknown {
		o.SummaryRole = events.RoleServer
	}
	if o.Now == nil {
		o.Now = func() time.Duration { return 0 }
	}
	return o
}
