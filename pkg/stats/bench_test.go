// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"probe/pkg/events"
)

func load(series int) []*events.Request {
	all := make([]*events.Request, series)
	for i := range all {
		all[i] = get(fmt.Sprintf("/shop/items/{id}/%d", i), 200, time.Duration(i+1)*50*time.Microsecond)
	}
	return all
}

func BenchmarkRecord(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			r := New(Options{})
			requests := load(n)
			for _, q := range requests {
				r.Record(q)
			}
			i := 0
			for b.Loop() {
				r.Record(requests[i])
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}

func BenchmarkFlush(b *testing.B) {
	b.ReportAllocs()
	r := New(Options{})
	requests := load(10000)
	var s Snapshot
	for b.Loop() {
		b.StopTimer()
		for _, q := range requests {
			for range 20 {
				r.Record(q)
			}
		}
		b.StartTimer()
		r.FlushInto(&s)
	}
}

// BenchmarkMemory reports the heap bytes of one series: quiet with one request
// per interval, busy with a full sample and latencies over ten powers of two.
func BenchmarkMemory(b *testing.B) {
	for name, perSeries := range map[string]int{"quiet": 1, "busy": 300} {
		b.Run(name, func(b *testing.B) {
			const series = 5000
			for range b.N {
				requests := load(series)
				before := heap()
				r := New(Options{})
				for _, q := range requests {
					for i := range perSeries {
						q.Duration = 50 * time.Microsecond << (i % 10)
						r.Record(q)
					}
				}
				b.ReportMetric(float64(heap()-before)/series, "B/series")
				runtime.KeepAlive(r)
				runtime.KeepAlive(requests)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// One look at the host in the Snapshotter, without reading it.
func BenchmarkSnapshotterPush(b *testing.B) {
	h := &hostSim{}
	s := newSnapshotter(b, h, nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Push(h.use(time.Second, 0.5, 0.5, 0.5))
	}
}
