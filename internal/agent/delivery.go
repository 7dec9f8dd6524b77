// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"probe/pkg/export"
	"probe/pkg/stats"
)

// delivery hands one interval at a time to the exporter, beside the pipeline.
// It runs as a service: an exporter that panics is started again, and the
// interval it had is counted as lost.
type delivery struct {
	part       *part
	nowNS      func() uint64
	complaints complaints
	jobs       chan job

	// idle is closed while there is nothing to deliver. Only the pipeline
	// starts jobs; mu guards the rest.
	mu        sync.Mutex
	idle      chan struct{}
	attempted bool
	using     exporter // nil before the first
	next      exporter // that a job has made; nil: none

	lost atomic.Uint64 // intervals
}

// job is one interval for one exporter.
type job struct {
	export   exporter
	snapshot *stats.Snapshot
	// replace ends the exporter after the delivery and makes another one; nil:
	// it stays.
	replace func(context.Context) exporter
	done    chan struct{}
}

func newDelivery(p *part, nowNS func() uint64, log *slog.Logger) *delivery {
	idle := make(chan struct{})
	close(idle)
	return &delivery{part: p, nowNS: nowNS, complaints: complaints{log: log}, jobs: make(chan job, 1), idle: idle}
}

func (d *delivery) String() string { return d.part.name }

func (d *delivery) busy() bool {
	select {
	case <-d.whenIdle():
		return false
	default:
		return true
	}
}

func (d *delivery) whenIdle() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.idle
}

// start hands over a job. The delivery must not be busy.
func (d *delivery) start(j job) {
	j.done = make(chan struct{})
	d.mu.Lock()
	d.idle = j.done
	d.mu.Unlock()
	d.jobs <- j
}

// Serve delivers until ctx ends; then a delivery that still runs is cut short.
func (d *delivery) Serve(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case j := <-d.jobs:
			d.deliver(ctx, j)
		}
	}
}

func (d *delivery) deliver(ctx context.Context, j job) {
	d.part.begin(d.nowNS())
	delivered := false
	defer func() {
		if !delivered {
			d.lost.Add(1)
		}
		d.part.end()
		close(j.done)
	}()
	defer d.replace(ctx, j) // an exporter that panics is replaced, too
	err := j.export.Export(ctx, j.snapshot)
	delivered = !errors.Is(err, export.ErrClosed)
	d.note()
	d.complaints.note(j.export, err, d.nowNS())
}

func (d *delivery) replace(ctx context.Context, j job) {
	if j.replace == nil {
		return
	}
	next := j.replace(ctx)
	d.mu.Lock()
	d.next = next
	d.mu.Unlock()
}

// takeNext returns the exporter that a job has made, once.
func (d *delivery) takeNext() exporter {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.next
	d.next = nil
	return next
}

// use says which exporter is shown from now on.
func (d *delivery) use(x exporter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.using, d.attempted = x, false
}

// inUse returns it, and whether it has been given an interval.
func (d *delivery) inUse() (x exporter, attempted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.using, d.attempted
}

// note that an interval was handed over.
func (d *delivery) note() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempted = true
}
