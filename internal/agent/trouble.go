// SPDX-License-Identifier: Apache-2.0

package agent

import "time"

// complaintEvery is between two log lines about the same trouble.
const complaintEvery = time.Minute

// trouble decides when an interval that went wrong is worth a line of the log: the
// first at once, then those that came together once a minute, and the end when for
// a minute there was none. The zero value: all is well.
type trouble struct {
	going bool
	// toldNS is when the last line was written, lastNS when something went wrong last.
	toldNS, lastNS uint64
	intervals      int // that went wrong since the last line
}

// news is what a line is to say.
type news int

const (
	nothing news = iota
	goesOn
	isOver
)

// note an interval. Returns also how many went wrong since the last line.
func (t *trouble) note(wrong bool, nowNS uint64) (what news, intervals int) {
	first := wrong && !t.going
	if wrong {
		t.going, t.lastNS = true, nowNS
		t.intervals++
	}
	intervals = t.intervals
	switch {
	case !t.going:
	case nowNS-t.lastNS >= uint64(complaintEvery):
		*t = trouble{}
		return isOver, intervals
	case first || intervals > 0 && nowNS-t.toldNS >= uint64(complaintEvery):
		t.toldNS, t.intervals = nowNS, 0
		return goesOn, intervals
	}
	return nothing, 0
}
