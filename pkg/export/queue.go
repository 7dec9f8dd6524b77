// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"encoding/binary"
	"sync"
	"time"
)

const (
	// entryBytes is the most payload of an entry: one write.
	entryBytes = streamPayload
	// maxSpare bounds the buffers kept for the next entries.
	maxSpare = 16
	// A TCP peer that dies before it has read everything resets the connection
	// and takes with it what its kernel had confirmed. So what was confirmed
	// last is sent again after a reset: replayBytes, or up to maxReplay when the
	// peer's window says that it is behind, but nothing older than replayAge.
	replayBytes = 64 << 10
	maxReplay   = 1 << 20
	replayAge   = 10 * time.Second
	// prefixBytes is the length before each payload in the framing of UnixDD.
	prefixBytes = 4
)

// entry is a row of whole lines.
type entry struct {
	// wire is what goes over the connection; nil while it is only on disk.
	wire  []byte
	size  int
	lines int
	// at is when the first line came, ackedAt when the last was confirmed.
	at, ackedAt time.Duration
	// skip are bytes of wire that need not be sent, because an earlier
	// connection has confirmed them; they end with a line. counted are the lines
	// that the books have as sent.
	skip, counted int
	// started: a connection has some of it, so it cannot be dropped.
	started bool
	ref     spoolRef
}

// queue keeps lines in the order they came until the peer has confirmed them.
// It is bounded in bytes and age: the oldest lines that are not on their way
// are dropped first. With a spool the lines are in files until they are sent.
//
// Offsets: entries[:next] are written to the connection, of entries[next] the
// first written bytes; of entries[0] the first acked bytes are confirmed.
type queue struct {
	opt      Options
	counters *counters
	prefixed bool // in the framing of UnixDD

	mu      sync.Mutex
	entries []*entry
	next    int
	written int
	acked   int
	// bytes is in memory or on its way there, lines all that are not counted.
	bytes, lines int
	// replay are the last entries that were confirmed, in order.
	replay []*entry
	// replayLimit is how much of them to keep, in bytes.
	replayLimit int
	// confirmedAt is the time of the last confirmation.
	confirmedAt time.Duration
	spare       [][]byte
	spool       *spool
	// room is closed and replaced when an entry leaves.
	room chan struct{}
}

func newQueue(opt Options, c *counters) (*queue, error) {
	q := &queue{
		opt: opt, counters: c, prefixed: opt.Target.Scheme == UnixDD, room: make(chan struct{}), replayLimit: replayBytes,
	}
	if opt.SpoolDir == "" {
		return q, nil
	}
	s, found, err := openSpool(opt.SpoolDir, opt.SpoolBytes)
	if err != nil {
		return nil, err
	}
	q.spool = s
	c.spoolTorn.Add(s.torn)
	now, wall := opt.Now(), opt.Wall()
	for _, r := range found {
		// A wall clock that was set back makes the lines younger, not eternal.
		age := max(wall.Sub(time.Unix(0, r.wallNS)), 0)
		e := &entry{size: r.ref.size + q.prefix(), lines: r.lines, at: now - age, ref: r.ref}
		if !q.prefixed { // a payload with a length before it is read as a whole
			e.skip, e.counted = r.skip, r.confirmed
		}
		q.add(e)
	}
	return q, nil
}

func (q *queue) prefix() int {
	if q.prefixed {
		return prefixBytes
	}
	return 0
}

// full reports whether n more bytes exceed the limit, on disk if there is a
// spool, else in memory.
func (q *queue) full(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.spool != nil {
		return q.spool.full(n)
	}
	return q.bytes+n+q.prefix() > q.opt.QueueBytes
}

// roomMade returns a channel that is closed when the next entry leaves.
func (q *queue) roomMade() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.room
}

