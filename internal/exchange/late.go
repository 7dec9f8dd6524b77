// SPDX-License-Identifier: Apache-2.0

package exchange

import "probe/pkg/events"

// A client with a reader and a writer can have read the response before the
// call that wrote the request returned to be seen. The kernel marks both
// records (events.HasLate); the first waits here for the second.

const (
	// maxLate bounds the records of one connection that wait for a request.
	maxLate = 16
	// lateBatches is for how many batches they wait, of 3 to 10 ms each: a
	// preempted writer needs milliseconds, on a busy host tens of them.
	lateBatches = 16
)

// take applies a record, or lets it wait with those before it.
func (t *Tracker) take(c *conn, r *events.Record) {
	opens := r.Has&events.HasLate != 0 && r.Has&events.HasStart == 0
	if len(c.late) == 0 && !opens {
		t.apply(c, r)
		return
	}
	if int32(r.Seq-c.next) >= 0 {
		c.next = r.Seq + 1
	}
	switch {
	case r.Has&(events.HasLate|events.HasStart) == events.HasLate|events.HasStart:
		t.apply(c, r)
		t.applyLate(c)
	case r.Has&events.HasClose != 0, len(c.late) >= maxLate:
		t.applyLate(c)
		t.apply(c, r)
	default:
		if c.lateAge == 0 { // else it is listed: it can wait often in one batch
			t.late = append(t.late, c)
		}
		if len(c.late) == 0 {
			c.lateAge = 1
		}
		c.late = append(c.late, r.Append(nil))
	}
}

// dropLate drops a request that nothing waits for: its response was told without
// it, or is lost. It must not get the next one.
func (t *Tracker) dropLate(c *conn, i int) {
	t.stats.Evicted++
	t.dropAt(c, i)
}

// applyLate applies what has waited, with or without its request.
func (t *Tracker) applyLate(c *conn) {
	next := c.next
	waiting := c.late
	c.late = nil
	for _, raw := range waiting {
		var r events.Record
		if events.Decode(raw, &r) == nil {
			t.apply(c, &r)
		}
	}
	c.next = next
}

// endLate gives up on requests that did not come.
func (t *Tracker) endLate() {
	kept := t.late[:0]
	for _, c := range t.late {
		if len(c.late) > 0 && c.lateAge < lateBatches {
			c.lateAge++
			kept = append(kept, c)
			continue
		}
		c.lateAge = 0
		t.applyLate(c)
	}
	clear(t.late[len(kept):])
	t.late = kept
}
