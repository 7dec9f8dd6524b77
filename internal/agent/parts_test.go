// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/export"
	"probe/pkg/stats"
)

const second = uint64(time.Second)

// The watchdog names what is stuck, once, and says when it is over.
func TestWatchdogNamesThePart(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	p := newParts()
	w := newWatchdog(p, nil, log, &notifier{log: log})
	start := uint64(1000 * second)
	w.lastNS = start
	p.pipeline.begin(start)
	p.enter(stageSweep)
	p.exporter.begin(start)

	said := func(at uint64) []string {
		text.Reset()
		w.check(start + at*second)
		var lines []string
		for line := range strings.Lines(text.String()) {
			_, line, _ = strings.Cut(strings.TrimSpace(line), "msg=")
			lines = append(lines, line)
		}
		return lines
	}
	steps := []struct {
		at   uint64
		do   func()
		want []string
	}{
		{5, nil, nil},
		{10, nil, nil}, // at the limit, not beyond
		{15, nil, []string{`"a part is stuck" part=sweep for=15s`}},
		{20, nil, nil}, // told already
		{25, nil, nil},
		{31, nil, []string{`"a part is stuck" part=exporter for=31s`}},
		{35, func() { p.pipeline.begin(start + 34*second) }, []string{`"a part gets on again" part=sweep`}},
		{40, p.exporter.end, []string{`"a part gets on again" part=exporter`}},
		// The whole process stood still: nobody is to blame, unless it goes on.
		{90, nil, nil},
		{95, nil, []string{`"a part is stuck" part=sweep for=1m1s`}},
	}
	for _, s := range steps {
		if s.do != nil {
			s.do()
		}
		if diff := cmp.Diff(s.want, said(s.at)); diff != "" {
			t.Errorf("at %d s (-want +got):\n%s", s.at, diff)
		}
	}
}

func TestWatchdogTick(t *testing.T) {
	for _, test := range []struct{ wanted, tick time.Duration }{
		{0, watchdogTick}, {time.Minute, watchdogTick}, {6 * time.Second, 2 * time.Second}, {time.Second, minTick},
	} {
		w := newWatchdog(newParts(), nil, nil, &notifier{watchdog: test.wanted})
		if w.tick != test.tick {
			t.Errorf("service manager wants a sign every %v: tick %v, want %v", test.wanted, w.tick, test.tick)
		}
	}
}

// scriptedExporter does with each snapshot what its script says.
type scriptedExporter struct {
	script chan func() error
	closed chan struct{}
	sent   uint64 // lines
}

func newScripted(steps ...func() error) *scriptedExporter {
	x := &scriptedExporter{script: make(chan func() error, len(steps)), closed: make(chan struct{})}
	for _, s := range steps {
		x.script <- s
	}
	return x
}

func (x *scriptedExporter) Export(context.Context, *stats.Snapshot) error { return (<-x.script)() }
func (x *scriptedExporter) Counters() export.Counters                     { return export.Counters{LinesSent: x.sent} }
func (x *scriptedExporter) Close(context.Context) error                   { close(x.closed); return nil }

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
	var text lockedLog
	log := slog.New(slog.NewTextHandler(&text, nil))
	p := newParts()
	d := newDelivery(&p.exporter, func() uint64 { return second }, log)
	supervised(t, p, log, d)
	x := newScripted(
		func() error { panic("at the disco") },
		func() error { return errors.New("unreachable") },
		func() error { return nil },
	)
	for i, want := range []struct {
		connected bool
		err       string
	}{{false, ""}, {false, "unreachable"}, {true, ""}} {
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

// Each part has failures of its own: one that fails all the time waits, the
// others are restarted at once.
func TestBackoffIsPerPart(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	p := newParts()
	failing := &failingService{name: "endpoint"}
	d := newDelivery(&p.exporter, func() uint64 { return second }, log)
	ctx, cancel := context.WithCancel(t.Context())
	done := newTree(log, p, failing, d).ServeBackground(ctx)
	defer func() { cancel(); <-done }()
	for failing.count() <= failureThreshold {
		time.Sleep(time.Millisecond)
	}
	for range 2 {
		d.start(job{export: newScripted(func() error { panic("again") }), snapshot: &stats.Snapshot{}})
		<-d.whenIdle()
	}
	d.start(job{export: newScripted(func() error { return nil }), snapshot: &stats.Snapshot{}})
	<-d.whenIdle()
	if got := failing.count(); got > failureThreshold+2 {
		t.Errorf("%d starts of a service that fails at once: no back-off", got)
	}
	if got := p.endpoint.restarts.Load(); got < failureThreshold {
		t.Errorf("%d restarts counted, want at least %d", got, failureThreshold)
	}
}

type failingService struct {
	name string
	mu   sync.Mutex
	n    int
}

func (s *failingService) String() string { return s.name }

func (s *failingService) Serve(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return errors.New("address in use")
}

func (s *failingService) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func TestAsk(t *testing.T) {
	m := newMailbox()
	stop := make(chan struct{})
	var rounds sync.WaitGroup
	rounds.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				m.answerAll()
			}
		}
	})
	if got, err := ask(t.Context(), m, func() int { return 7 }); got != 7 || err != nil {
		t.Errorf("%d, %v, want 7", got, err)
	}
	close(stop)
	rounds.Wait()
	// Nobody looks into the box any more: it fills up, and nobody waits for ever.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for range mailboxSize + 2 {
		if _, err := ask(ctx, m, func() int { return 7 }); !errors.Is(err, errNoAnswer) {
			t.Errorf("%v, want no answer", err)
		}
	}
}

// lockedLog is written by several goroutines.
type lockedLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedLog) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedLog) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
