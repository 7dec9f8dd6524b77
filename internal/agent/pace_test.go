// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"
)

const mib = 1 << 20

func TestFills(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, tt := range []struct {
		after time.Duration // since the drain before
		bytes int           // of a ring of 4 MiB
		want  time.Duration
	}{
		{4 * time.Millisecond, 0, neverFills},
		{4 * time.Millisecond, mib / 8, 128 * time.Millisecond},
		{16 * time.Millisecond, mib / 8, 512 * time.Millisecond},
		{4 * time.Millisecond, 4 * mib, 4 * time.Millisecond},
		{year, 1, neverFills},
		{0, 1, 0},
	} {
		p := pace{ring: 4 * mib, lastNS: 1e9}
		if got := p.drained(1e9+uint64(tt.after), tt.bytes); got != tt.want {
			t.Errorf("%d bytes in %v fill the ring in %v, want %v", tt.bytes, tt.after, got, tt.want)
		}
	}
}

func TestPace(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name    string
		after   time.Duration // since the drain before
		bytes   int           // of a ring of 8 MiB
		pressed bool
		busy    bool
		idle    float64 // part of the CPUs
		times   int     // that many such drains
		want    time.Duration
	}{
		{"nothing", 4 * ms, 0, false, false, 0, 1, liveDrain},
		{"nothing for long", 4 * ms, 0, false, false, 0, quietDrains + 1, longestWait},
		{"nothing for long, but something to do", 4 * ms, 0, false, true, 0, quietDrains + 1, liveDrain},
		{"a few", 4 * ms, 4 << 10, false, false, 0, 1, liveDrain},
		{"as many again after a long sleep", 20 * ms, 20 << 10, false, false, 0, 1, liveDrain},
		{"busy", 4 * ms, 32 << 10, false, false, 0, 1, busyDrain},
		{"busy, after a short sleep", 2 * ms, 16 << 10, false, false, 0, 1, busyDrain},
		{"many, and CPU to spare", 4 * ms, 32 << 10, false, false, 0.05, 2, liveDrain},
		{"many, and much CPU to spare", 4 * ms, 80 << 10, false, false, 0.1, 2, 2 * ms},
		{"very many, and much CPU to spare", 4 * ms, 400 << 10, false, false, 1, 2, minDrain},
		{"a few, and much CPU to spare", 4 * ms, 4 << 10, false, false, 1, 2, liveDrain},
		{"many, and others want the CPU", 4 * ms, 32 << 10, true, false, 0.05, 2, busyDrain},
		{"a quarter of the ring in 2 ms, and CPU to spare", 4 * ms, 4 * mib, false, false, 0.05, 2, 2 * ms},
		{"a few, and no CPU to spare", 4 * ms, 4 << 10, true, false, 0, 1, busyDrain},
		{"nothing for long, and no CPU to spare", 4 * ms, 0, true, false, 0, quietDrains + 1, longestWait},
		{"a quarter of the ring in 8 ms", 16 * ms, 4 * mib, false, false, 0, 1, 8 * ms},
		{"all of it in 4 ms", 4 * ms, 8 * mib, false, false, 0, 1, minDrain},
		{"all of it in 2 ms", 2 * ms, 8 * mib, false, false, 0, 1, minDrain},
		{"the first one, on a host that is up for a year", 365 * 24 * time.Hour, 300, false, false, 0, 1, liveDrain},
		{"all of it, but late", 400 * ms, 8 * mib, false, false, 0, 1, busyDrain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, now := pace{ring: 8 * mib, lastNS: 1e9, spare: &spareCPU{part: tt.idle, nextNS: 1 << 62}}, uint64(1e9)
			for range tt.times {
				now += uint64(tt.after)
				p.choose(p.drained(now, tt.bytes), tt.pressed, tt.busy)
			}
			if p.waits != (tt.want == longestWait) {
				t.Errorf("waits for a record: %v", p.waits)
			}
			if p.next != tt.want {
				t.Errorf("next drain in %v, want %v", p.next, tt.want)
			}
		})
	}
}

// However often the ring is drained, a record that is late has 45 ms to come.
func TestWaitsForLateRecords(t *testing.T) {
	for _, every := range []time.Duration{minDrain, liveDrain, busyDrain} {
		l := newBenchLoad(t, benchMessage)
		l.conns[0].next(l.nowNS) // does not come
		l.agent.feed(l.conns[0].next(l.nowNS))
		waited := time.Duration(0)
		for ; l.agent.tracker.Waits(); waited += every {
			l.agent.batchNS = l.nowNS + uint64(waited)
			l.agent.endBatch()
		}
		if waited < 45*time.Millisecond || waited > 20*max(every, batchTime) {
			t.Errorf("drained every %v: waited for %v", every, waited)
		}
	}
}
