// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"probe/pkg/export"
	"probe/pkg/stats"
)

// exporter is what the agent needs of the one in pkg/export.
type exporter interface {
	// Export sends a snapshot, or keeps it to be sent; the error is for the log.
	Export(ctx context.Context, s *stats.Snapshot) error
	Counters() export.Counters
	Status() export.Status
	// Close sends what is left until ctx ends.
	Close(ctx context.Context) error
}

// newExporter makes an exporter; it connects to nothing yet.
func (a *Agent) newExporter(o Options) (exporter, error) {
	eo, err := o.exportOptions(a.clock)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	x, err := export.New(eo)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// exportStatus is what is shown of the way to the statsd receiver.
type exportStatus struct {
	// Connected: what was sent last has arrived, as far as can be known.
	Connected bool `json:"connected"`
	// QueueBytes and QueueLines wait to be sent.
	QueueBytes int `json:"queue_bytes"`
	QueueLines int `json:"queue_lines"`
	// Reconnects since the start.
	Reconnects uint64 `json:"reconnects"`
	// LastSuccess is the time of the last delivery, CLOCK_MONOTONIC; 0: none.
	LastSuccess time.Duration `json:"last_success_ns"`
	// Err is the last failure, "" after a success.
	Err string `json:"error,omitempty"`

	// attempted is false as long as there was nothing to send.
	attempted bool
}

// working: connected, or nothing is lost for want of a connection yet.
func (s exportStatus) working() bool {
	return s.Connected || s.QueueLines > 0 || !s.attempted
}

// exportStatus is what the exporter in use says; any goroutine may ask.
func (a *Agent) exportStatus() exportStatus {
	x, attempted := a.deliver.inUse()
	if x == nil {
		return exportStatus{}
	}
	s := x.Status()
	return exportStatus{
		Connected: s.Connected, QueueBytes: s.QueueBytes, QueueLines: s.QueueLines, Reconnects: s.Reconnects,
		LastSuccess: s.LastSuccess, Err: s.Err, attempted: attempted,
	}
}

// exportChanged reports whether b needs another exporter than a.
func exportChanged(a, b Options) bool {
	return a.Statsd != b.Statsd || a.Dialect != b.Dialect || a.Prefix != b.Prefix || !reflect.DeepEqual(a.Export, b.Export)
}

// takeExport takes over from b what exportChanged looks at.
func (o *Options) takeExport(b Options) {
	o.Statsd, o.Dialect, o.Prefix, o.Export = b.Statsd, b.Dialect, b.Prefix, b.Export
}

// replaceTimeout bounds what an exporter that is replaced may take to send what it
// has queued.
const replaceTimeout = 5 * time.Second

// replacer returns what a delivery does after the last interval of an exporter:
// it is closed, which sends what it has queued or leaves it in its spool, and
// only then another one made, which may want the same spool. If the new
// settings fail after all, those before are used again.
func (a *Agent) replacer(old exporter, before, next Options) func(context.Context) exporter {
	return func(ctx context.Context) exporter {
		ctx, cancel := context.WithTimeout(ctx, replaceTimeout)
		defer cancel()
		if err := old.Close(ctx); err != nil {
			a.log.Warn("previous statsd target", "error", err)
		}
		for i, o := range []Options{next, before} {
			x, err := a.newExporter(o)
			if err == nil {
				if i > 0 {
					a.fellBack.Store(&o)
				}
				return x
			}
			a.log.Error("statsd settings not usable", "statsd", o.Statsd, "error", err)
		}
		return nil
	}
}

// takeReplacement goes on with the exporter that a delivery has made, if any.
// What the one before has counted stays in the sums. If none could be made, the
// next delivery tries again.
func (a *Agent) takeReplacement() {
	next := a.deliver.takeNext()
	failed := a.replacing && next == nil
	a.replacing = false
	if failed {
		a.replaceExport = true
	}
	if next == nil {
		return
	}
	a.export.Counters().Report(func(name string, value uint64) { a.exported[name] += value })
	a.useExporter(next)
	if used := a.fellBack.Swap(nil); used != nil {
		a.settle(*used)
	}
	a.endOldTurns()
}

// settle notes that the settings before are in use again, so that a reload tries
// the new ones again once what was wrong with them is repaired.
func (a *Agent) settle(used Options) {
	if a.replaceExport { // there are newer ones already
		a.exportBefore = used
		return
	}
	a.live.takeExport(used)
	a.names.chooseTags(a.live)
}

// useExporter lets next be the one that gets the intervals and is shown.
func (a *Agent) useExporter(next exporter) {
	a.export = next
	a.deliver.use(next)
}

// reportExport hands over the counters of all exporters since the start.
func (a *Agent) reportExport(add func(name string, value uint64)) {
	a.export.Counters().Report(func(name string, value uint64) { add(name, value+a.exported[name]) })
}

// lastDelivery sends what is left, after the delivery that may be on its way.
func (a *Agent) lastDelivery() error {
	// The rest of the time is for what comes before and after.
	limit := time.Duration(a.shutdownTimeout.Load()) * 3 / 4
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	defer a.recount()
	select {
	case <-a.deliver.whenIdle():
	case <-ctx.Done():
		a.deliver.lost.Add(1)
		a.memory.add(a.flushStats()) // the totals have it
		return errors.New("last interval not delivered: the delivery before it does not end")
	}
	a.takeReplacement()
	last := a.flushStats()
	a.memory.add(last)
	err := a.export.Export(ctx, last)
	a.deliver.note()
	if err != nil && !a.writesItself() {
		a.log.Warn("last interval not delivered", "error", err)
		err = nil
	}
	return errors.Join(err, a.export.Close(ctx))
}

// writesItself: lines go to a file or to stdout, and are lost where that fails.
// A queue tells what it has lost when it is closed; of packets nobody knows
// whether they arrive, and that a receiver is away is no failure of the agent.
func (a *Agent) writesItself() bool {
	o := a.live
	if a.replaceExport {
		o = a.exportBefore
	}
	target, _, err := o.Receiver()
	return err == nil && (target == export.Target{} || target.Scheme == export.Stdout || target.Scheme == export.File)
}

// recount brings what the last delivery has counted into the last log line: no
// interval follows that could tell.
func (a *Agent) recount() {
	late := map[string]uint64{"agent.intervals_lost": a.deliver.lost.Load()}
	a.reportExport(func(name string, value uint64) { late[name] = value })
	for i, c := range a.counters {
		if value, is := late[c.Name]; is {
			a.counters[i].Value = value
		}
	}
}
