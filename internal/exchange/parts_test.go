// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
)

// Whatever the kernel says, the parts add up to the duration, and what is not
// certain is in none of the named ones.
func TestTimesAddUp(t *testing.T) {
	const read, end = 1_000_000, 51_000_000
	part := func(parts map[events.Part]uint64) (ns [events.NumParts]uint64) {
		for p, v := range parts {
			ns[p] = v
		}
		return ns
	}
	tests := map[string]struct {
		record events.Record
		want   events.Times
	}{
		"never left the CPU": {
			events.Record{Has: events.HasOnCPU, NowNS: end},
			times(events.AttributionThread, map[events.Part]time.Duration{events.PartCPU: 50 * time.Millisecond}),
		},
		"... in a loop": {
			events.Record{Has: events.HasOnCPU | events.HasLoop, NowNS: end},
			times(events.AttributionLoop, map[events.Part]time.Duration{events.PartCPU: 50 * time.Millisecond}),
		},
		"parts": {
			events.Record{Has: events.HasTimes, Times: events.RawTimes{Attribution: events.AttributionThread, UntilNS: end,
				PartNS: part(map[events.Part]uint64{events.PartCPU: 20_000_000, events.PartDisk: 30_000_000})}},
			times(events.AttributionThread, map[events.Part]time.Duration{events.PartCPU: 20 * time.Millisecond, events.PartDisk: 30 * time.Millisecond}),
		},
		"parts end before the response": {
			events.Record{Has: events.HasTimes, Times: events.RawTimes{Attribution: events.AttributionThread, UntilNS: end - 10_000_000,
				PartNS: part(map[events.Part]uint64{events.PartCPU: 40_000_000})}},
			times(events.AttributionThread, map[events.Part]time.Duration{events.PartCPU: 40 * time.Millisecond, events.PartUnattributed: 10 * time.Millisecond}),
		},
		"a little too much": {
			events.Record{Has: events.HasTimes, Times: events.RawTimes{Attribution: events.AttributionThread, UntilNS: end,
				PartNS: part(map[events.Part]uint64{events.PartCPU: 20_001_000, events.PartDisk: 30_000_000})}},
			times(events.AttributionThread, map[events.Part]time.Duration{events.PartCPU: 20 * time.Millisecond, events.PartDisk: 30 * time.Millisecond}),
		},
		"far too much": {
			events.Record{Has: events.HasTimes, Times: events.RawTimes{Attribution: events.AttributionThread, UntilNS: end,
				PartNS: part(map[events.Part]uint64{events.PartCPU: 90_000_000})}},
			times(events.AttributionPartial, map[events.Part]time.Duration{events.PartUnattributed: 50 * time.Millisecond}),
		},
		"nonsense": {
			events.Record{Has: events.HasTimes, Times: events.RawTimes{Attribution: events.AttributionThread, UntilNS: end,
				PartNS: part(map[events.Part]uint64{events.PartCPU: 1 << 63, events.PartDisk: 1<<63 + 7})}},
			times(events.AttributionPartial, map[events.Part]time.Duration{events.PartUnattributed: 50 * time.Millisecond}),
		},
		"of a later moment": {
			events.Record{Has: events.HasTimes, Times: events.RawTimes{Attribution: events.AttributionThread, UntilNS: end + 1,
				PartNS: part(map[events.Part]uint64{events.PartCPU: 50_000_001})}},
			times(events.AttributionPartial, map[events.Part]time.Duration{events.PartUnattributed: 50 * time.Millisecond}),
		},
		"of another request": {
			events.Record{Has: events.HasOnCPU, NowNS: end, ReadNS: read + 1},
			times(events.AttributionPartial, map[events.Part]time.Duration{events.PartUnattributed: 50 * time.Millisecond}),
		},
		"nothing": {
			events.Record{},
			times(events.AttributionPartial, map[events.Part]time.Duration{events.PartUnattributed: 50 * time.Millisecond}),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := &exchange{readNS: read}
			if tt.record.ReadNS == 0 {
				tt.record.ReadNS = read
			}
			e.takeTimes(&tt.record)
			q := &events.Request{EndNS: end, Duration: 53 * time.Millisecond,
				Wait: events.Wait{Accept: time.Millisecond, Socket: 2 * time.Millisecond, Known: true}}
			e.fillTimes(q)
			if diff := cmp.Diff(tt.want, q.Times); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Who held the CPU is told where one process did so for more than half of the wait.
func TestPushedByMajority(t *testing.T) {
	for held, told := range map[uint64]bool{30_000_000: true, 15_000_001: true, 15_000_000: false, 1: false, 0: false} {
		e := &exchange{readNS: 1, timesNS: 40_000_001}
		e.times.Attribution = events.AttributionThread
		e.times.PartNS[events.PartCPU], e.times.PartNS[events.PartRunQueue] = 10_000_000, 30_000_000
		e.times.PushedPID, e.times.PushedNS = 7, held
		q := &events.Request{EndNS: 40_000_001, Duration: 40 * time.Millisecond}
		e.fillTimes(q)
		if got := q.Times.PushedBy.PID != 0; got != told {
			t.Errorf("%d of 30,000,000 ns: told %v, want %v", held, got, told)
		}
	}
}

// Of requests that one read has taken the later ones lasted while the thread worked
// for those before them.
func TestPipelinedShareTheThread(t *testing.T) {
	for behind, want := range map[bool]events.Attribution{false: events.AttributionThread, true: events.AttributionLoop} {
		e := &exchange{readNS: 1, timesNS: 40_000_001, onCPU: true, behind: behind}
		q := &events.Request{EndNS: 40_000_001, Duration: 40 * time.Millisecond}
		e.fillTimes(q)
		if q.Times.Attribution != want {
			t.Errorf("behind another one %v: %v, want %v", behind, q.Times.Attribution, want)
		}
	}
}

func times(a events.Attribution, parts map[events.Part]time.Duration) events.Times {
	t := events.Times{Attribution: a}
	for p, d := range parts {
		t.Part[p] = d
	}
	return t
}
