// SPDX-License-Identifier: Apache-2.0

package export

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func newTestQueue(t testing.TB, opt Options) (*queue, *counters) {
	t.Helper()
	c := new(counters)
	if opt.Now == nil {
		opt.Now = func() time.Duration { return 0 }
	}
	if opt.Wall == nil {
		opt.Wall = func() time.Time { return time.Unix(1_000_000, 0) }
	}
	q, err := newQueue(opt.withDefaults(), c)
	if err != nil {
		t.Fatal(err)
	}
	return q, c
}

// model is a receiver behind connections that break: of what was written to a
// connection it has read some, and kept the whole lines of that.
type model struct {
	prefixed       bool
	wire           []byte // written to this connection
	read, accepted int    // of wire; what the kernel has confirmed is never less than accepted
	got            []string
}

// end keeps what was read whole.
func (m *model) end() {
	b := m.wire[:m.read]
	for m.prefixed && len(b) >= prefixBytes {
		n := int(binary.LittleEndian.Uint32(b))
		if len(b) < prefixBytes+n {
			break
		}
		m.keep(b[prefixBytes : prefixBytes+n])
		b = b[prefixBytes+n:]
	}
	if !m.prefixed {
		m.keep(b[:strings.LastIndexByte(string(b), '\n')+1])
	}
	m.wire, m.read, m.accepted = nil, 0, 0
}

func (m *model) keep(lines []byte) {
	for line := range strings.Lines(string(lines)) {
		m.got = append(m.got, strings.TrimSuffix(line, "\n"))
	}
}

// Whatever connections do, every line arrives, and in order but for lines that
// are sent twice.
func TestQueueLosesNothing(t *testing.T) {
	t.Parallel()
	for _, scheme := range streamSchemes() {
		for _, spooled := range []bool{false, true} {
			t.Run(fmt.Sprint(scheme, " spool ", spooled), func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(t *rapid.T) { playQueue(t, scheme, spooled) })
			})
		}
	}
}

