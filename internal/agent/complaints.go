// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"log/slog"
)

// complaints logs deliveries that fail. Every other packet to a dead receiver looks
// delivered, so a single one does not count.
type complaints struct {
	log     *slog.Logger
	about   exporter // others begin anew
	trouble trouble
	last    error // failure
	// lost lines of which the lines so far have told.
	lost uint64
}

// note the outcome of a delivery.
func (c *complaints) note(x exporter, err error, nowNS uint64) {
	if c.about != x {
		*c = complaints{log: c.log, about: x}
	}
	if err != nil {
		c.last = err
	}
	switch what, intervals := c.trouble.note(err != nil, nowNS); what {
	case isOver:
		c.tell(slog.LevelInfo, intervals, "statsd delivery works again")
	case goesOn:
		c.tell(slog.LevelWarn, intervals, "statsd delivery failed", "error", c.last)
	}
}

func (c *complaints) tell(level slog.Level, intervals int, message string, more ...any) {
	n := c.about.Counters()
	lost := n.LinesDropped + n.LinesTooLong + n.LinesRefused + n.DroppedFull + n.DroppedAge + n.DroppedSpool
	c.log.Log(context.Background(), level, message, append(more, "intervals", intervals, "lines_lost", lost-c.lost)...)
	c.lost = lost
}
