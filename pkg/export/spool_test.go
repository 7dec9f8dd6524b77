// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"probe/internal/testutil"
)

func spoolOptions(target Target, dir string) Options {
	opt := streamOptions(target)
	opt.SpoolDir, opt.Wall = dir, time.Now
	return opt
}

// exportAll exports the numbers first to last, 500 at a time.
func exportAll(t *testing.T, x *Exporter, first, last int) {
	t.Helper()
	for ; first <= last; first += 500 {
		err := x.Export(context.Background(), numbered(first, min(500, last-first+1)))
		if err != nil && !errors.Is(err, errDown) && !errors.Is(err, errFull) && !errors.Is(err, ErrSpool) {
			t.Error(err)
		}
	}
}

// closeSoon closes an Exporter that may not be able to deliver.
func closeSoon(x *Exporter) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	return x.Close(ctx)
}

func diskUse(t *testing.T, dir string) (size int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// What could not be delivered is there after a restart, and once only.
func TestSpoolOutlivesTheExporter(t *testing.T) {
	t.Parallel()
	for _, scheme := range streamSchemes() {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, scheme)
			dir := filepath.Join(t.TempDir(), "made", "spool")
			n := 0
			for round := range 3 {
				if round > 0 {
					p.finish()
				} else {
					p.stop()
				}
				x, err := New(spoolOptions(p.target, dir))
				if err != nil {
					t.Fatal(err)
				}
				if st := x.Status(); st.QueueLines != 0 {
					t.Errorf("%d lines left by the one before, all of which arrived", st.QueueLines)
				}
				exportAll(t, x, n+1, n+3000)
				if err := closeSoon(x); err != nil {
					t.Errorf("Close, the lines being safe: %v", err)
				}
				p.start()
				if x, err = New(spoolOptions(p.target, dir)); err != nil {
					t.Fatal(err)
				}
				if st := x.Status(); st.QueueLines != 3000 {
					t.Errorf("%d lines found, want 3000", st.QueueLines)
				}
				exportAll(t, x, n+3001, n+4000)
				n += 4000
				closeNow(t, x)
				if use := diskUse(t, dir); use > minSegment {
					t.Errorf("%d bytes on disk with nothing to keep", use)
				}
			}
			p.finish()
			if twice := checkNumbers(t, p.got(), n); twice != 0 {
				t.Errorf("%d lines twice", twice)
			}
		})
	}
}

func TestSpoolIsBoundedOldestFirst(t *testing.T) {
	t.Parallel()
	p := newPeer(t, Unix)
	p.stop()
	dir := t.TempDir()
	opt := spoolOptions(p.target, dir)
	opt.SpoolBytes = MinSpoolBytes
	x, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	const n = 80_000
	exportAll(t, x, 1, n)
	if use := diskUse(t, dir); use > MinSpoolBytes || use < MinSpoolBytes/2 {
		t.Errorf("%d bytes on disk, limit %d", use, MinSpoolBytes)
	}
	c, st := x.Counters(), x.Status()
	if c.DroppedFull == 0 || int(c.DroppedFull)+st.QueueLines != n {
		t.Errorf("counters = %+v, status = %+v", c, st)
	}
	p.start()
	closeNow(t, x)
	p.finish()
	lines := p.got()
	if first := fmt.Sprintf("probe.self.n:%d|c", c.DroppedFull+1); len(lines) != st.QueueLines || lines[0] != first {
		t.Errorf("%d lines arrived from %q on, want %d from %q on", len(lines), lines[0], st.QueueLines, first)
	}
}

func TestSpoolOldLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wall := time.Unix(1_000_000, 0)
	opt := Options{Target: Target{Scheme: TCP}, SpoolDir: dir, QueueAge: time.Hour, Wall: func() time.Time { return wall }}
	q, _ := newTestQueue(t, opt)
	for i := range 2 {
		if _, err := q.push(fmt.Appendf(nil, "line %d\n", i), 1, 0); err != nil {
			t.Fatal(err)
		}
		wall = wall.Add(40 * time.Minute)
	}
	if err := q.close(); err != nil {
		t.Fatal(err)
	}
	// Another process, another clock: the first line is 80 minutes old now.
	opt.Now = func() time.Duration { return 5 * time.Second }
	q, c := newTestQueue(t, opt)
	defer q.close()
	if got := string(q.take(opt.Now())); got != "line 1\n" || c.droppedAge.Load() != 1 {
		t.Errorf("first is %q, %d dropped", got, c.droppedAge.Load())
	}
}

// With the disk full, lines go on to a receiver that is there, through memory.
func TestSpoolDiskFull(t *testing.T) {
	dir := testutil.SmallDisk(t, "128k")
	p := newPeer(t, Unix)
	p.stop()
	clock := &lockedClock{}
	opt := spoolOptions(p.target, dir)
	opt.Now = clock.now
	x, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	const n = 12_000 // 250 KB
	for first := 1; first <= n; first += 500 {
		if err := x.Export(context.Background(), numbered(first, 500)); errors.Is(err, ErrSpool) {
			said++
			if !errors.Is(err, syscall.ENOSPC) {
				t.Error(err)
			}
		}
		clock.advance(10 * time.Second)
	}
	if c := x.Counters(); c.ErrorsSpool < 10 || c.DroppedFull != 0 {
		t.Errorf("counters = %+v", c)
	}
	if said < 1 || said > 4 { // in at most 4 minutes
		t.Errorf("said %d times", said)
	}
	p.start()
	closeNow(t, x)
	p.finish()
	checkNumbers(t, p.got(), n)
}

// At the end, lines that found no room on the disk are counted, those on it are
// not.
func TestSpoolAbandonsWhatIsNotInIt(t *testing.T) {
	t.Parallel()
	q, c := newTestQueue(t, Options{Target: Target{Scheme: TCP}, SpoolDir: t.TempDir()})
	defer q.close()
	if _, err := q.push([]byte("on disk\n"), 1, 0); err != nil {
		t.Fatal(err)
	}
	writable := q.spool.segments[0].file
	defer writable.Close()
	var err error
	if q.spool.segments[0].file, err = os.Open(writable.Name()); err != nil {
		t.Fatal(err)
	}
	if _, err := q.push([]byte("in memory\n"), 1, 0); !errors.Is(err, ErrSpool) {
		t.Fatal(err)
	}
	if n := q.abandon(); n != 1 || c.droppedClosed.Load() != 1 || len(q.entries) != 1 {
		t.Errorf("%d lines abandoned, %d counted, %d payloads left", n, c.droppedClosed.Load(), len(q.entries))
	}
}

// Of a payload that had arrived in part, the next process finds the rest only.
func TestSpoolCountsTheRestOfAPayload(t *testing.T) {
	t.Parallel()
	opt := Options{Target: Target{Scheme: TCP}, SpoolDir: t.TempDir()}
	var sent uint64
	for round, want := range []string{"a\nb\nc\n", "c\n"} {
		q, c := newTestQueue(t, opt)
		if round == 0 {
			if _, err := q.push([]byte(want), 3, 0); err != nil {
				t.Fatal(err)
			}
		}
		chunk := string(q.take(0))
		if _, lines := q.waiting(); chunk != want || lines != strings.Count(want, "\n") {
			t.Errorf("%q with %d lines, want %q", chunk, lines, want)
		}
		q.wrote(len(chunk))
		q.confirm(uint64(min(len(chunk), 4)), 0)
		q.rewind(false, 0)
		sent += c.linesSent.Load()
		if err := q.close(); err != nil {
			t.Fatal(err)
		}
	}
	if sent != 3 {
		t.Errorf("%d lines sent, want 3", sent)
	}
}
