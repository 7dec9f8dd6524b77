// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"slices"
	"time"
)

// What a connection does with the queue: take, wrote, confirm, and at its end
// rewind.

// take returns the next bytes to write, or nil when all is written. They stay
// valid until they are confirmed.
func (q *queue) take(now time.Duration) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next < len(q.entries) && !q.entries[q.next].started {
		q.expire(now)
	}
	for q.next < len(q.entries) {
		e := q.entries[q.next]
		if !q.load(e) {
			q.drop(q.next, &q.counters.droppedSpool)
			continue
		}
		if !e.started {
			q.rewriteStart()
			e.started = true
		}
		return e.wire[q.written:]
	}
	return nil
}

// load reads an entry that is only on disk.
func (q *queue) load(e *entry) bool {
	if e.wire != nil {
		return true
	}
	payload, err := q.spool.read(e.ref)
	if err != nil {
		q.counters.errorsSpool.Add(1)
		return false
	}
	e.wire = q.wrap(payload)
	e.size = len(e.wire)
	q.bytes += e.size
	return true
}

// wrote tells that n of the bytes taken are on their way.
func (q *queue) wrote(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written += n
	if n > 0 && q.written == q.entries[q.next].size {
		q.next++
		q.written = 0
		q.rewriteStart()
	}
}

// confirm tells that the peer has n more of the bytes written.
func (q *queue) confirm(n uint64, now time.Duration) {
	if n == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.confirmedAt = now
	for n > 0 && len(q.entries) > 0 {
		e := q.entries[0]
		rest := e.size - q.acked
		if n < uint64(rest) {
			q.acked += int(n)
			break
		}
		n -= uint64(rest)
		q.entries[0] = nil
		q.entries = q.entries[1:]
		q.next--
		q.acked = 0
		if len(q.entries) > 0 {
			q.acked = q.entries[0].skip
		}
		q.count(e, e.lines)
		e.ackedAt = now
		q.retain(e)
	}
	q.saveAcked()
}

// keepForReplay says how much a peer may have confirmed and not read.
func (q *queue) keepForReplay(unread int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := min(maxReplay, q.opt.QueueBytes/4)
	if q.spool != nil { // they take room from what is new
		limit = min(limit, int(q.spool.limit/4))
	}
	q.replayLimit = max(replayBytes, min(unread, limit))
}

// count brings the first lines of an entry into the books as sent.
func (q *queue) count(e *entry, lines int) {
	if lines > e.counted {
		q.counters.linesSent.Add(uint64(lines - e.counted))
		q.lines -= lines - e.counted
		e.counted = lines
	}
}

// retain keeps a confirmed entry for a possible replay, with its place on disk:
// what is to be sent again must outlive a kill as well.
func (q *queue) retain(e *entry) {
	q.replay = append(q.replay, e)
	for size := q.replaySize(); len(q.replay) > 0 && size-q.replay[0].size >= q.replayLimit; {
		size -= q.replay[0].size
		q.forget()
	}
	q.signal()
}

func (q *queue) replaySize() (size int) {
	for _, e := range q.replay {
		size += e.size
	}
	return size
}

// forget releases the oldest entry kept for a replay.
func (q *queue) forget() {
	e := q.replay[0]
	q.replay = slices.Delete(q.replay, 0, 1)
	q.release(e)
}

// rewind makes everything that is not confirmed unsent again, from the start of
// the first unconfirmed line. After a reset, what was confirmed last is sent
// again as well, because the peer may not have read it.
func (q *queue) rewind(reset bool, now time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	budget := 0
	if reset && now-q.confirmedAt <= replayAge {
		budget = q.replayLimit
	}
	if len(q.entries) > 0 && q.entries[0].started {
		e := q.entries[0]
		floor := e.skip
		e.skip = q.lineStart(e, q.acked)
		q.count(e, q.linesBefore(e, e.skip))
		budget -= q.back(e, floor, budget)
	}
	for _, e := range q.entries[:min(q.next+1, len(q.entries))] {
		e.started = false
	}
	for n := len(q.replay); n > 0; n-- {
		e := q.replay[n-1]
		if now-e.ackedAt > replayAge {
			break
		}
		floor := e.skip
		e.skip = e.size
		used := q.back(e, floor, budget)
		if used == 0 {
			break
		}
		budget -= used
		e.started = false
		q.replay = q.replay[:n-1]
		q.entries = slices.Insert(q.entries, 0, e)
	}
	for len(q.replay) > 0 {
		q.forget()
	}
	q.next, q.written, q.acked = 0, 0, 0
	q.rewriteStart()
	q.saveAcked()
}

// back moves the skip of an entry back to the start of a line, by at most
// budget bytes and not beyond floor, and returns by how many.
func (q *queue) back(e *entry, floor, budget int) int {
	end := e.skip
	start := max(end-budget, floor)
	if start >= end {
		return 0
	}
	if start > floor {
		if q.prefixed {
			return 0
		}
		if first := q.lineStart(e, start); first < start { // that line is too long
			start = first + bytes.IndexByte(e.wire[first:], '\n') + 1
		}
	}
	q.counters.linesReplayed.Add(uint64(q.linesBefore(e, end) - q.linesBefore(e, start)))
	e.skip = start
	return end - start
}

// saveAcked notes on disk what need not be sent again after a restart.
func (q *queue) saveAcked() {
	if q.spool == nil {
		return
	}
	for i, e := range q.entries {
		if e.ref == (spoolRef{}) {
			continue
		}
		skip := e.skip
		if i == 0 && e.started {
			skip = max(skip, q.lineStart(e, q.acked))
		}
		q.spool.saveAcked(e.ref.seq, max(skip-q.prefix(), 0))
		return
	}
	q.spool.saveAcked(q.spool.nextSeq, 0)
}

// waiting returns what is not confirmed: bytes and lines.
func (q *queue) waiting() (bytes, lines int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		bytes += e.size - e.skip
	}
	return bytes - q.ackedBytes(), q.lines
}

// waitsSince is when the peer last confirmed something, or since when there is
// something to confirm; now if there is not.
func (q *queue) waitsSince(now time.Duration) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries) == 0 {
		return now
	}
	return max(q.confirmedAt, q.entries[0].at)
}

func (q *queue) ackedBytes() int {
	if len(q.entries) == 0 {
		return 0
	}
	return max(q.acked-q.entries[0].skip, 0)
}

func (q *queue) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.spool == nil {
		return nil
	}
	return q.spool.close()
}
