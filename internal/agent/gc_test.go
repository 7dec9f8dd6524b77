// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"runtime/debug"
	"testing"
)

func TestTuneGC(t *testing.T) {
	before := debug.SetGCPercent(200)
	defer debug.SetGCPercent(before)
	for _, tt := range []struct {
		env  string
		want int
	}{{"300", 200}, {"", gcPercent}} {
		tuneGC(func(string) string { return tt.env })
		if got := debug.SetGCPercent(200); got != tt.want {
			t.Errorf("GOGC=%q: %d, want %d", tt.env, got, tt.want)
		}
	}
}
