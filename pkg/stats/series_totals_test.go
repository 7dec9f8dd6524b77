// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
)

func TestSeriesTotalsAddUpOverIntervalsAndRestarts(t *testing.T) {
	t.Parallel()
	r := New(Options{IdleIntervals: 1})
	totals := new(SeriesTotals)
	for interval := range 4 {
		for range 3 - interval%2 {
			r.Record(get("/a", 200, 10*time.Millisecond))
		}
		if interval == 2 {
			r.Record(get("/b", 503, time.Second))
		}
		totals.Add(r.Flush())
		totals = afterRestart(t, totals)
	}
	a, b := get("/a", 200, 0), get("/b", 503, 0)
	want := []SeriesTotal{
		{
			Key: Key{Service: a.Service, Method: "GET", Route: "/a", Role: events.RoleServer, Status: 200}, Requests: 10,
			RequestBytes: 10 * a.RequestBytes, ResponseBytes: 10 * a.ResponseBytes,
			Timed: 10, Duration: 100 * time.Millisecond, Max: 10 * time.Millisecond,
		},
		{
			Key: Key{Service: b.Service, Method: "GET", Route: "/b", Role: events.RoleServer, Status: 503}, Requests: 1,
			RequestBytes: b.RequestBytes, ResponseBytes: b.ResponseBytes, Timed: 1, Duration: time.Second, Max: time.Second,
		},
	}
	got := totals.List()
	want[1].Errors = got[1].Errors // by the outcome, which is not of interest here
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	totals.Reset()
	if got := totals.List(); len(got) != 0 {
		t.Errorf("after Reset: %v", got)
	}
}

func afterRestart(t *testing.T, totals *SeriesTotals) *SeriesTotals {
	t.Helper()
	text, err := json.Marshal(totals.List())
	if err != nil {
		t.Fatal(err)
	}
	var list []SeriesTotal
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	next := new(SeriesTotals)
	if err := next.Restore(list); err != nil {
		t.Fatal(err)
	}
	return next
}

// Beyond the limit series share a place; none of their requests is missing, and
// the list is accepted again.
func TestSeriesTotalsAreBounded(t *testing.T) {
	t.Parallel()
	const n = MaxSeriesTotals + 100
	r := New(Options{})
	for i := range n {
		q := get(fmt.Sprintf("/%d", i), 200, time.Millisecond)
		q.Service = fmt.Sprint("service", i%2)
		r.Record(q)
	}
	totals := new(SeriesTotals)
	snapshot := r.Flush()
	totals.Add(snapshot)
	totals.Add(snapshot)
	list := totals.List()
	var sum uint64
	for _, one := range list {
		sum += one.Requests
	}
	if len(list) != MaxSeriesTotals+1 || sum != 2*n || list[0].Route != Other || list[0].Requests != 200 {
		t.Errorf("%d series with %d requests, the first %+v", len(list), sum, list[0])
	}
	if diff := cmp.Diff(list, afterRestart(t, totals).List()); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
}

// Programs may have names that are no UTF-8, which JSON does not tell apart. The
// list is accepted all the same, and no request is missing.
func TestSeriesTotalsOfOddNames(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	for _, service := range []string{"shop\xff", "shop\xfe"} {
		q := get("/", 200, time.Millisecond)
		q.Service = service
		r.Record(q)
	}
	totals := new(SeriesTotals)
	totals.Add(r.Flush())
	list := afterRestart(t, totals).List()
	if len(list) != 1 || list[0].Service != "shop\uFFFD" || list[0].Requests != 2 {
		t.Errorf("totals %+v", list)
	}
}

// A service with more series than its share leaves room to the others.
func TestSeriesTotalsOfOneService(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	const own = 100
	for i := range MaxSeriesTotals + own {
		q := get(fmt.Sprintf("/%d", i), 200, time.Millisecond)
		q.Service = "many"
		if i >= MaxSeriesTotals {
			q.Service = "few"
		}
		r.Record(q)
	}
	totals := new(SeriesTotals)
	totals.Add(r.Flush())
	byService := map[string]int{}
	for _, one := range totals.List() {
		byService[one.Service]++
	}
	want := map[string]int{"many": maxServiceTotals, "few": own, Other: 1}
	if diff := cmp.Diff(want, byService); diff != "" {
		t.Errorf("series of each service (-want +got):\n%s", diff)
	}
	afterRestart(t, totals)
}

func TestSeriesTotalsRefuse(t *testing.T) {
	t.Parallel()
	good := SeriesTotal{Key: Key{Route: "/", Role: events.RoleServer}, Requests: 2, Errors: 1, Timed: 2, Duration: 3, Max: 2}
	for name, list := range map[string][]SeriesTotal{
		"twice":    {good, good},
		"role":     {{Key: Key{Role: events.Role(NumRoles)}, Requests: 1}},
		"errors":   {{Requests: 1, Errors: 2}},
		"timed":    {{Requests: 1, Timed: 2}},
		"duration": {{Requests: 1, Duration: -1}},
		"max":      {{Requests: 1, Max: -1}},
		"too many": make([]SeriesTotal, MaxSeriesTotals+NumRoles+1),
	} {
		totals := new(SeriesTotals)
		if err := totals.Restore(list); err == nil || len(totals.List()) > 0 {
			t.Errorf("%s: %v, %d series", name, err, len(totals.List()))
		}
	}
	if err := new(SeriesTotals).Restore([]SeriesTotal{good}); err != nil {
		t.Error(err)
	}
}
