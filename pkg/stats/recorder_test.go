// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"probe/pkg/events"
)

// get is a finished request as the pipeline delivers it.
func get(route string, status uint16, d time.Duration) *events.Request {
	outcome := events.OutcomeOK
	if status >= 500 {
		outcome = events.OutcomeError
	}
	return &events.Request{
		Role: events.RoleServer, Outcome: outcome, Method: []byte("GET"),
		Service: "shop", Route: route, Status: status,
		TTFB: d / 2, Duration: d, RequestBytes: 100, ResponseBytes: 1000,
		Wait: events.Wait{Accept: 1, Socket: 2, Known: true},
	}
}

// Requests from two places are two series, in the order of the places.
func TestOriginTellsSeriesApart(t *testing.T) {
	r := New(Options{Now: func() time.Duration { return 0 }})
	for _, pod := range []string{"shop-1", "shop-0", "shop-1"} {
		q := &events.Request{Conn: &events.Conn{}, Service: "shop", Tags: events.Origin{Pod: pod}.Key()}
		r.Record(q)
	}
	got := map[string]uint64{}
	last := ""
	for _, s := range r.Flush().Series {
		pod := s.Key.Origin.Origin().Pod
		got[pod] = s.Requests
		if pod < last {
			t.Errorf("%s after %s", pod, last)
		}
		last = pod
	}
	if diff := cmp.Diff(map[string]uint64{"shop-0": 1, "shop-1": 2}, got); diff != "" {
		t.Errorf("requests by pod (-want +got):\n%s", diff)
	}
}

func TestRecordFillsOneSeries(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	r.Record(get("/a", 200, 10))
	r.Record(get("/a", 200, 30))
	noStart := get("/a", 200, 99)
	noStart.Flags = events.FlagNoRequest
	noStart.Wait.Known = false
	r.Record(noStart)
	aborted := get("/a", 200, 20)
	aborted.Outcome = events.OutcomeAborted
	aborted.TTFB = 0
	r.Record(aborted)
	pending := get("/a", 200, 70)
	pending.Outcome = events.OutcomeInProgress
	r.Record(pending)

	want := []Series{{
		Key: Key{Service: "shop", Method: "GET", Route: "/a", Role: events.RoleServer, Status: 200},
		Counters: Counters{
			Requests: 4, Errors: 1, RequestBytes: 400, ResponseBytes: 4000,
			Outcomes: [NumOutcomes]uint64{events.OutcomeOK: 3, events.OutcomeAborted: 1},
		},
		Latency: HistogramSummary{Count: 3, Min: 10, Max: 30, Sum: 60, P50: 20, P90: 30, P99: 30, P999: 30},
		Samples: Samples{
			Duration:   []time.Duration{10, 30, 20},
			TTFB:       []time.Duration{5, 15},
			WaitAccept: []time.Duration{1, 1, 1},
			WaitSocket: []time.Duration{2, 2, 2},
			Every:      1,
		},
	}}
	s := r.Flush()
	if diff := cmp.Diff(want, s.Series); diff != "" {
		t.Error(diff)
	}
	if got := r.Totals(); got.InProgress != 1 || got.ByRole[events.RoleServer].Requests != 4 {
		t.Errorf("totals = %+v", got)
	}
	if s := r.Flush(); len(s.Series) != 0 {
		t.Errorf("the next interval is not empty: %+v", s.Series)
	}
}

