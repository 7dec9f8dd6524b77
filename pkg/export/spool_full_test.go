// SPDX-License-Identifier: Apache-2.0

package export

import (
	"path/filepath"
	"testing"
	"time"

	"probe/internal/testutil"
)

// The receiver was away when the disk became full, and is back: what it has
// confirmed makes room for new lines, and is not sent again by the next process.
func TestSpoolGivesAFullDiskBack(t *testing.T) {
	for _, scheme := range []Scheme{TCP, Unix} {
		dir := testutil.SmallDisk(t, "128k")
		p := newPeer(t, scheme)
		p.stop()
		opt := spoolOptions(p.target, filepath.Join(dir, "spool"))
		x, err := New(opt)
		must(t, err)
		const n = 8_000 // 170 KB
		exportAll(t, x, 1, n)
		full := x.Counters().ErrorsSpool
		if full == 0 {
			t.Fatal("the disk was not full")
		}
		p.start()
		for begin := time.Now(); x.Status().QueueLines > 0 && time.Since(begin) < 10*time.Second; {
			time.Sleep(10 * time.Millisecond)
		}
		exportAll(t, x, n+1, n+1000)
		if c := x.Counters(); c.ErrorsSpool != full {
			t.Errorf("%s: %d payloads found no room before the receiver was back, %d afterwards", scheme, full, c.ErrorsSpool-full)
		}
		closeNow(t, x)
		p.finish()
		checkNumbers(t, p.got(), n+1000)
		x, err = New(opt)
		must(t, err)
		if left := x.Status().QueueLines; left != 0 {
			t.Errorf("%s: %d lines are found again, all of which arrived", scheme, left)
		}
		must(t, closeSoon(x))
	}
}

// The note of what is confirmed has its place on the disk before it is full.
func TestSpoolNotesWhatIsConfirmedOnAFullDisk(t *testing.T) {
	dir := filepath.Join(testutil.SmallDisk(t, "128k"), "spool")
	opt := Options{Target: Target{Scheme: Unix}, SpoolDir: dir}
	q, _ := newTestQueue(t, opt)
	line := append(make([]byte, 1000), '\n')
	for {
		if _, err := q.push(line, 1, 0); err != nil {
			break
		}
	}
	q.wrote(len(q.take(0)))
	q.confirm(uint64(len(line)), 0)
	waiting := len(q.entries) - 1 // the last is in memory
	must(t, q.close())
	q, _ = newTestQueue(t, opt)
	defer q.close()
	if len(q.entries) != waiting {
		t.Errorf("%d payloads found, want %d", len(q.entries), waiting)
	}
}
