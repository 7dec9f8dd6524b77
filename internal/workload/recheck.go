// SPDX-License-Identifier: Apache-2.0

package workload

import "time"

// isDoubted: a name of another command may mean another process, or another
// program of the same, or only another thread. So may another group.
func (e *entry) isDoubted(p *Process) bool { return e.hasOtherComm(p) || e.hasOtherGroup(p) }

func (e *entry) hasOtherComm(p *Process) bool {
	return p.Comm != "" && p.Comm != e.comms[0] && p.Comm != e.comms[1]
}

func (e *entry) hasOtherGroup(p *Process) bool {
	return p.Group != 0 && p.Group != e.groups[0] && p.Group != e.groups[1]
}

// doubt looks at once. Its share of the budget is bounded: threads may have as
// many names as they like.
func (r *Resolver) doubt(e *entry, p *Process, nowNS uint64) {
	if r.recheckWindowOver(nowNS) || r.doubts < maxDoubtsPerSecond {
		r.doubts++
		r.recheck(e, p, nowNS)
	}
}

// recheck looks whether the entry's pid still belongs to the same process and
// names the new one if not. Over the budget the entry stays due.
func (r *Resolver) recheck(e *entry, p *Process, nowNS uint64) {
	r.recheckWindowOver(nowNS)
	if r.rechecks >= maxRechecksPerSecond {
		return
	}
	r.rechecks++
	r.rechecked.Add(1)
	e.checkedNS = nowNS
	if e.hasOtherComm(p) {
		e.comms[0], e.comms[1] = p.Comm, e.comms[0]
	}
	elsewhere := e.hasOtherGroup(p)
	if elsewhere {
		e.groups[0], e.groups[1] = p.Group, e.groups[0]
	}
	process := r.proc.identity(p.PID)
	gone := process.startTicks == 0
	switch {
	case gone && !elsewhere: // the last requests of the dead still arrive
	case gone || !e.process.matches(process):
		r.renamed.Add(1)
		r.begin(e, p, nowNS)
	case e.nameless: // perhaps somebody knows by now
		r.again(e, p, nowNS)
	}
}

// recheckWindowOver begins a new second of the budget where one is over.
func (r *Resolver) recheckWindowOver(nowNS uint64) bool {
	if nowNS-r.recheckWindowNS < uint64(time.Second) {
		return false
	}
	r.recheckWindowNS, r.rechecks, r.doubts = nowNS, 0, 0
	return true
}
