// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"sync"
	"sync/atomic"
)

// lookups are the workers.
type lookups struct {
	opt        Options
	containers *containers
	jobs       chan job
	results    chan job
	done       chan struct{}
	start      sync.Once
	stop       sync.Once
	running    atomic.Int32 // workers
	refused    atomic.Uint64
}

func (l *lookups) init(opt Options, c *containers) {
	l.opt, l.containers = opt, c
	l.jobs, l.results, l.done = make(chan job, maxJobs), make(chan job, maxJobs), make(chan struct{})
}

// submit never waits; false: there is no room. Safe for concurrent use.
func (l *lookups) submit(j job) bool {
	l.start.Do(func() {
		l.running.Store(minWorkers)
		for range minWorkers {
			go l.work()
		}
	})
	select {
	case l.jobs <- j:
		return true
	default:
		l.refused.Add(1)
		return false
	}
}

// relieve adds a worker, up to a limit, for one that hangs: a process can keep
// whoever reads its arguments waiting for ever, and is not to stop the others.
func (l *lookups) relieve() {
	n := l.running.Load()
	if n == 0 || n >= maxWorkers || !l.running.CompareAndSwap(n, n+1) {
		return
	}
	go l.work()
}

func (l *lookups) close() { l.stop.Do(func() { close(l.done) }) }

func (l *lookups) work() {
	proc := newProcReader(l.opt.ProcRoot)
	for {
		var j job
		select {
		case j = <-l.jobs:
		case <-l.done:
			return
		}
		l.lookUp(&proc, &j)
		if j.judge {
			continue
		}
		select {
		case l.results <- j:
		case <-l.done:
			return
		}
	}
}

// lookUp reads what may be slow.
func (l *lookups) lookUp(proc *procReader, j *job) {
	if j.group.containerID != "" {
		if d := l.containers.load(j.group, j.nowNS); d != nil {
			j.names.takeDetails(d)
		}
	}
	if j.judge || !j.needsProgram() {
		return
	}
	pid := pidOf(j.key)
	args := parseArgs(proc.file(pid, "cmdline"))
	if !j.process.matches(proc.identity(pid)) {
		args = nil // of another process
	}
	lang, _ := interpreterOf(j.names.Program)
	j.names.Program = lang.programName(j.names.Program, args)
}
