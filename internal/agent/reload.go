// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"slices"

	"probe/internal/route"
)

// Reloaded are settings that were read again.
type Reloaded struct {
	Options Options
	// Changed are the names of the flags whose values differ from those in use.
	Changed []string
	// Adopted is told which of them are in use now, nil: nobody is. The others,
	// refused or for the next start, are compared with again.
	Adopted func(names []string)
}

// What can change while the agent runs. The names are those of the flags.
var (
	// exportSettings need another exporter, which takes over after the next flush.
	exportSettings = []string{
		"statsd", "statsd-dialect", "prefix", "tags", "tag", "name-template", "queue-bytes", "queue-age", "spool-dir", "spool-bytes",
	}
	// otherSettings are looked at whenever they are needed.
	otherSettings = []string{"route", "interval", "log-interval", "log-level", "shutdown-timeout"}
)

// reload reads the settings again and uses those that can change at run time;
// the others are named in the log. Settings that are not valid change nothing.
func (a *Agent) reload(ctx context.Context) {
	a.notify.reloading(a.clock.Now())
	defer a.notify.ready(a.statusLine())
	next, err := a.opt.Reload()
	if err == nil {
		err = next.Options.Validate()
	}
	if err != nil {
		a.log.Error("settings not reloaded; the old ones stay", "error", err)
		return
	}
	var live, fixed []string
	for _, name := range next.Changed {
		if slices.Contains(exportSettings, name) || slices.Contains(otherSettings, name) {
			live = append(live, name)
		} else {
			fixed = append(fixed, name)
		}
	}
	// The pipeline owns the settings in use.
	failed, err := ask(ctx, a.mailbox, func() error { return a.adopt(next.Options) })
	if err == nil {
		err = failed
	}
	if err != nil {
		a.log.Error("settings not reloaded; the old ones stay", "error", err)
		return
	}
	if next.Adopted != nil {
		next.Adopted(live)
	}
	if len(fixed) > 0 {
		a.log.Warn("these settings need a restart; their old values stay", "settings", fixed)
	}
	a.log.Info("settings reloaded", "changed", live)
}

// adopt takes over the settings that may change. Nothing that was counted is
// lost: the interval that has begun goes to the old exporter when it ends.
func (a *Agent) adopt(next Options) error {
	routes, err := route.NewServices(route.Options{Patterns: next.Routes})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if err := a.moveTurn(next); err != nil {
		return err
	}
	o := a.live
	if exportChanged(o, next) {
		if !a.replaceExport {
			a.exportBefore, a.replaceExport = o, true
		}
		o.takeExport(next)
		a.names.chooseTags(o)
	}
	if !slices.Equal(o.Routes, next.Routes) {
		routes.Continue(a.routes)
		a.routes, o.Routes = routes, next.Routes
	}
	now := a.clock.Now()
	if o.Interval != next.Interval {
		o.Interval, a.nextFlush = next.Interval, now+uint64(next.Interval)
	}
	if o.LogInterval != next.LogInterval {
		o.LogInterval, a.nextLog = next.LogInterval, now+uint64(next.LogInterval)
	}
	a.shutdownTimeout.Store(int64(next.ShutdownTimeout))
	a.live = o
	return nil
}
