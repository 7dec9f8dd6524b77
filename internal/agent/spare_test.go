// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"math"
	"runtime"
	"testing"
	"time"
)

func TestSpareCPU(t *testing.T) {
	cpus := float64(runtime.NumCPU())
	up, idle, reads := 100.0, 50.0, 0
	var fails error
	s := spareCPU{read: func() (float64, float64, error) { reads++; return up, idle, fails }}
	now := uint64(time.Hour)
	look := func(name string, share, want float64) {
		t.Helper()
		before := reads
		now += uint64(spareEvery)
		up, idle = up+1, idle+share*cpus
		for range 3 {
			if got := s.share(now); math.Abs(got-want) > 1e-9 {
				t.Errorf("%s: %v", name, got)
			}
		}
		if reads != before+1 {
			t.Errorf("%s: read %d times", name, reads-before)
		}
	}
	look("first look", 1, 0)
	look("all idle", 1, 1)
	look("half idle", 0.5, 0.5)
	look("busy", 0.03, 0.03)
	fails = errors.New("not readable")
	look("not readable", 1, 0)
}

// The host's own figures: this test leaves one of its CPUs or more alone, or none.
func TestReadUptime(t *testing.T) {
	up, idle, err := readUptime()
	if err != nil || up <= 0 || idle < 0 {
		t.Fatalf("up %v s, idle %v s, %v", up, idle, err)
	}
	time.Sleep(100 * time.Millisecond)
	up2, idle2, err := readUptime()
	if err != nil || up2 < up+0.05 || idle2 < idle || idle2-idle > (up2-up+0.05)*float64(runtime.NumCPU()) {
		t.Errorf("then up %v s, idle %v s, %v; before %v and %v", up2, idle2, err, up, idle)
	}
}
