// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A receiver that is too slow for ten minutes, at an interval of a second: a line
// a minute, which together tell of every interval, and one at the end.
func TestMerges(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	var m merges
	now := uint64(10 * second)
	flush := func(merged bool) (line string) {
		defer text.Reset()
		now += second
		m.note(log, merged, now)
		return strings.TrimSpace(text.String())
	}
	if got := flush(false); got != "" {
		t.Errorf("all is well: %s", got)
	}
	lines := 0
	for i := range 600 {
		got := flush(i%5 != 4) // each fifth is handed over
		if got == "" {
			continue
		}
		want := "intervals_merged=48"
		if i == 0 {
			want = "intervals_merged=1"
		}
		if lines++; !strings.HasSuffix(got, want) || !strings.Contains(got, "level=WARN") {
			t.Errorf("%d s: %s, want %s", i, got, want)
		}
	}
	if lines != 10 {
		t.Errorf("%d lines in 10 minutes, want 10", lines)
	}
	told := ""
	for range 100 {
		told += flush(false)
	}
	if strings.Count(told, "msg=") != 2 || !strings.Contains(told, "intervals_merged=47") || !strings.Contains(told, "level=INFO") {
		t.Errorf("afterwards: %s, want the rest and the end", told)
	}
}
