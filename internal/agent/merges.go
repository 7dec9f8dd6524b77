// SPDX-License-Identifier: Apache-2.0

package agent

import "log/slog"

// merges logs intervals that could not be handed over because the delivery before
// them was not done.
type merges struct{ trouble trouble }

func (m *merges) note(log *slog.Logger, merged bool, nowNS uint64) {
	switch what, intervals := m.trouble.note(merged, nowNS); what {
	case isOver:
		log.Info("statsd delivery keeps up with the interval again", "intervals_merged", intervals)
	case goesOn:
		log.Warn("statsd delivery is slower than the interval: intervals are merged, which loses nothing; a longer --interval or a receiver that reads faster ends it",
			"intervals_merged", intervals)
	}
}
