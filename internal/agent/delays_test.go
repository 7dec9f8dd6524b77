// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/stats"
)

// fakeDelays stands in for the kernel's histograms: what they hold in a test
// must be known. The real ones are in pkg/loader's live tests.
type fakeDelays struct {
	host      []uint64
	processes map[uint32][]uint32
	err       error
}

func (f *fakeDelays) HostDelays() ([]uint64, error) { return append([]uint64(nil), f.host...), f.err }

func (f *fakeDelays) ProcessDelays(_ func(uint32) bool, fn func(uint32, []uint32)) error {
	for pid, counts := range f.processes {
		fn(pid, counts)
	}
	return f.err
}

func TestHostDelaysAreOfTheInterval(t *testing.T) {
	k := &fakeDelays{host: make([]uint64, 64)}
	d := &delayWatch{}
	if _, known := d.host(); known {
		t.Error("known before anything is attached")
	}
	d.kernel = k
	k.host[3] = 100
	if _, known := d.host(); known {
		t.Error("known at the first look: it has no interval")
	}
	k.host[5], k.host[9] = 9, 1
	got, known := d.host()
	want := stats.SchedDelay{Count: 10, Mean: 5, Quantiles: true, P50: 5, P90: 5, P99: 9, Max: 9}
	if diff := cmp.Diff(want, got); diff != "" || !known {
		t.Errorf("known %v, delays (-want +got):\n%s", known, diff)
	}
	k.err = errors.New("no")
	if _, known := d.host(); known {
		t.Error("known although the kernel did not tell")
	}
}

// The kernel counts in 32 bits on each CPU, which a busy one fills in days: the
// sum over CPUs is then smaller than at the look before.
func TestHostDelaysRunOver(t *testing.T) {
	k := &fakeDelays{host: make([]uint64, 64)}
	d := &delayWatch{kernel: k}
	k.host[3] = 70 + (1<<32 - 1)
	d.host()
	k.host[3] = 80 + 4
	want := stats.SchedDelay{Count: 15, Mean: 3, Quantiles: true, P50: 3, P90: 3, P99: 3, Max: 3}
	got, _ := d.host()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delays (-want +got):\n%s", diff)
	}
}

func TestServiceDelays(t *testing.T) {
	counts := func(bucket int, n uint32) []uint32 {
		c := make([]uint32, 64)
		c[bucket] = n
		return c
	}
	k := &fakeDelays{processes: map[uint32][]uint32{1: counts(4, 2), 2: counts(8, 2), 3: counts(9, 9)}}
	d := &delayWatch{kernel: k}
	flush := func(want ...stats.ServiceDelay) {
		t.Helper()
		got, err := d.services()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	of := func(service string, d stats.SchedDelay) stats.ServiceDelay {
		d.Quantiles = true
		return stats.ServiceDelay{Service: service, SchedDelay: d}
	}
	d.served(1, "shop")
	d.served(2, "shop") // two workers of one service; 3 serves nobody yet
	flush(of("shop", stats.SchedDelay{Count: 4, Mean: 6, P50: 4, P90: 8, P99: 8, Max: 8}))

	d.served(3, "cron")
	k.processes[1] = counts(4, 2) // unchanged
	k.processes[2] = counts(8, 3)
	flush(of("cron", stats.SchedDelay{Count: 9, Mean: 9, P50: 9, P90: 9, P99: 9, Max: 9}),
		of("shop", stats.SchedDelay{Count: 1, Mean: 8, P50: 8, P90: 8, P99: 8, Max: 8}))

	delete(k.processes, 3)
	k.processes[1] = counts(4, 1<<32-1) // 32 bits run over in the next interval
	k.processes[2] = counts(8, 3)
	flush(of("cron", stats.SchedDelay{}), of("shop", stats.SchedDelay{Count: 1<<32 - 3, Mean: 4, P50: 4, P90: 4, P99: 4, Max: 4}))
	k.processes[1] = counts(4, 1)
	flush(of("shop", stats.SchedDelay{Count: 2, Mean: 4, P50: 4, P90: 4, P99: 4, Max: 4}))
}

// The kernel forgets a process that has ended; one that gets its pid begins at 0.
func TestDelaysOfAReusedPID(t *testing.T) {
	t.Setenv("HOST_PROC", t.TempDir()) // no process lives
	k := &forgettingDelays{fakeDelays{processes: map[uint32][]uint32{7: {0, 100}}}}
	d := &delayWatch{kernel: k}
	d.served(7, "shop")
	if _, err := d.services(); err != nil {
		t.Fatal(err)
	}
	k.processes[7] = []uint32{0, 3}
	d.served(7, "cron")
	got, err := d.services()
	if err != nil || len(got) != 2 || got[0].Service != "cron" || got[0].Count != 3 {
		t.Errorf("%v: %+v, want 3 waits of cron", err, got)
	}
}

// forgettingDelays forgets the processes that do not live, as the kernel side
// does when it is half full.
type forgettingDelays struct{ fakeDelays }

func (f *forgettingDelays) ProcessDelays(alive func(uint32) bool, fn func(uint32, []uint32)) error {
	err := f.fakeDelays.ProcessDelays(alive, fn)
	for pid := range f.processes {
		if !alive(pid) {
			delete(f.processes, pid)
		}
	}
	return err
}
