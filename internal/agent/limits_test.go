// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"math"
	"strings"
	"testing"
)

func TestLowLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		memory, files uint64
		want          string // "": nothing
	}{
		{math.MaxUint64, math.MaxUint64, ""},
		{64 << 20, 256, ""},
		{48 << 20, 1024, "48 MiB"},
		{256 << 20, 64, "files, 64,"},
	} {
		got := strings.Join(lowLimits(test.memory, test.files), "\n")
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%d bytes, %d files: %q, want %q in it", test.memory, test.files, got, test.want)
		}
	}
	if memory, files := limits(); memory == 0 || files == 0 {
		t.Errorf("limits of this process: %d, %d", memory, files)
	}
}
