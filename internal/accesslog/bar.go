// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"time"

	"probe/pkg/events"
)

// barCells is the width of the bar that shows where a request's time went.
const barCells = 10

// Letters of the bar: one for the wait before the read, one for each part.
const queueLetter = 'q'

var partLetters = [events.NumParts]byte{
	events.PartCPU: 'c', events.PartRunQueue: 'r', events.PartThrottled: 't', events.PartMemory: 'm',
	events.PartLock: 'l', events.PartDisk: 'd', events.PartNet: 'n', events.PartSleep: 's',
	events.PartOther: 'o', events.PartUnattributed: '?',
}

// appendBar draws the time as cells, " [qccccccrrn]": each part gets the cells
// between its beginning and its end, rounded, so that the bar is always full.
func appendBar(b []byte, q *events.Request) []byte {
	if q.Times.Attribution == events.AttributionNone || q.Duration <= 0 {
		return b
	}
	b = append(b, " ["...)
	var sum time.Duration
	cells := 0
	add := func(letter byte, d time.Duration) {
		sum += d
		for end := int(float64(sum)/float64(q.Duration)*barCells + 0.5); cells < min(end, barCells); cells++ {
			b = append(b, letter)
		}
	}
	add(queueLetter, q.Wait.Accept+q.Wait.Socket)
	for p, d := range q.Times.Part {
		add(partLetters[p], d)
	}
	return append(b, ']')
}
