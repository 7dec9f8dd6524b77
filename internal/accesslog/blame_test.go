// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
)

func TestSlowSaysWhy(t *testing.T) {
	inUTC(t)
	pressure := func(some float64, known bool) func() (float64, bool) {
		return func() (float64, bool) { return some, known }
	}
	tests := map[string]struct {
		change   func(*events.Request)
		pressure func() (float64, bool)
		want     string
	}{
		"all of it": {nil, pressure(12.4, true),
			"GET /api/items 200.00ms: 61 % waiting for CPU 3 (held by batch[4711]), 22 % lock, 10 % on CPU, 5 % unread in the socket, 3 major faults, memory pressure some=12 %"},
		"the least pressure": {nil, pressure(1, true),
			"GET /api/items 200.00ms: 61 % waiting for CPU 3 (held by batch[4711]), 22 % lock, 10 % on CPU, 5 % unread in the socket, 3 major faults, memory pressure some=1 %"},
		"no pressure": {nil, pressure(0.4, true),
			"GET /api/items 200.00ms: 61 % waiting for CPU 3 (held by batch[4711]), 22 % lock, 10 % on CPU, 5 % unread in the socket, 3 major faults"},
		"pressure not known, nobody held the CPU": {func(q *events.Request) { q.Times.PushedBy = events.Pusher{} }, pressure(50, false),
			"GET /api/items 200.00ms: 61 % waiting for a CPU, 22 % lock, 10 % on CPU, 5 % unread in the socket, 3 major faults"},
		"held by a service": {func(q *events.Request) {
			q.Times.PushedBy.Service, q.Times.PushedBy.Cgroup = "shop/worker", "/kubepods/x"
		}, nil,
			"GET /api/items 200.00ms: 61 % waiting for CPU 3 (held by batch[4711] of shop/worker), 22 % lock, 10 % on CPU, 5 % unread in the socket, 3 major faults"},
		"loop": {func(q *events.Request) {
			q.Times = events.Times{Attribution: events.AttributionLoop}
			q.Times.Part[events.PartNet] = 188 * time.Millisecond
		}, nil, "GET /api/items 200.00ms: 94 % network, 5 % unread in the socket, thread shared with other requests"},
		"hand-off": {func(q *events.Request) {
			q.Times = events.Times{Attribution: events.AttributionHandoff}
			q.Times.Part[events.PartDisk] = 188 * time.Millisecond
		}, nil, "GET /api/items 200.00ms: 94 % disk, 5 % unread in the socket, over two threads"},
		"cut":          {func(q *events.Request) { q.Times, q.Flags = events.Times{}, events.FlagTargetCut }, nil, "GET /api/items... 200.00ms: not measured"},
		"not measured": {func(q *events.Request) { q.Times = events.Times{} }, nil, "GET /api/items 200.00ms: not measured"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := Options{Slow: 100 * time.Millisecond, MemoryPressure: tt.pressure}
			got := printed(t, o, slow(tt.change))
			want := "07:05:04.500 users[4321] " + tt.want + "\n"
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			o.JSON = true
			var line struct{ Blame string }
			if err := json.Unmarshal([]byte(printed(t, o, slow(tt.change))), &line); err != nil || line.Blame != tt.want {
				t.Errorf("JSON blame %q, %v", line.Blame, err)
			}
		})
	}
}

func TestSlowLeavesOutTheRest(t *testing.T) {
	inUTC(t)
	p := New(&strings.Builder{}, Options{Slow: 100 * time.Millisecond, Wall: wall})
	p.Print(slow(func(q *events.Request) { q.Duration = 100*time.Millisecond - 1 }))
	p.Print(slow(func(q *events.Request) { q.Duration = 100 * time.Millisecond }))
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _ := p.Counts(); n != 1 {
		t.Errorf("%d lines printed, want the slower one only", n)
	}
}

func TestBarIsFull(t *testing.T) {
	part := func(p events.Part, d time.Duration) func(*events.Request) {
		return func(q *events.Request) {
			q.Wait = events.Wait{}
			q.Times.Part = [events.NumParts]time.Duration{}
			q.Times.Part[p] = d
			q.Times.Part[events.PartUnattributed] += q.Duration - d
		}
	}
	tests := map[string]struct {
		change func(*events.Request)
		want   string
	}{
		"mixed":        {nil, " [qcrrrrrrll]"},
		"one part":     {part(events.PartNet, 200*time.Millisecond), " [nnnnnnnnnn]"},
		"half unknown": {part(events.PartCPU, 100*time.Millisecond), " [ccccc?????]"},
		"tiny":         {part(events.PartCPU, 9*time.Millisecond), " [??????????]"},
		"not measured": {func(q *events.Request) { q.Times.Attribution = events.AttributionNone }, ""},
		"no duration":  {func(q *events.Request) { q.Duration = 0 }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(appendBar(nil, slow(tt.change))); got != tt.want {
				t.Errorf("bar %q, want %q", got, tt.want)
			}
		})
	}
}
