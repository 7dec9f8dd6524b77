// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"testing"
)

// A thread that waited for a CPU names the process that had it most of that time.
func TestPushers(t *testing.T) {
	const hog, tick, other, idle = 10, 20, 30, 0
	type stint struct {
		tgid uint32
		ns   uint64
	}
	repeat := func(n int, s ...stint) (all []stint) {
		for range n {
			all = append(all, s...)
		}
		return all
	}
	tests := map[string]struct {
		stints []stint
		waits  []uint64 // up to the end of the last stint, in ns
		tgid   uint32
		ns     uint64
	}{
		"one had it":                   {[]stint{{other, 100}, {hog, 100}}, []uint64{100}, hog, 100},
		"only a part of its time":      {[]stint{{hog, 1000}}, []uint64{100}, hog, 100},
		"not the one that had it last": {[]stint{{hog, 900}, {tick, 10}}, []uint64{500}, hog, 490},
		"in turns with a short one":    {repeat(20, stint{hog, 90}, stint{tick, 10}), []uint64{1000}, hog, 900},
		"an idle CPU pushes nobody":    {[]stint{{hog, 100}, {idle, 400}}, []uint64{500}, hog, 100},
		"only the idle task":           {[]stint{{hog, 100}, {idle, 400}}, []uint64{400}, 0, 0},
		"longer than is known":         {[]stint{{hog, 100}}, []uint64{500}, hog, 100},
		"longer than is kept":          {repeat(40, stint{hog, 90}, stint{tick, 10}), []uint64{4000}, hog, 32 * 90},
		"several waits":                {[]stint{{tick, 200}, {hog, 100}}, []uint64{50, 100, 100}, hog, 250},
		"nothing is known":             {nil, []uint64{100}, 0, 0},
		"no time":                      {[]stint{{hog, 100}}, []uint64{0}, 0, 0},
	}
	u := newUnit(t, unitProgUnitPushers, 512)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stints unitStints
			clock := uint64(1 << 40)
			for _, s := range tt.stints {
				slot := &stints.Of[stints.Begun%uint64(len(stints.Of))]
				slot.Since, slot.Tgid, slot.Comm = clock, s.tgid, [2]uint64{uint64(s.tgid), 7}
				stints.Begun++
				clock += s.ns
			}
			if err := u.objects.Maps["unit_stints"].Put(uint32(0), stints); err != nil {
				t.Fatal(err)
			}
			var thread unitThreadTime
			if err := u.objects.Maps["unit_threads"].Put(uint32(0), thread); err != nil {
				t.Fatal(err)
			}
			for _, w := range tt.waits {
				run(t, u, &unitWaitCtx{Start: clock - w, End: clock})
			}
			if err := u.objects.Maps["unit_threads"].Lookup(uint32(0), &thread); err != nil {
				t.Fatal(err)
			}
			if thread.PushedTgid != tt.tgid || thread.PushedNs != tt.ns {
				t.Errorf("pushed by %d for %d ns, want %d for %d ns", thread.PushedTgid, thread.PushedNs, tt.tgid, tt.ns)
			}
			if tt.tgid != 0 && thread.PushedComm != [16]uint8{uint8(tt.tgid), 8: 7} {
				t.Errorf("the name is %v, not that of %d", thread.PushedComm, tt.tgid)
			}
		})
	}
}
