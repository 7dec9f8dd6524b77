// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"time"

	"probe/pkg/events"
)

// takeTimes keeps what a record says of where the time went, if it is about the
// request of e: a connection has read only one request at any moment.
func (e *exchange) takeTimes(r *events.Record) {
	if r.ReadNS != e.readNS || e.readNS == 0 {
		return
	}
	switch {
	case r.Has&events.HasTimes != 0:
		e.times, e.timesNS, e.onCPU = r.Times, r.Times.UntilNS, false
	case r.Has&events.HasOnCPU != 0:
		e.timesNS, e.onCPU, e.loop = r.NowNS, true, r.Has&events.HasLoop != 0
	}
}

// fillTimes splits the time after the read. What the kernel did not tell, or
// told in a way that does not add up, is unattributed.
func (e *exchange) fillTimes(q *events.Request) {
	t := &q.Times
	left := q.Duration - q.Wait.Accept - q.Wait.Socket
	t.Attribution = events.AttributionPartial
	switch {
	case e.timesNS == 0 || q.EndNS < e.timesNS:
	case e.onCPU:
		t.Attribution = events.AttributionThread
		if e.loop {
			t.Attribution = events.AttributionLoop
		}
		t.Part[events.PartCPU] = min(left, since(e.readNS, e.timesNS))
	default:
		e.fillParts(t, left)
	}
	if e.behind && t.Attribution == events.AttributionThread {
		t.Attribution = events.AttributionLoop // some of it was for those before it
	}
	for i := range t.Part {
		left -= t.Part[i]
	}
	t.Part[events.PartUnattributed] += left
}

// clockSlack is by how much the sum may exceed the whole: the moment of a
// boundary is read a little before the thread's books are brought up to it.
const clockSlack = 10 * time.Microsecond

func (e *exchange) fillParts(t *events.Times, left time.Duration) {
	sum := time.Duration(0)
	for i, ns := range e.times.PartNS {
		t.Part[i] = time.Duration(ns)
		sum += t.Part[i]
		if t.Part[i] < 0 || sum < 0 {
			sum = left + time.Hour // nonsense: refuse it below
			break
		}
	}
	if over := sum - left; over > 0 {
		if over > clockSlack || over > t.Part[events.PartCPU] {
			t.Part = [events.NumParts]time.Duration{}
			return
		}
		t.Part[events.PartCPU] -= over
	}
	t.Attribution = e.times.Attribution
	t.MajorFaults, t.MinorFaults = e.times.MajorFaults, e.times.MinorFaults
	if e.times.PushedPID != 0 && 2*time.Duration(e.times.PushedNS) > t.Part[events.PartRunQueue] {
		t.PushedBy = events.Pusher{
			PID: e.times.PushedPID, CPU: e.times.PushedCPU,
			Comm: e.times.PushedComm, For: time.Duration(e.times.PushedNS),
		}
	}
}
