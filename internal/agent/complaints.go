// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"log/slog"
	"time"
)

// complaintEvery is between two log lines about a receiver that stays away.
const complaintEvery = time.Minute

// complaints logs deliveries that fail: the first at once, then what came
// together once a minute, and the end when for a minute none failed. Every other
// packet to a dead receiver looks delivered, so a single one does not count.
type complaints struct {
	log   *slog.Logger
	about exporter // others begin anew
	// failing since the first failure; loggedNS is when the last line was written,
	// failedNS when a delivery failed last.
	failing            bool
	loggedNS, failedNS uint64
	// last failure, and intervals that failed since the last line.
	last      error
	intervals int
	// lost lines of which the lines so far have told.
	lost uint64
}

// note the outcome of a delivery.
func (c *complaints) note(x exporter, err error, nowNS uint64) {
	if c.about != x {
		*c = complaints{log: c.log, about: x}
	}
	first := err != nil && !c.failing
	if err != nil {
		c.failing, c.failedNS, c.last = true, nowNS, err
		c.intervals++
	}
	switch {
	case !c.failing:
	case nowNS-c.failedNS >= uint64(complaintEvery):
		c.tell(nowNS, slog.LevelInfo, "statsd delivery works again")
		c.failing = false
	case first || c.intervals > 0 && nowNS-c.loggedNS >= uint64(complaintEvery):
		c.tell(nowNS, slog.LevelWarn, "statsd delivery failed", "error", c.last)
	}
}

func (c *complaints) tell(nowNS uint64, level slog.Level, message string, more ...any) {
	n := c.about.Counters()
	lost := n.LinesDropped + n.LinesRefused + n.DroppedFull + n.DroppedAge + n.DroppedSpool
	c.log.Log(context.Background(), level, message, append(more, "intervals", c.intervals, "lines_lost", lost-c.lost)...)
	c.loggedNS, c.intervals, c.lost = nowNS, 0, lost
}
