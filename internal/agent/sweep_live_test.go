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
	if err := a.load(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.kernel.Close(); err != nil {
			t.Error(err)
		}
	}()
	a.interval = minDrain // the ring fills fast
	if err := a.sweepNow(a.clock.Now(), false); err != nil {
		t.Fatal(err)
	}
	if a.interval != minDrain || a.quiet != 0 {
		t.Errorf("next drain in %v after %d quiet ones, want %v: the pace before", a.interval, a.quiet, minDrain)
	}
}