// Parts that were 0 throughout the interval are not there; requests that were
// not measured are in none.
func TestPartsOfTime(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	measured := func(cpu, disk time.Duration) *events.Request {
		q := get("/a", 200, 100)
		q.Times.Attribution = events.AttributionThread
		q.Times.Part[events.PartCPU], q.Times.Part[events.PartDisk] = cpu, disk
		return q
	}
	r.Record(measured(60, 0))
	r.Record(get("/a", 200, 100))
	r.Record(measured(0, 40))
	var want [events.NumParts][]time.Duration
	want[events.PartCPU], want[events.PartDisk] = []time.Duration{60, 0}, []time.Duration{0, 40}
	if diff := cmp.Diff(want, r.Flush().Series[0].Samples.Parts); diff != "" {
		t.Error(diff)
	}
	r.Record(get("/a", 200, 100))
	if diff := cmp.Diff([events.NumParts][]time.Duration{}, r.Flush().Series[0].Samples.Parts); diff != "" {
		t.Error(diff)
	}
}

func TestRequestsOutOfRangeAreCounted(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	r.Record(&events.Request{Role: 9})
	r.Record(&events.Request{Outcome: 77})
	if got := r.Totals().Invalid; got != 2 {
		t.Errorf("invalid = %d, want 2", got)
	}
	if s := r.Flush(); len(s.Series) != 0 {
		t.Errorf("series = %+v", s.Series)
	}
}

func TestMethodsAreBounded(t *testing.T) {
	t.Parallel()
	for _, name := range methodNames[2:] {
		if got := methodOf([]byte(name)).String(); got != name {
			t.Errorf("method %s = %s", name, got)
		}
	}
	for in, want := range map[string]string{
		"": MethodUnknown, "get": MethodOther, "BREW": MethodOther, "GET ": MethodOther,
		MethodUnknown: MethodOther, strings.Repeat("A", 9000): MethodOther,
	} {
		if got := methodOf([]byte(in)).String(); got != want {
			t.Errorf("method %.20q = %s, want %s", in, got, want)
		}
	}
}

func TestRecordKeepsNothingBorrowed(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	q := get("/a", 200, 1)
	r.Record(q)
	copy(q.Method, "XXX")
	if got := r.Flush().Series[0].Method; got != "GET" {
		t.Errorf("method = %q after the caller reused its buffer", got)
	}
}

