// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"probe/internal/testutil"
	"probe/pkg/export"
	"probe/pkg/stats"
)

// scriptedExporter does with each snapshot what its script says.
type scriptedExporter struct {
	script chan func() error
	closed chan struct{}
	sent   uint64 // lines
	last   error
}

func newScripted(steps ...func() error) *scriptedExporter {
	x := &scriptedExporter{script: make(chan func() error, len(steps)), closed: make(chan struct{})}
	for _, s := range steps {
		x.script <- s
	}
	return x
}

func (x *scriptedExporter) Export(context.Context, *stats.Snapshot) error {
	x.last = errors.New("panicked")
	x.last = (<-x.script)()
	return x.last
}

func (x *scriptedExporter) Status() export.Status {
	if x.last != nil {
		return export.Status{Err: x.last.Error()}
	}
	return export.Status{Connected: true}
}

func (x *scriptedExporter) Counters() export.Counters   { return export.Counters{LinesSent: x.sent} }
func (x *scriptedExporter) Close(context.Context) error { close(x.closed); return nil }

// supervised runs services until the test ends.
func supervised(t *testing.T, p *parts, log *slog.Logger, d *delivery) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := newTree(log, p, d).ServeBackground(ctx)
	t.Cleanup(func() { cancel(); <-done })
}

// An exporter that panics is started again: the interval it had is counted as
// lost, the next one arrives.
func TestExporterIsRestarted(t *testing.T) {
	var text testutil.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	p := newParts()
	d := newDelivery(&p.exporter, func() uint64 { return second }, log)
	supervised(t, p, log, d)
	x := newScripted(
		func() error { panic("at the disco") },
		func() error { return errors.New("unreachable") },
		func() error { return nil },
	)
	d.use(x)
	for i, want := range []struct {
		connected bool
		err       string
	}{{false, "panicked"}, {false, "unreachable"}, {true, ""}} {
		j := job{export: x, snapshot: &stats.Snapshot{}}
		if i == 2 {
			j.replace = func(ctx context.Context) exporter { x.Close(ctx); return newScripted() }
		}
		d.start(j)
		<-d.whenIdle()
		if next := d.takeNext(); (next != nil) != (i == 2) || d.takeNext() != nil {
			t.Errorf("delivery %d: replaced by %v", i, next)
		}
		a := &Agent{deliver: d}
		if s := a.exportStatus(); s.Connected != want.connected || s.Err != want.err {
			t.Errorf("delivery %d: %+v, want %+v", i, s, want)
		}
	}
	<-x.closed
	for range 500 { // the supervisor tells when it gets to it
		if strings.Contains(text.String(), "a part panicked") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if d.lost.Load() != 1 || p.exporter.restarts.Load() != 1 {
		t.Errorf("%d intervals lost and %d restarts, want 1 and 1", d.lost.Load(), p.exporter.restarts.Load())
	}
	for _, want := range []string{"a part panicked", "part=exporter", "at the disco"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("log without %q:\n%s", want, text.String())
		}
	}
}

// New settings come into use also when the last delivery of the old ones panics.
func TestReplacedAfterPanic(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	p := newParts()
	d := newDelivery(&p.exporter, func() uint64 { return second }, log)
	supervised(t, p, log, d)
	next := newScripted()
	d.start(job{
		export: newScripted(func() error { panic("at the last") }), snapshot: &stats.Snapshot{},
		replace: func(context.Context) exporter { return next },
	})
	<-d.whenIdle()
	if got := d.takeNext(); got != exporter(next) {
		t.Errorf("replaced by %v, want the next one", got)
	}
}

// What an exporter has counted outlives its replacement.
func TestReplacementKeepsCounters(t *testing.T) {
	p := newParts()
	a := &Agent{deliver: newDelivery(&p.exporter, nil, nil), exported: map[string]uint64{}}
	first, second, third := newScripted(), newScripted(), newScripted()
	first.sent, second.sent = 5, 2
	a.export = first
	sum := func() (lines uint64) {
		a.takeReplacement()
		a.reportExport(func(name string, value uint64) {
			if name == "export.lines_sent" {
				lines = value
			}
		})
		return lines
	}
	for _, step := range []struct {
		next exporter
		want uint64
	}{{nil, 5}, {second, 7}, {nil, 7}, {third, 7}} {
		a.deliver.next = step.next
		if got := sum(); got != step.want {
			t.Errorf("%d lines sent in all, want %d", got, step.want)
		}
	}
	third.sent = 1
	if got := sum(); got != 8 {
		t.Errorf("%d lines sent in all, want 8", got)
	}
}

// While one interval is on its way the delivery is busy, and only then.
func TestDeliveryIsBusy(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	p := newParts()
	d := newDelivery(&p.exporter, func() uint64 { return second }, log)
	supervised(t, p, log, d)
	if d.busy() {
		t.Error("busy before the first")
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	d.start(job{export: newScripted(func() error { close(entered); <-leave; return nil }), snapshot: &stats.Snapshot{}})
	<-entered
	if !d.busy() {
		t.Error("not busy during a delivery")
	}
	if _, stuck := p.exporter.stuckFor(second + uint64(deliveryLimit)); stuck {
		t.Error("stuck within the limit")
	}
	if _, stuck := p.exporter.stuckFor(second + uint64(deliveryLimit) + 1); !stuck {
		t.Error("not stuck beyond the limit")
	}
	close(leave)
	<-d.whenIdle()
	if d.busy() {
		t.Error("busy after the last")
	}
	if _, stuck := p.exporter.stuckFor(1000 * second); stuck {
		t.Error("stuck with nothing to do")
	}
}
