// SPDX-License-Identifier: Apache-2.0

package export

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"probe/internal/testutil"
)

// What came while the disk was full is in the spool at the end, if the disk has
// room by then: nothing is lost, and the books close.
func TestSpoolDiskHasRoomAgain(t *testing.T) {
	for _, scheme := range []Scheme{Unix, UnixDD} {
		dir := testutil.SmallDisk(t, "256k")
		filler := filepath.Join(dir, "filler")
		must(t, os.WriteFile(filler, make([]byte, 200<<10), 0o600))
		p := newPeer(t, scheme)
		p.stop()
		opt := spoolOptions(p.target, filepath.Join(dir, "spool"))
		x, err := New(opt)
		must(t, err)
		const n = 6_000                            // 120 KB
		for first := 1; first <= n; first += 400 { // a payload each: a smaller one could find room before it
			exportAll(t, x, first, first+399)
		}
		if x.Counters().ErrorsSpool == 0 {
			t.Fatal("the disk was not full")
		}
		must(t, os.Remove(filler), closeSoon(x))
		if c, left := x.Counters(), x.Status().QueueLines; c.DroppedClosed != 0 || left != n {
			t.Errorf("%s: %d lines in the books, want %d: %+v", scheme, left, n, c)
		}
		p.start()
		x, err = New(opt)
		must(t, err)
		if left := x.Status().QueueLines; left != n {
			t.Errorf("%s: %d lines found, want %d", scheme, left, n)
		}
		exportAll(t, x, n+1, n+1)
		closeNow(t, x)
		p.finish()
		if twice := checkNumbers(t, p.got(), n+1); twice != 0 {
			t.Errorf("%s: %d lines twice", scheme, twice)
		}
	}
}

// They are behind what is on the disk, whose confirmation does not cover them,
// and without the lines that have arrived.
func TestSpoolTakesTheRestOfWhatWasInMemory(t *testing.T) {
	t.Parallel()
	opt := Options{Target: Target{Scheme: TCP}, SpoolDir: t.TempDir()}
	q, c := newTestQueue(t, opt)
	writable := q.spool.segments[0].file
	readOnly, err := os.Open(writable.Name())
	must(t, err)
	defer readOnly.Close()
	push := func(payload string, to *os.File) {
		t.Helper()
		q.spool.segments[0].file = to
		if _, err := q.push([]byte(payload), strings.Count(payload, "\n"), 0); (err != nil) != (to == readOnly) {
			t.Fatal(err)
		}
	}
	push("a\nb\n", readOnly)
	push("on disk\n", writable)
	push("c\n", readOnly)
	q.spool.segments[0].file = writable
	q.wrote(len(q.take(0)))
	q.confirm(3, 0) // a, and half of b
	q.rewind(false, 0)
	if n := q.abandon(); n != 0 || c.droppedClosed.Load() != 0 || c.linesSent.Load() != 1 || q.lines != 3 {
		t.Errorf("%d lines abandoned, %d counted, %d sent, %d wait; want 0, 0, 1, 3", n, c.droppedClosed.Load(), c.linesSent.Load(), q.lines)
	}
	must(t, q.close())
	q, _ = newTestQueue(t, opt)
	defer q.close()
	if got := takeAll(q); got != "on disk\nb\nc\n" {
		t.Errorf("found %q", got)
	}
}

// A receiver died and may not have read what was confirmed last. A kill before
// the next connection must not lose it, nor must it come twice without one.
func TestSpoolKeepsWhatIsToBeSentAgain(t *testing.T) {
	t.Parallel()
	for _, reset := range []bool{true, false} {
		opt := Options{Target: Target{Scheme: TCP}, SpoolDir: t.TempDir()}
		q, c := newTestQueue(t, opt)
		for _, payload := range []string{"a\nb\n", "c\n", "d\n"} {
			_, err := q.push([]byte(payload), strings.Count(payload, "\n"), 0)
			must(t, err)
		}
		for chunk := q.take(0); chunk != nil; chunk = q.take(0) {
			q.wrote(len(chunk))
		}
		q.confirm(7, 0) // all but half of d
		q.rewind(reset, 0)
		must(t, q.close()) // as a kill leaves it: nothing is shelved
		q, _ = newTestQueue(t, opt)
		want := "d\n"
		if reset {
			want = "a\nb\nc\nd\n"
		}
		if got := takeAll(q); got != want {
			t.Errorf("reset %v: found %q, want %q; %d lines counted as sent", reset, got, want, c.linesSent.Load())
		}
		must(t, q.close())
	}
}

// Room for new lines comes from those that are kept to be sent again, and these
// are still sent again by this process.
func TestSpoolDropsTheFileOfWhatIsToBeSentAgain(t *testing.T) {
	t.Parallel()
	opt := Options{Target: Target{Scheme: TCP}, SpoolDir: t.TempDir()}
	q, c := newTestQueue(t, opt)
	defer q.close()
	_, err := q.push([]byte("a\n"), 1, 0)
	must(t, err)
	q.wrote(len(q.take(0)))
	q.confirm(2, 0)
	if dropped, freed := q.dropSegment(); dropped != 0 || !freed || q.spool.size != 0 {
		t.Errorf("%d lines dropped, freed %v, %d bytes left", dropped, freed, q.spool.size)
	}
	q.rewind(true, 0)
	if n := q.abandon(); n != 0 || c.linesReplayed.Load() != 1 {
		t.Errorf("%d lines abandoned, %d replayed", n, c.linesReplayed.Load())
	}
	if got := takeAll(q); got != "a\n" {
		t.Errorf("found %q", got)
	}
}

func takeAll(q *queue) (all string) {
	for chunk := q.take(0); chunk != nil; chunk = q.take(0) {
		all += string(chunk)
		q.wrote(len(chunk))
	}
	return all
}
