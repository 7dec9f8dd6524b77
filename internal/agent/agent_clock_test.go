// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"math"
	"testing"
	"time"
)

// Wall time is measured again also where no log line is wanted: it steps, and
// the monotonic clock stands still while the machine sleeps.
func TestResyncWithoutLog(t *testing.T) {
	a, _ := ending(t, time.Second)
	a.live.LogInterval, a.nextFlush, a.nextForget = 0, math.MaxUint64, math.MaxUint64
	first := a.clock.Wall(0)
	for range 1000 { // no two measurements are the same, in general
		a.batchNS += uint64(resyncEvery)
		if err := a.periodic(); err != nil {
			t.Fatal(err)
		}
		if a.clock.Wall(0) != first {
			return
		}
	}
	t.Error("wall time is never measured again")
}