func TestSeriesAreBoundedPerRole(t *testing.T) {
	t.Parallel()
	r := New(Options{MaxSeries: 3, IdleIntervals: 2})
	for i := range 10 {
		q := get(fmt.Sprintf("/%d", i), 200, 1)
		r.Record(q)
		q.Role = events.RoleClient
		r.Record(q)
	}
	s := r.Flush()
	type row struct {
		Role   events.Role
		Route  string
		Method string
		N      uint64
	}
	var got []row
	for _, one := range s.Series {
		got = append(got, row{one.Role, one.Route, one.Method, one.Requests})
	}
	want := []row{
		{events.RoleServer, "/0", "GET", 1},
		{events.RoleServer, "/1", "GET", 1},
		{events.RoleServer, Other, Other, 8},
		{events.RoleClient, "/0", "GET", 1},
		{events.RoleClient, Other, Other, 9},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := r.Totals().Overflowed; n != 17 {
		t.Errorf("overflowed = %d, want 17", n)
	}

	// Known keys still find their series when the table is full, and idle ones
	// make room again.
	r.Record(get("/0", 200, 1))
	if s := r.Flush(); s.Series[0].Route != "/0" || s.ActiveSeries != 5 {
		t.Errorf("a known key overflowed: %+v", s.Series)
	}
	if s := r.Flush(); s.ActiveSeries != 1 {
		t.Errorf("active series = %d, want 1: idle ones stay", s.ActiveSeries)
	}
	r.Record(get("/new", 200, 1))
	if s := r.Flush(); s.Series[0].Route != "/new" {
		t.Errorf("no room after idle series went: %+v", s.Series)
	}
	if got := r.Totals(); got.SeriesCreated != 4 || got.SeriesDropped != 3 {
		t.Errorf("created %d and dropped %d series, want 4 and 3", got.SeriesCreated, got.SeriesDropped)
	}
}

// One service cannot take all series; what it has no room for is counted.
func TestSeriesAreBoundedPerService(t *testing.T) {
	t.Parallel()
	r := New(Options{MaxSeries: 8, IdleIntervals: 1})
	record := func(service string, n int) {
		for i := range n {
			q := get(fmt.Sprintf("/%d", i), 200, 1)
			q.Service = service
			r.Record(q)
		}
	}
	byService := func() map[string]int {
		n := map[string]int{}
		for _, one := range r.Flush().Series {
			n[one.Service]++
		}
		return n
	}
	record("many", 20)
	record("few", 2)
	if diff := cmp.Diff(map[string]int{"many": 6, "few": 2, Other: 1}, byService()); diff != "" {
		t.Errorf("series of each service (-want +got):\n%s", diff)
	}
	if got := r.Totals().Overflowed; got != 14 {
		t.Errorf("%d requests overflowed, want 14", got)
	}
	byService() // all are dropped
	record("many", 3)
	if diff := cmp.Diff(map[string]int{"many": 3}, byService()); diff != "" {
		t.Errorf("series after the idle ones went (-want +got):\n%s", diff)
	}
	byService()
	if len(r.byService) != 0 {
		t.Errorf("%v remembered without a series", r.byService)
	}
}

func TestSnapshotsAddUpToTotals(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := New(Options{MaxSeries: 4, SamplesPerSeries: 4, IdleIntervals: 1})
		var flushed, totals Counters
		collect := func(c *Counters) { addCounters(&flushed, c) }
		n := rapid.IntRange(0, 200).Draw(t, "steps")
		for range n {
			if rapid.IntRange(0, 9).Draw(t, "flush") == 0 {
				for _, s := range r.Flush().Series {
					collect(&s.Counters)
				}
				continue
			}
			r.Record(&events.Request{
				Role:    events.Role(rapid.IntRange(0, NumRoles-1).Draw(t, "role")),
				Outcome: events.Outcome(rapid.IntRange(0, NumOutcomes-1).Draw(t, "outcome")),
				Status:  rapid.Uint16Range(0, 5).Draw(t, "status"), RequestBytes: 3, ResponseBytes: 5,
			})
		}
		for _, s := range r.Flush().Series {
			collect(&s.Counters)
		}
		for _, c := range r.Totals().ByRole {
			addCounters(&totals, &c)
		}
		if diff := cmp.Diff(totals, flushed); diff != "" {
			t.Fatal(diff)
		}
	})
}

func addCounters(sum, c *Counters) {
	sum.Requests += c.Requests
	sum.Errors += c.Errors
	sum.RequestBytes += c.RequestBytes
	sum.ResponseBytes += c.ResponseBytes
	for i := range c.Outcomes {
		sum.Outcomes[i] += c.Outcomes[i]
	}
}

func TestConcurrentRecordAndFlush(t *testing.T) {
	t.Parallel()
	r := New(Options{MaxSeries: 50})
	const workers, each = 4, 2000
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				r.Record(get(fmt.Sprintf("/%d", i%60), uint16(200+w), 1000))
				r.SetSelf("x", uint64(i))
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var sum uint64
	add := func() {
		for _, s := range r.Flush().Series {
			sum += s.Requests
		}
	}
	for running := true; running; add() {
		select {
		case <-done:
			running = false
		default:
		}
	}
	if sum != workers*each {
		t.Errorf("%d requests in all snapshots, want %d", sum, workers*each)
	}
}

func TestFlushIsSorted(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	for _, route := range []string{"/b", "/a", "/c"} {
		for _, status := range []uint16{500, 200} {
			q := get(route, status, 1)
			r.Record(q)
			q.Service = "auth"
			r.Record(q)
		}
	}
	checkSorted(t, r.Flush(), 12)
	// A new series between the known ones.
	for _, route := range []string{"/c", "/b2", "/a"} {
		r.Record(get(route, 200, 1))
	}
	checkSorted(t, r.Flush(), 3)
}