func playQueue(t *rapid.T, scheme Scheme, spooled bool) {
	opt := Options{Target: Target{Scheme: scheme, Path: "/x"}}
	if spooled {
		dir, err := os.MkdirTemp("", "spool")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		opt.SpoolDir = dir
	}
	c := new(counters)
	opt.Now = func() time.Duration { return 0 }
	opt.Wall = func() time.Time { return time.Unix(1_000_000, 0) }
	q, err := newQueue(opt.withDefaults(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.close() }()
	m := &model{prefixed: scheme == UnixDD}
	pushed, kills := 0, 0
	for range rapid.IntRange(0, 60).Draw(t, "steps") {
		switch rapid.IntRange(0, 6).Draw(t, "do") {
		case 0, 1:
			var payload []byte
			n := rapid.IntRange(1, 200).Draw(t, "lines")
			for range n {
				pushed++
				payload = fmt.Appendf(payload, "%d%s\n", pushed, strings.Repeat("x", pushed%30))
			}
			if _, err := q.push(payload, n, 0); err != nil {
				t.Fatal(err)
			}
		case 2, 3:
			writeSome(t, q, m)
		case 4:
			confirmSome(t, q, m)
		case 5:
			breakConnection(t, q, m, scheme)
		case 6:
			if !spooled {
				continue
			}
			kills++ // the receiver reads what has arrived
			m.read = rapid.IntRange(m.accepted, len(m.wire)).Draw(t, "read")
			m.end()
			err := q.close() // with nothing put into the spool
			if q, err = newQueue(opt.withDefaults(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	for chunk := q.take(0); chunk != nil; chunk = q.take(0) {
		m.wire = append(m.wire, chunk...)
		q.wrote(len(chunk))
	}
	q.confirm(uint64(len(m.wire)-m.accepted), 0)
	m.read = len(m.wire)
	m.end()
	checkModel(t, m, pushed)
	if b, n := q.waiting(); b != 0 || n != 0 || len(q.entries) != 0 {
		t.Fatalf("left: %d bytes, %d lines", b, n)
	}
	if sent := c.linesSent.Load(); sent != uint64(pushed) && kills == 0 {
		t.Fatalf("%d lines in the books, pushed %d", sent, pushed)
	}
}

// someOf is any number up to n, and often n: numbers drawn by themselves are small.
func someOf(n int) *rapid.Generator[int] {
	return rapid.OneOf(rapid.Just(n), rapid.IntRange(0, n))
}

func writeSome(t *rapid.T, q *queue, m *model) {
	chunk := q.take(0)
	if chunk == nil {
		return
	}
	n := someOf(len(chunk)).Draw(t, "written")
	m.wire = append(m.wire, chunk[:n]...)
	q.wrote(n)
}

func confirmSome(t *rapid.T, q *queue, m *model) {
	n := someOf(len(m.wire)-m.accepted).Draw(t, "confirmed")
	m.accepted += n
	m.read = max(m.read, m.accepted)
	q.confirm(uint64(n), 0)
}

// breakConnection: in order, when the kernel's last word is what was read; or
// by a reset, when less was read than TCP confirmed, or more than the last
// confirmation said.
func breakConnection(t *rapid.T, q *queue, m *model, scheme Scheme) {
	reset := rapid.Bool().Draw(t, "reset")
	switch {
	case reset && scheme == TCP:
		m.read = rapid.IntRange(max(m.accepted-replayBytes/2, 0), len(m.wire)).Draw(t, "read")
	case reset:
		m.read = rapid.IntRange(m.accepted, len(m.wire)).Draw(t, "read")
	default:
		m.read = rapid.IntRange(m.accepted, len(m.wire)).Draw(t, "read")
		q.confirm(uint64(m.read-m.accepted), 0)
	}
	m.end()
	q.rewind(reset && scheme == TCP, 0)
}

func checkModel(t *rapid.T, m *model, pushed int) {
	next := 1
	for _, line := range m.got {
		var n int
		if _, err := fmt.Sscanf(line, "%d", &n); err != nil || line != fmt.Sprint(n)+strings.Repeat("x", n%30) {
			t.Fatalf("line %q: %v", line, err)
		}
		if n > next {
			t.Fatalf("%d came after %d", n, next-1)
		}
		next = n + 1
	}
	if next != pushed+1 {
		t.Fatalf("the last one is %d of %d", next-1, pushed)
	}
}

// The buffer that is written now is not the one that is dropped.
func TestQueueDropsNothingOnItsWay(t *testing.T) {
	t.Parallel()
	q, c := newTestQueue(t, Options{Target: Target{Scheme: TCP}, QueueBytes: MinQueueBytes})
	payload := []byte(strings.Repeat("0123456789abcde\n", 1024)) // an entry
	for range 16 {
		if _, err := q.push(payload, 1024, 0); err != nil {
			t.Fatal(err)
		}
	}
	chunk := q.take(0)
	q.wrote(5)
	dropped, _ := q.push(payload, 1024, 0)
	if dropped != 1024 || c.droppedFull.Load() != 1024 {
		t.Errorf("dropped %d lines: %d", dropped, c.droppedFull.Load())
	}
	if again := q.take(0); &again[0] != &chunk[5] {
		t.Error("what was on its way has gone")
	}
	for chunk := q.take(0); chunk != nil; chunk = q.take(0) {
		q.wrote(len(chunk))
	}
	if dropped, _ := q.push(payload, 1024, 0); dropped != 1024 {
		t.Errorf("all is on its way, and %d lines were dropped", dropped)
	}
	if q.bytes > MinQueueBytes {
		t.Errorf("%d bytes in memory", q.bytes)
	}
}

// After a reset what the peer's kernel had confirmed is sent again, within
// bounds, and only what this connection had sent.
func TestQueueReplaysAfterReset(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("x", 99) + "\n"
	payload := []byte(strings.Repeat(line, 100))
	tests := map[string]struct {
		pushes      int
		after       time.Duration
		reset       bool
		unread      int
		wantReplays uint64
	}{
		"in order":            {20, 0, false, 0, 0},
		"all of it":           {3, 0, true, 0, 300},
		"64 KiB":              {20, 0, true, 0, 655},
		"the peer is behind":  {20, 0, true, 150_000, 1500},
		"and that is bounded": {300, 0, true, 1 << 30, maxReplay / 100},
		"long ago":            {3, replayAge + 1, true, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, c := newTestQueue(t, Options{Target: Target{Scheme: TCP}})
			for range tt.pushes {
				if _, err := q.push(payload, 100, 0); err != nil {
					t.Fatal(err)
				}
				chunk := q.take(0)
				q.wrote(len(chunk))
				q.keepForReplay(tt.unread)
				q.confirm(uint64(len(chunk)), 0)
			}
			for range 2 { // a second reset finds nothing new
				q.rewind(tt.reset, tt.after)
				if got := c.linesReplayed.Load(); got != tt.wantReplays {
					t.Fatalf("%d lines replayed, want %d", got, tt.wantReplays)
				}
			}
			n := 0
			for chunk := q.take(0); chunk != nil; chunk = q.take(0) {
				if string(chunk[:100]) != line {
					t.Fatalf("replay begins within a line: %q", chunk[:100])
				}
				n += len(chunk)
				q.wrote(len(chunk))
			}
			if n != int(tt.wantReplays)*100 {
				t.Errorf("%d bytes again", n)
			}
		})
	}
}

// What is too old to be sent again is not counted as sent again.
func TestQueueCountsWhatItReplays(t *testing.T) {
	t.Parallel()
	q, c := newTestQueue(t, Options{Target: Target{Scheme: TCP}})
	for _, now := range []time.Duration{0, replayAge - 1} {
		if _, err := q.push([]byte("line\n"), 1, now); err != nil {
			t.Fatal(err)
		}
		chunk := q.take(now)
		q.wrote(len(chunk))
		q.confirm(uint64(len(chunk)), now)
	}
	q.rewind(true, replayAge+1)
	if again := string(q.take(0)); again != "line\n" || len(q.entries) != 1 || c.linesReplayed.Load() != 1 {
		t.Errorf("%q again in %d entries, %d lines counted", again, len(q.entries), c.linesReplayed.Load())
	}
}
