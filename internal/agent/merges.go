// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
)

// merges logs intervals that could not be handed over because the delivery before
// them was not done: the first at once, then how many once a minute, and the end
// when for a minute there was none.
type merges struct {
	merging            bool
	loggedNS, mergedNS uint64
	intervals          int // since the last line
}

func (m *merges) note(log *slog.Logger, merged bool, nowNS uint64) {
	first := merged && !m.merging
	if merged {
		m.merging, m.mergedNS = true, nowNS
		m.intervals++
	}
	switch {
	case !m.merging:
	case nowNS-m.mergedNS >= uint64(complaintEvery):
		log.Info("statsd delivery keeps up with the interval again", "intervals_merged", m.intervals)
		*m = merges{}
	case first || m.intervals > 0 && nowNS-m.loggedNS >= uint64(complaintEvery):
		log.Warn("statsd delivery is slower than the interval: intervals are merged, which loses nothing; a longer --interval or a receiver that reads faster ends it",
			"intervals_merged", m.intervals)
		m.loggedNS, m.intervals = nowNS, 0
	}
}
