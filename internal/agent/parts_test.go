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
