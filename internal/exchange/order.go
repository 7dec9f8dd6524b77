// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"slices"

	"probe/pkg/events"
)

const (
	// maxHeld bounds the records of one connection that wait for an earlier one.
	// Two CPUs can swap neighbours; more than a few missing means they were lost.
	maxHeld = 4
	// heldBatches is how many batches they wait, of 3 to 10 ms each: between the
	// number of a record and the record, a CPU can be busy with interrupts for
	// milliseconds, or be taken away.
	heldBatches = 16
	// maxHolding bounds the connections that wait; with more, a full ring has
	// lost the records.
	maxHolding = 1024
)

// outOfOrder decides about a record that is not the next one. True: take it now.
func (t *Tracker) outOfOrder(c *conn, r *events.Record) bool {
	if int32(r.Seq-c.next) < 0 {
		// Late: its messages were given up, only what it says of the
		// connection still holds.
		r.Has &^= events.HasStart | events.HasStatus | events.HasMore | events.HasLate
		return true
	}
	if c.heldAge == 0 {
		t.held = append(t.held, c)
	}
	if len(c.held) == 0 {
		c.heldAge = 1
	}
	c.held = append(c.held, r.Append(nil))
	if len(c.held) > maxHeld {
		t.release(c)
	}
	return false
}

// replay takes the held records whose turn has come.
func (t *Tracker) replay(c *conn) {
	for again := true; again; {
		again = false
		for i, raw := range c.held {
			var r events.Record
			if events.Decode(raw, &r) == nil && r.Seq == c.next {
				c.held = slices.Delete(c.held, i, i+1)
				t.take(c, &r)
				again = true
				break
			}
		}
	}
}

// release gives up waiting: held records are taken in order, gaps are counted.
func (t *Tracker) release(c *conn) {
	records := make([]events.Record, 0, len(c.held))
	for _, raw := range c.held {
		var r events.Record
		if events.Decode(raw, &r) == nil {
			records = append(records, r)
		}
	}
	c.held = c.held[:0]
	slices.SortFunc(records, func(a, b events.Record) int { return int(int32(a.Seq - b.Seq)) })
	for i := range records {
		if records[i].Seq != c.next && !c.gone {
			t.gap(c, &records[i])
		}
		t.take(c, &records[i])
	}
}

// gap notes that the records before r are lost. Not so if r has no addresses and
// none were seen: then the connection was here before and is forgotten.
func (t *Tracker) gap(c *conn, r *events.Record) {
	if n := int32(r.Seq - c.next); n > 0 && (c.info != nil || r.Has&events.HasConn != 0) {
		t.stats.LostRecords += uint64(n)
	}
	c.sureResp = false
	c.doubt()
}

// doubt marks what may be paired wrongly, until nothing is open.
func (c *conn) doubt() {
	c.unsure = true
	for _, e := range c.queue {
		e.flags |= uncertain
	}
}

// EndBatch is called when the ring was read to its end: a record that is still
// missing after a few of them was lost.
func (t *Tracker) EndBatch() {
	batches := heldBatches
	if len(t.held) > maxHolding {
		batches = 0
	}
	t.endHeld(batches)
	t.endLate()
}

// Waits reports whether a record waits for another one. For how long is counted in
// calls of EndBatch, so they must go on.
func (t *Tracker) Waits() bool { return len(t.held)+len(t.late) > 0 }

// endHeld gives up on records that were missing for so many batches.
func (t *Tracker) endHeld(batches int) {
	kept := t.held[:0]
	for _, c := range t.held {
		if len(c.held) > 0 && int(c.heldAge) < batches {
			c.heldAge++
			kept = append(kept, c)
			continue
		}
		c.heldAge = 0
		if len(c.held) > 0 {
			t.release(c)
		}
	}
	clear(t.held[len(kept):])
	t.held = kept
}