func checkSorted(t *testing.T, s *Snapshot, want int) {
	t.Helper()
	for i := 1; i < len(s.Series); i++ {
		if s.Series[i-1].Key.Compare(s.Series[i].Key) >= 0 {
			t.Errorf("series %d and %d are out of order", i-1, i)
		}
	}
	if len(s.Series) != want {
		t.Errorf("%d series, want %d", len(s.Series), want)
	}
}

func TestOnlyIntervalsInARowMakeASeriesIdle(t *testing.T) {
	t.Parallel()
	r := New(Options{IdleIntervals: 2})
	for range 5 {
		r.Record(get("/", 200, 1))
		r.Flush()
		r.Flush()
	}
	if got := r.Totals(); got.SeriesCreated != 1 || got.SeriesDropped != 0 {
		t.Errorf("created %d, dropped %d, want 1 and 0", got.SeriesCreated, got.SeriesDropped)
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	r := New(Options{})
	requests := load(100)
	var s Snapshot
	for range 3 {
		for _, q := range requests {
			for range 200 {
				r.Record(q)
			}
		}
		r.FlushInto(&s)
	}
	i := 0
	if n := testing.AllocsPerRun(20000, func() { r.Record(requests[i%len(requests)]); i++ }); n != 0 {
		t.Errorf("Record allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { r.Record(requests[0]); r.FlushInto(&s) }); n != 0 {
		t.Errorf("FlushInto allocates %v times", n)
	}
}

// A remembered place is the series of the request for as long as there is one; the
// overflow series is not remembered, and what it takes is counted.
func TestRecordAt(t *testing.T) {
	t.Parallel()
	r := New(Options{MaxSeries: 2, IdleIntervals: 1})
	var a, b, c Place
	requests := func() map[string]uint64 {
		n := map[string]uint64{}
		for _, one := range r.Flush().Series {
			n[one.Route] = one.Requests
		}
		return n
	}
	for range 3 {
		r.RecordAt(get("/a", 200, 1), &a)
		r.RecordAt(get("/b", 200, 1), &b)
		r.RecordAt(get("/c", 200, 1), &c)
	}
	r.Record(get("/a", 200, 1))
	if diff := cmp.Diff(map[string]uint64{"/a": 4, "/b": 3, Other: 3}, requests()); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if n := r.Totals().Overflowed; n != 3 {
		t.Errorf("%d requests overflowed, want 3", n)
	}
	requests() // all are dropped
	r.RecordAt(get("/c", 200, 1), &c)
	r.RecordAt(get("/a", 200, 1), &a)
	if diff := cmp.Diff(map[string]uint64{"/a": 1, "/c": 1}, requests()); diff != "" {
		t.Errorf("series after the idle ones went (-want +got):\n%s", diff)
	}
}

// One service has no more series than its limit, and room again when one of
// them is dropped; what a service that is gone had is forgotten.
func TestServiceLimit(t *testing.T) {
	t.Parallel()
	r := New(Options{MaxServiceSeries: 2, IdleIntervals: 1})
	overflowed := func(routes ...string) uint64 {
		before := r.Totals().Overflowed
		for _, route := range routes {
			r.Record(get(route, 200, time.Millisecond))
		}
		return r.Totals().Overflowed - before
	}
	if n := overflowed("/a", "/b", "/c", "/a"); n != 1 {
		t.Errorf("%d requests of three series in the overflow series, want 1", n)
	}
	r.Flush()
	if n := overflowed("/a"); n != 0 {
		t.Errorf("%d requests of a known series in the overflow series", n)
	}
	r.Flush() // drops /b
	if n := overflowed("/a", "/c", "/d"); n != 1 {
		t.Errorf("%d requests in the overflow series after one of two series has left, want 1", n)
	}
	for range 3 {
		r.Flush()
	}
	if len(r.series) != 0 || len(r.byService) != 0 {
		t.Errorf("%d series and %d services are left", len(r.series), len(r.byService))
	}
}
