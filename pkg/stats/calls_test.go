// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
)

// fakeClock is moved by the test.
type fakeClock struct{ now time.Duration }

func (c *fakeClock) Now() time.Duration { return c.now }

func TestCalculateByID(t *testing.T) {
	t.Parallel()
	clock := &fakeClock{now: time.Hour}
	r := New(Options{Now: clock.Now})
	if r.Active() {
		t.Error("active before Start")
	}
	r.Start()
	for id := range uint64(3) { // 10, 20 and 30 ns, all finish
		r.RequestStart(id)
		clock.now += time.Duration(10 * (id + 1))
		r.RequestFinish(id)
		r.RegisterStatusCode(200)
	}
	r.RequestStart(7)
	clock.now += 1000
	r.RequestStart(7) // second attempt: only its time counts
	clock.now += 24
	r.RequestFailure(7)
	r.RegisterStatusCode(503)
	r.RegisterStatusCode(700)
	r.RegisterStatusCode(-4)
	r.RequestFinish(99)
	r.RequestStart(8)
	clock.now = time.Hour + 2*time.Minute
	r.Close()
	clock.now += time.Hour

	want := Summary{
		Finished: 3, Failed: 1, Open: 1, Retried: 1,
		AvgFinished: 20, AvgFailed: 24, FinishedPerMinute: 1.5, FailedPerMinute: 0.5,
		Runtime:        2 * time.Minute,
		Latency:        HistogramSummary{Count: 4, Min: 10, Max: 30, Sum: 84, P50: 20, P90: 30, P99: 30, P999: 30},
		StatusCodes:    []StatusCount{{0, 1}, {200, 3}, {503, 1}, {700, 1}},
		StatusClasses:  [6]uint64{0: 2, 2: 3, 5: 1},
		RetryHistogram: []uint64{3, 1},
	}
	if diff := cmp.Diff(want, r.Calculate()); diff != "" {
		t.Error(diff)
	}
	if got := r.Totals().IDsUnknown; got != 1 {
		t.Errorf("unknown ids = %d, want 1", got)
	}
	if r.Active() {
		t.Error("active after Close")
	}

	r.Start()
	clock.now += time.Minute / 2
	r.Start() // no effect
	clock.now += time.Minute / 2
	if got := r.Calculate().Runtime; got != 3*time.Minute {
		t.Errorf("runtime after another minute = %v, want 3m", got)
	}
	r.Reset()
	if diff := cmp.Diff(Summary{}, r.Calculate()); diff != "" {
		t.Errorf("after Reset: %s", diff)
	}
	if !r.Active() {
		t.Error("Reset stopped the Recorder")
	}
}

func TestCalculateCoversOneRole(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opt            Options
		finish, failed uint64
	}{
		"server is the default": {Options{}, 2, 1},
		"client":                {Options{SummaryRole: events.RoleClient}, 1, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := New(tt.opt)
			r.Record(get("/", 200, 1000))
			r.Record(get("/", 404, 3000))
			r.Record(get("/", 500, 9000))
			other := get("/", 302, 5000)
			other.Role = events.RoleClient
			r.Record(other)
			got := r.Calculate()
			if got.Finished != tt.finish || got.Failed != tt.failed {
				t.Errorf("finished %d, failed %d, want %d, %d", got.Finished, got.Failed, tt.finish, tt.failed)
			}
			if uint64(len(got.StatusCodes)) != tt.finish+tt.failed {
				t.Errorf("status codes = %v", got.StatusCodes)
			}
		})
	}
}

func TestUnknownDurationsDoNotLowerTheAverage(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	r.Record(get("/", 200, 1000))
	noStart := get("/", 200, 0)
	noStart.Flags = events.FlagNoRequest
	r.Record(noStart)
	if got := r.Calculate(); got.Finished != 2 || got.AvgFinished != 1000 {
		t.Errorf("finished %d, average %v, want 2, 1µs", got.Finished, got.AvgFinished)
	}
}

func TestOpenIDsAreBounded(t *testing.T) {
	t.Parallel()
	r := New(Options{MaxOpen: 2})
	for id := range uint64(5) {
		r.RequestStart(id)
	}
	r.RequestStart(0) // open already, not refused
	if open, refused := r.Calculate().Open, r.Totals().IDsRefused; open != 2 || refused != 3 {
		t.Errorf("open %d, refused %d, want 2, 3", open, refused)
	}
	r.RequestFinish(1)
	r.RequestStart(9)
	if got := r.Calculate().Open; got != 2 {
		t.Errorf("no room after an id ended: open = %d", got)
	}
}

func TestRetryHistogramIsBounded(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	for range 3 * MaxRetries {
		r.RequestStart(1)
	}
	r.RequestFinish(1)
	got := r.Calculate().RetryHistogram
	if len(got) != MaxRetries+1 || got[MaxRetries] != 1 {
		t.Errorf("retry histogram = %v", got)
	}
}

func TestLogAttrs(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	r.Record(get("/", 200, 2*time.Millisecond))
	r.Record(get("/", 503, 4*time.Millisecond))
	var line bytes.Buffer
	slog.New(slog.NewTextHandler(&line, nil)).LogAttrs(context.Background(), slog.LevelInfo, "requests", r.Calculate().LogAttrs()...)
	for _, want := range []string{
		"finished=1", "failed=1", "avg_finished=2ms", "avg_failed=4ms", "max=4ms", "total_duration=6ms", "status.2xx=1", "status.5xx=1",
	} {
		if !strings.Contains(line.String(), want) {
			t.Errorf("no %s in %s", want, &line)
		}
	}
}
