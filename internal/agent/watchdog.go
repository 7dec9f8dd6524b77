// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"log/slog"
	"time"
)

const (
	// watchdogTick is between two looks at the parts, and never below minTick:
	// each one wakes a thread on the observed host.
	watchdogTick = 5 * time.Second
	minTick      = time.Second
)

// watchdog names the part that is stuck, in the log, and tells the service
// manager that all is well only while none is.
type watchdog struct {
	parts  *parts
	nowNS  func() uint64
	log    *slog.Logger
	notify *notifier
	tick   time.Duration

	lastNS uint64
	told   map[string]bool // parts already named
}

func newWatchdog(p *parts, nowNS func() uint64, log *slog.Logger, n *notifier) *watchdog {
	tick := watchdogTick
	if n.watchdog > 0 { // three chances in its interval
		tick = max(min(tick, n.watchdog/3), minTick)
	}
	return &watchdog{parts: p, nowNS: nowNS, log: log, notify: n, tick: tick, told: map[string]bool{}}
}

func (w *watchdog) String() string { return "watchdog" }

func (w *watchdog) Serve(ctx context.Context) error {
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	w.lastNS = w.nowNS()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			w.check(w.nowNS())
		}
	}
}

// check looks once. When the watchdog itself came late, the whole process was
// stopped, and no part is to blame.
func (w *watchdog) check(nowNS uint64) {
	late := nowNS-w.lastNS > uint64(2*w.tick)
	w.lastNS = nowNS
	if late {
		return
	}
	stuck := w.parts.stuck(nowNS)
	now := map[string]bool{}
	for _, s := range stuck {
		now[s.name] = true
		if !w.told[s.name] {
			w.log.Error("a part is stuck", "part", s.name, "for", s.since.Round(time.Second))
		}
	}
	for name := range w.told {
		if !now[name] {
			w.log.Info("a part gets on again", "part", name)
		}
	}
	w.told = now
	if len(stuck) == 0 {
		w.notify.alive()
	}
}
