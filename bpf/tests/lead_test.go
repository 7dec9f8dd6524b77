// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"math"
	"math/bits"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// bucketOf is the rule at PROBE_DELAY_BUCKETS, written from its words.
func bucketOf(ns uint64) uint64 {
	if ns < 16 {
		return ns
	}
	e := uint64(bits.Len64(ns) - 1)
	return min((e-3)*16+(ns>>(e-4)&15), 543)
}

func TestDelayBucket(t *testing.T) {
	u := newUnit(t, unitProgUnitDelay, 512)
	delays := []uint64{0, 1, 15, 16, 17, 31, 32, 33, math.MaxUint64}
	for e := range 63 {
		for _, d := range []uint64{0, 1, 1 << e / 16, 1<<e - 1} {
			delays = append(delays, 1<<e+d)
		}
	}
	for _, ns := range delays {
		ctx := unitDelayCtx{Ns: ns}
		run(t, u, &ctx)
		if want := bucketOf(ns); ctx.Bucket != want {
			t.Errorf("%d ns in bucket %d, want %d", ns, ctx.Bucket, want)
		}
	}
}

// parts are times by part, in the order of enum probe_part.
type parts = [unitProbePartPROBE_PARTS]uint64

const (
	cpu  = unitProbePartPROBE_PART_CPU
	runq = unitProbePartPROBE_PART_RUNQ
	lock = unitProbePartPROBE_PART_LOCK
	disk = unitProbePartPROBE_PART_DISK
	net  = unitProbePartPROBE_PART_NET
)

// lead puts the two threads into the kernel, runs the program and reads them back.
func (u *unit) lead(t *testing.T, ctx *unitLeadCtx, sleeper, waker *unitThreadTime) {
	t.Helper()
	threads := u.objects.Maps["unit_threads"]
	for i, thread := range []*unitThreadTime{sleeper, waker} {
		if err := threads.Put(uint32(i), *thread); err != nil {
			t.Fatal(err)
		}
	}
	run(t, u, ctx)
	for i, thread := range []*unitThreadTime{sleeper, waker} {
		if err := threads.Lookup(uint32(i), thread); err != nil {
			t.Fatal(err)
		}
	}
}

// A wait for a helper is what the helper did meanwhile, and always as long as
// the wait.
func TestBookHelper(t *testing.T) {
	u := newUnit(t, unitProgUnitLead, 512)
	tests := map[string]struct {
		woken, slept, now uint64 // the helper was woken, the thread went to sleep, the helper wakes it
		base, did         parts  // of the helper
		want              parts  // of the thread
	}{
		"all of its work":                {100, 100, 1100, parts{cpu: 7, disk: 9}, parts{runq: 50, cpu: 150, disk: 800}, parts{runq: 50, cpu: 150, disk: 800}},
		"it began before the wait":       {100, 400, 1100, parts{}, parts{runq: 50, cpu: 350, disk: 600}, parts{cpu: 100, disk: 600}},
		"long before":                    {100, 1000, 1100, parts{}, parts{runq: 50, cpu: 350, disk: 600}, parts{disk: 100}},
		"it was woken during the wait":   {400, 100, 1100, parts{}, parts{net: 700}, parts{lock: 300, net: 700}},
		"it began and did nothing known": {100, 100, 1100, parts{}, parts{unitProbePartPROBE_PART_UNKNOWN: 1000}, parts{unitProbePartPROBE_PART_UNKNOWN: 1000}},
		"no time has passed":             {100, 1100, 1100, parts{}, parts{cpu: 1000}, parts{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sleeper := unitThreadTime{SinceNs: tt.slept}
			helper := unitThreadTime{Part: tt.base}
			helper.Lead.Base, helper.Lead.WokenNs = tt.base, tt.woken
			for i := range helper.Part {
				helper.Part[i] += tt.did[i]
			}
			u.lead(t, &unitLeadCtx{NowNs: tt.now, Book: 1}, &sleeper, &helper)
			if diff := cmp.Diff(tt.want, sleeper.Part); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
			if tt.slept < tt.now && (helper.Lead.Base != helper.Part || helper.Lead.WokenNs != tt.now || sleeper.SinceNs != tt.now) {
				t.Error("what comes next would be booked twice")
			}
		})
	}
}

// Whoever wakes passes on the account it works on: its own request, or that of
// the thread which woke it, with all that was spent on it so far.
func TestLeadFrom(t *testing.T) {
	u := newUnit(t, unitProgUnitLead, 512)
	reader := unitThreadTime{InHand: 1, Reads: 5, Part: parts{cpu: 130, disk: 40}, ReadPart: parts{cpu: 100, disk: 40}}
	reader.Lead.Tid, reader.Lead.Reads = 77, 8 // of an older request
	worker := unitThreadTime{Part: parts{cpu: 500, net: 60}}
	worker.Lead.Tid, worker.Lead.Reads = 77, 8
	worker.Lead.Base, worker.Lead.Spent = parts{cpu: 480}, parts{cpu: 10, runq: 3}
	tests := map[string]struct {
		waker      unitThreadTime
		leads      uint8
		tid, reads uint32
		spent      parts
	}{
		"a reader":                  {reader, 1, 0, 5, parts{cpu: 30}},
		"a worker":                  {worker, 1, 77, 8, parts{cpu: 30, runq: 3, net: 60}},
		"a thread without requests": {unitThreadTime{Part: parts{cpu: 9}}, 0, 0, 0, parts{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread() // the program takes the thread that runs it for the waker
			defer runtime.UnlockOSThread()
			if tt.waker.InHand > 0 {
				tt.tid = uint32(unix.Gettid())
			}
			ctx, woken := unitLeadCtx{}, unitThreadTime{}
			u.lead(t, &ctx, &woken, &tt.waker)
			if ctx.Leads != tt.leads || woken.Lead.Tid != tt.tid || woken.Lead.Reads != tt.reads {
				t.Errorf("leads %d, thread %d, request %d; want %d, %d, %d", ctx.Leads, woken.Lead.Tid, woken.Lead.Reads, tt.leads, tt.tid, tt.reads)
			}
			if diff := cmp.Diff(tt.spent, woken.Lead.Spent); diff != "" {
				t.Errorf("spent (-want +got):\n%s", diff)
			}
		})
	}
}
