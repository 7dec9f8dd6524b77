// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"probe/pkg/events"
)

// blameLeast is the smallest share of a request's time that is worth a word,
// in per cent, and blameMost how many are named.
const (
	blameLeast = 5
	blameMost  = 4
)

var partWords = [events.NumParts]string{
	events.PartCPU: "on CPU", events.PartRunQueue: "waiting for a CPU", events.PartThrottled: "stopped by its CPU quota",
	events.PartMemory: "short of memory", events.PartLock: "lock", events.PartDisk: "disk", events.PartNet: "network",
	events.PartSleep: "sleep", events.PartOther: "blocked", events.PartUnattributed: "not attributed",
}

// cause is one share of a request's time.
type cause struct {
	words string
	time  time.Duration
	part  events.Part
}

// causesOf lists where the time went, the largest share first.
func causesOf(q *events.Request) []cause {
	all := []cause{
		{"waiting to be accepted", q.Wait.Accept, events.PartUnattributed},
		{"unread in the socket", q.Wait.Socket, events.PartUnattributed},
	}
	for p, d := range q.Times.Part {
		all = append(all, cause{partWords[p], d, events.Part(p)})
	}
	all = slices.DeleteFunc(all, func(c cause) bool { return percent(c.time, q.Duration) < blameLeast })
	slices.SortStableFunc(all, func(a, b cause) int { return cmp.Compare(b.time, a.time) })
	return all[:min(len(all), blameMost)]
}

func percent(part, whole time.Duration) int64 {
	if whole <= 0 {
		return 0
	}
	return int64(float64(part)/float64(whole)*100 + 0.5)
}

// appendBlame says in one sentence where the time of a request went:
// GET /api/items 212.40ms: 61 % waiting for CPU 3 (held by batch[4711]), 22 % lock.
func (p *Printer) appendBlame(b []byte, q *events.Request) []byte {
	if len(q.Method) == 0 {
		b = append(b, "(request not seen)"...)
	} else {
		b = append(appendVisible(b, q.Method), ' ')
		b = appendVisible(b, p.target(q))
		if q.Flags&events.FlagTargetCut != 0 {
			b = append(b, "..."...)
		}
	}
	b = append(b, ' ')
	b = appendDuration(b, q.Duration)
	b = append(b, ':')
	if q.Times.Attribution == events.AttributionNone {
		return append(b, " not measured"...)
	}
	for i, c := range causesOf(q) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, ' ')
		b = strconv.AppendInt(b, percent(c.time, q.Duration), 10)
		b = append(b, " % "...)
		b = appendCause(b, c, &q.Times.PushedBy)
	}
	return p.appendContext(b, q)
}

func appendCause(b []byte, c cause, by *events.Pusher) []byte {
	if c.part != events.PartRunQueue || by.PID == 0 {
		return append(b, c.words...)
	}
	b = append(b, "waiting for CPU "...)
	b = strconv.AppendUint(b, uint64(by.CPU), 10)
	b = append(b, " (held by "...)
	b = appendVisible(b, by.Name())
	b = append(b, '[')
	b = strconv.AppendUint(b, uint64(by.PID), 10)
	b = append(b, ']')
	if by.Service != "" && by.Service != by.Name() {
		b = appendVisible(append(b, " of "...), by.Service)
	}
	return append(b, ')')
}

// appendContext adds what else a reader must know: page faults from disk, whose
// time it is, and the host's memory pressure.
func (p *Printer) appendContext(b []byte, q *events.Request) []byte {
	if n := q.Times.MajorFaults; n > 0 {
		b = append(b, ", "...)
		b = strconv.AppendUint(b, uint64(n), 10)
		b = append(b, " major faults"...)
	}
	switch q.Times.Attribution {
	case events.AttributionLoop:
		b = append(b, ", thread shared with other requests"...)
	case events.AttributionHandoff:
		b = append(b, ", over two threads"...)
	}
	if p.opt.MemoryPressure == nil {
		return b
	}
	if some, ok := p.opt.MemoryPressure(); ok && some >= 1 {
		b = append(b, ", memory pressure some="...)
		b = strconv.AppendFloat(b, some, 'f', 0, 64)
		b = append(b, " %"...)
	}
	return b
}
