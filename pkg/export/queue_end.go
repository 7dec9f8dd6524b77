// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// abandon ends the queue, after its last connection. What is in memory goes to
// the spool, if there is one that takes it; the rest is counted.
func (q *queue) abandon() (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.spool != nil {
		q.shelve()
	}
	for i := len(q.entries) - 1; i >= 0; i-- {
		if q.entries[i].ref == (spoolRef{}) {
			dropped += q.drop(i, &q.counters.droppedClosed)
		}
	}
	return dropped
}

// shelve moves entries from memory to the spool, whose disk was full when they
// came and may have room again. They keep their order among themselves, and are
// behind those that are there: what is confirmed is noted as a place in a row.
func (q *queue) shelve() {
	var shelved []*entry
	for i := 0; i < len(q.entries); {
		e := q.entries[i]
		if e.ref != (spoolRef{}) {
			i++
			continue
		}
		s, err := q.toSpool(e)
		if err != nil {
			q.counters.errorsSpool.Add(1)
			break
		}
		shelved = append(shelved, s)
		q.entries = slices.Delete(q.entries, i, i+1)
		q.lines -= e.lines - e.counted
		q.release(e)
	}
	if len(shelved) == 0 {
		return
	}
	q.next, q.written, q.acked = 0, 0, 0
	for _, e := range shelved {
		q.add(e)
	}
	q.rewriteStart()
	q.saveAcked()
}

// toSpool writes what is not confirmed of an entry. Nothing older makes room for
// it.
func (q *queue) toSpool(e *entry) (*entry, error) {
	payload := q.unwrap(e.wire[e.skip:])
	if q.spool.full(len(payload)) {
		return nil, fmt.Errorf("%w: full", ErrSpool)
	}
	lines := bytes.Count(payload, []byte{'\n'})
	came := q.opt.Wall().Add(e.at - q.opt.Now())
	ref, err := q.onDisk(payload, lines, came.UnixNano())
	if err != nil {
		return nil, err
	}
	waiting := e.lines - e.counted // fewer than lines, if some are to be sent again
	return &entry{size: len(payload) + q.prefix(), lines: lines, counted: lines - waiting, at: e.at, ref: ref}, nil
}

// unwrap undoes wrap.
func (q *queue) unwrap(wire []byte) []byte {
	if !q.prefixed {
		return wire
	}
	var payload []byte
	for len(wire) > prefixBytes {
		end := prefixBytes + int(binary.LittleEndian.Uint32(wire))
		payload = append(payload, wire[prefixBytes:end]...)
		wire = wire[end:]
	}
	return payload
}
