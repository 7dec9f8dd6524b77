// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"probe/pkg/events"
)

// drawRequest makes any request that Record counts.
func drawRequest(t *rapid.T) *events.Request {
	q := get(rapid.SampledFrom([]string{"/", "/a", "/b"}).Draw(t, "route"),
		rapid.SampledFrom([]uint16{0, 200, 204, 404, 503, 999}).Draw(t, "status"),
		time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "duration")))
	q.Role = events.Role(rapid.IntRange(0, NumRoles-1).Draw(t, "role"))
	q.Outcome = events.Outcome(rapid.IntRange(0, NumOutcomes-1).Draw(t, "outcome"))
	q.RequestBytes = uint64(rapid.IntRange(0, 1000).Draw(t, "request bytes"))
	q.ResponseBytes = uint64(rapid.IntRange(0, 1000).Draw(t, "response bytes"))
	return q
}

// Whatever is recorded, and wherever the program is restarted in between: the
// figures are those of a program that was never restarted.
func TestRestartChangesNoFigure(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clock := &fakeClock{}
		whole, parts := New(Options{Now: clock.Now}), New(Options{Now: clock.Now})
		whole.Start()
		parts.Start()
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			clock.now += time.Duration(rapid.IntRange(0, 1000).Draw(t, "pause"))
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				parts = restart(t, parts, clock)
			case 1:
				whole.Reset()
				parts.Reset()
			case 2:
				for _, r := range []*Recorder{whole, parts} {
					r.RequestStart(1)
					r.RequestStart(1)
					r.RequestFailure(1)
				}
			default:
				q := drawRequest(t)
				whole.Record(q)
				parts.Record(q)
			}
			if diff := cmp.Diff(whole.Calculate(), parts.Calculate()); diff != "" {
				t.Fatalf("Calculate (-never restarted +restarted):\n%s", diff)
			}
			if diff := cmp.Diff(whole.Lifetime(), parts.Lifetime()); diff != "" {
				t.Fatalf("Lifetime (-never restarted +restarted):\n%s", diff)
			}
		}
	})
}

func restart(t *rapid.T, r *Recorder, clock *fakeClock) *Recorder {
	written, err := json.Marshal(r.State())
	if err != nil {
		t.Fatal(err)
	}
	var read State
	if err := json.Unmarshal(written, &read); err != nil {
		t.Fatal(err)
	}
	next := New(Options{Now: clock.Now})
	next.Start()
	if err := next.Restore(read); err != nil {
		t.Fatalf("%v: %s", err, written)
	}
	return next
}

// The first interval after a restart exports what happened in it, not history.
func TestRestoreExportsNothing(t *testing.T) {
	t.Parallel()
	before := New(Options{})
	before.Record(get("/", 200, time.Millisecond))
	r := New(Options{})
	if err := r.Restore(before.State()); err != nil {
		t.Fatal(err)
	}
	snapshot := r.Flush()
	if len(snapshot.Series) != 0 {
		t.Errorf("series %v", snapshot.Series)
	}
	for _, self := range snapshot.Self {
		if self.Delta != 0 {
			t.Errorf("%s: %d", self.Name, self.Delta)
		}
	}
	if got := r.Totals(); got != (Totals{}) {
		t.Errorf("totals %+v", got)
	}
	if got := r.Lifetime()[events.RoleServer].Requests; got != 1 {
		t.Errorf("%d requests remembered, want 1", got)
	}
}

// goodState is accepted; the tests below spoil it.
func goodState() State {
	r := New(Options{})
	for _, status := range []uint16{200, 503} {
		r.Record(get("/", status, 20*time.Millisecond))
	}
	return r.State()
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*State){
		"outcomes":          func(s *State) { s.ByRole[1].Outcomes[3]++ },
		"errors":            func(s *State) { s.ByRole[1].Errors = 3 },
		"timed":             func(s *State) { s.Finished.Timed = 3 },
		"sum":               func(s *State) { s.Failed.Sum = -1 },
		"latency count":     func(s *State) { s.Latency.Count++ },
		"latency less":      func(s *State) { s.Finished.Timed-- },
		"latency sum":       func(s *State) { s.Latency.Sum = -1 },
		"latency min":       func(s *State) { s.Latency.Min = s.Latency.Max + 1 },
		"negative min":      func(s *State) { s.Latency.Min = -1 },
		"bucket range":      func(s *State) { s.Latency.Buckets[0].Index = maxBlocks * subBuckets },
		"bucket empty":      func(s *State) { s.Latency.Buckets[0].Count = 0 },
		"bucket overflow":   func(s *State) { s.Latency.Buckets = []BucketState{{1, math.MaxUint64}, {2, 3}} },
		"bucket order":      func(s *State) { s.Latency.Buckets = []BucketState{{2, 1}, {2, 1}} },
		"code range":        func(s *State) { s.Codes[0].Code = 1000 },
		"negative code":     func(s *State) { s.Codes[0].Code = -1 },
		"code order":        func(s *State) { s.Codes[0].Code = s.Codes[1].Code },
		"retries":           func(s *State) { s.Retries = make([]uint64, MaxRetries+2) },
		"negative run time": func(s *State) { s.Runtime = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := goodState()
			spoil(&state)
			r := New(Options{})
			if err := r.Restore(state); err == nil {
				t.Error("accepted")
			}
			if diff := cmp.Diff(New(Options{}).State(), r.State()); diff != "" {
				t.Errorf("the Recorder changed:\n%s", diff)
			}
		})
	}
	if err := New(Options{}).Restore(goodState()); err != nil {
		t.Errorf("good state: %v", err)
	}
}

// Sums stop at the largest duration and stay valid.
func TestSumsSaturate(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	for range 3 {
		r.Record(get("/", 200, math.MaxInt64))
	}
	state := r.State()
	if state.Finished.Sum != math.MaxInt64 || state.Latency.Sum != math.MaxInt64 {
		t.Errorf("sums %d and %d, want the largest", state.Finished.Sum, state.Latency.Sum)
	}
	next := New(Options{})
	for range 2 {
		if err := next.Restore(state); err != nil {
			t.Fatal(err)
		}
	}
	if got := next.State(); got.Finished.Count != 6 || got.Finished.Sum != math.MaxInt64 || got.Latency.Sum != math.MaxInt64 {
		t.Errorf("%+v", got)
	}
}

// Bytes from a disk: what Restore accepts comes out again as it went in.
func FuzzRestore(f *testing.F) {
	good, err := json.Marshal(goodState())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"latency":{"count":1,"buckets":[{"i":1,"n":1}]},"finished":{"count":1,"timed":1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var state State
		if json.Unmarshal(text, &state) != nil {
			return
		}
		r := New(Options{})
		empty := r.State()
		if r.Restore(state) != nil {
			if diff := cmp.Diff(empty, r.State()); diff != "" {
				t.Errorf("refused, but the Recorder changed:\n%s", diff)
			}
			return
		}
		r.Calculate()
		again := New(Options{})
		if err := again.Restore(r.State()); err != nil {
			t.Fatalf("own state refused: %v", err)
		}
		if diff := cmp.Diff(r.State(), again.State()); diff != "" {
			t.Errorf("state after one and two restarts:\n%s", diff)
		}
	})
}