// push appends a payload of so many lines and drops old ones to make room. The
// error is about the spool; the lines are in memory then.
func (q *queue) push(payload []byte, lines int, now time.Duration) (dropped int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	dropped = q.expire(now)
	if q.spool != nil {
		for q.spool.full(len(payload)) {
			n, freed := q.dropSegment()
			dropped += n
			if !freed {
				break
			}
		}
		var ref spoolRef
		if ref, err = q.onDisk(payload, lines, q.opt.Wall().UnixNano()); err == nil {
			q.add(&entry{size: len(payload) + q.prefix(), lines: lines, at: now, ref: ref})
			return dropped, nil
		}
		q.counters.errorsSpool.Add(1)
	}
	for q.bytes+len(payload)+q.prefix() > q.opt.QueueBytes {
		i := q.oldest(func(e *entry) bool { return e.wire != nil })
		if i < 0 {
			q.counters.droppedFull.Add(uint64(lines)) // all of it is on its way
			return dropped + lines, err
		}
		dropped += q.drop(i, &q.counters.droppedFull)
	}
	q.keep(payload, lines, now)
	return dropped, err
}

// keep holds a payload in memory, behind that of the last entry if both fit.
func (q *queue) keep(payload []byte, lines int, now time.Duration) {
	limit := q.opt.payloadLimit() + q.prefix()
	if n := len(q.entries); n > 0 {
		if e := q.entries[n-1]; !e.started && e.wire != nil && e.size+len(payload) <= limit && e.ref == (spoolRef{}) {
			e.wire = append(e.wire, payload...)
			e.size += len(payload)
			e.lines += lines
			q.setPrefix(e.wire)
			q.bytes += len(payload)
			q.lines += lines
			return
		}
	}
	wire := q.wrap(payload)
	q.add(&entry{wire: wire, size: len(wire), lines: lines, at: now})
}

// wrap copies a payload into a buffer, behind its length where there is one. One
// that is too long, because it was in the spool for another target, becomes several.
func (q *queue) wrap(payload []byte) []byte {
	var b []byte
	if n := len(q.spare); n > 0 {
		b, q.spare = q.spare[n-1][:0], q.spare[:n-1]
	} else {
		b = make([]byte, 0, entryBytes+prefixBytes)
	}
	limit := q.opt.payloadLimit()
	for q.prefixed && len(payload) > limit {
		end := bytes.LastIndexByte(payload[:limit], '\n') + 1
		if end == 0 { // this line fits in none
			end = bytes.IndexByte(payload, '\n') + 1
		}
		if end == len(payload) {
			break
		}
		b = q.appendPart(b, payload[:end])
		payload = payload[end:]
	}
	return q.appendPart(b, payload)
}

func (q *queue) appendPart(b, part []byte) []byte {
	first := len(b)
	b = append(append(b, make([]byte, q.prefix())...), part...)
	q.setPrefix(b[first:])
	return b
}

func (q *queue) setPrefix(wire []byte) {
	if q.prefixed {
		binary.LittleEndian.PutUint32(wire, uint32(len(wire)-prefixBytes))
	}
}

func (q *queue) add(e *entry) {
	q.entries = append(q.entries, e)
	q.lines += e.lines - e.counted
	if e.wire != nil {
		q.bytes += e.size
	}
}

// release gives back what an entry holds.
func (q *queue) release(e *entry) {
	if e.wire != nil {
		q.bytes -= e.size
		if cap(e.wire) >= entryBytes && len(q.spare) < maxSpare {
			q.spare = append(q.spare, e.wire)
		}
		e.wire = nil
	}
	q.unspool(e)
	q.signal()
}

// unspool gives up the place on disk of an entry, if it has one.
func (q *queue) unspool(e *entry) {
	if q.spool != nil && e.ref != (spoolRef{}) {
		q.spool.release(e.ref)
		e.ref = spoolRef{}
	}
}

// signal wakes those who wait for room.
func (q *queue) signal() {
	close(q.room)
	q.room = make(chan struct{})
}

// wakeUp lets those who wait for room think again.
func (q *queue) wakeUp() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.signal()
}

// lineStart returns the start of the line that holds the byte at offset.
func (q *queue) lineStart(e *entry, offset int) int {
	if offset >= e.size {
		return e.size
	}
	if q.prefixed {
		return 0
	}
	return bytes.LastIndexByte(e.wire[:offset], '\n') + 1
}

// linesBefore returns the number of lines that end before offset.
func (q *queue) linesBefore(e *entry, offset int) int {
	if offset >= e.size {
		return e.lines
	}
	if q.prefixed || e.wire == nil {
		return 0
	}
	return bytes.Count(e.wire[:offset], []byte{'\n'})
}
