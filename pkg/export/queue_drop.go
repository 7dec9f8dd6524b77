// SPDX-License-Identifier: Apache-2.0

package export

import (
	"slices"
	"sync/atomic"
	"time"
)

// oldest returns the first entry that is not on its way and for which want is
// true, or -1.
func (q *queue) oldest(want func(*entry) bool) int {
	for i := q.next; i < len(q.entries); i++ {
		if e := q.entries[i]; !e.started && want(e) {
			return i
		}
	}
	return -1
}

// drop removes an entry that is not on its way.
func (q *queue) drop(i int, reason *atomic.Uint64) (lines int) {
	e := q.entries[i]
	lines = e.lines - e.counted
	reason.Add(uint64(lines))
	q.lines -= lines
	if i == q.next {
		q.written = 0
	}
	if i == 0 {
		q.acked = 0
	}
	q.entries = slices.Delete(q.entries, i, i+1)
	q.rewriteStart()
	q.release(e)
	q.saveAcked()
	return lines
}

// rewriteStart makes the offsets of the connection begin where the next entry
// does, if nothing of it was written.
func (q *queue) rewriteStart() {
	if q.next < len(q.entries) && !q.entries[q.next].started {
		q.written = q.entries[q.next].skip
		if q.next == 0 {
			q.acked = q.written
		}
	}
}

// expire drops what is too old.
func (q *queue) expire(now time.Duration) (dropped int) {
	for {
		i := q.oldest(func(*entry) bool { return true })
		if i < 0 || now-q.entries[i].at <= q.opt.QueueAge {
			return dropped
		}
		dropped += q.drop(i, &q.counters.droppedAge)
	}
}

// dropSegment frees the oldest file of the spool. Of its lines, those on their
// way stay in memory.
func (q *queue) dropSegment() (dropped int, freed bool) {
	segment, found := q.spool.oldest()
	if !found {
		return 0, false
	}
	for i := len(q.entries) - 1; i >= 0; i-- {
		e := q.entries[i]
		switch {
		case e.ref.segment != segment:
		case e.started:
			q.unspool(e)
		default:
			dropped += q.drop(i, &q.counters.droppedFull)
		}
	}
	for _, e := range q.replay {
		if e.ref.segment == segment {
			e.ref = spoolRef{}
		}
	}
	q.spool.retire(segment)
	return dropped, true
}

// onDisk writes a payload to the spool. Where there is no room on the disk, what
// has arrived gives its own back.
func (q *queue) onDisk(payload []byte, lines int, wallNS int64) (spoolRef, error) {
	ref, err := q.spool.append(payload, lines, wallNS)
	if err == nil {
		return ref, nil
	}
	for _, e := range q.replay {
		q.unspool(e)
	}
	if !q.spool.beginAnew() {
		return ref, err
	}
	return q.spool.append(payload, lines, wallNS)
}
