// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"

	"probe/internal/testutil"
)

// A sweep reads the ring at once: that says nothing of how fast it fills.
func TestSweepKeepsThePaceOfDrains(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	a, _ := ending(t, time.Second)
	a.opt.PIDs = []uint32{1}
	if err := a.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.kernel.Close(); err != nil {
			t.Error(err)
		}
	}()
	before := pace{next: minDrain, lastNS: 1} // the ring fills fast
	a.pace = before
	if err := a.sweepNow(a.clock.Now(), false); err != nil {
		t.Fatal(err)
	}
	if a.pace != before {
		t.Errorf("next drain in %v after %d quiet ones, want %v: the pace before", a.pace.next, a.pace.quiet, minDrain)
	}
}
