// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"probe/internal/workload"
	"probe/pkg/loader"
)

const (
	// judgeInterval is between two looks at what the kernel asks: a process that
	// starts is judged before it serves, in general.
	judgeInterval = time.Millisecond
	// maxUndecided bounds the processes whose container is being looked up.
	maxUndecided = 4096
)

// judging answers the kernel side, which asks for every new process whether it
// is wanted. It has a goroutine of its own and waits for no file.
type judging struct {
	judge  *workload.Judge
	log    *slog.Logger
	kernel interface {
		Processes(fn func(loader.Process)) error
		Asked(fn func(loader.Process)) error
		Judge(p loader.Process, wanted bool) error
	}
	nowNS     func() uint64
	undecided []loader.Process

	wanted, unwanted, dropped atomic.Uint64
	failed                    error
	// firstWanted are the processes that were wanted, or not decided, at the start.
	firstWanted int
}

func newJudging(j *workload.Judge, log *slog.Logger) *judging { return &judging{judge: j, log: log} }

// first judges every process there is. The kernel side asks for all later ones.
func (j *judging) first() error {
	if err := j.kernel.Processes(j.decide); err != nil {
		return err
	}
	j.firstWanted = int(j.wanted.Load()) + len(j.undecided)
	return j.failed
}

func (j *judging) run(ctx context.Context) {
	ticker := time.NewTicker(judgeInterval)
	defer ticker.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		j.failed = nil
		err := j.turn()
		if err != nil && !told && ctx.Err() == nil {
			told = true
			j.log.Error("the filter does not learn of new processes", "error", err)
		}
	}
}

// turn decides again on the undecided, then on the new ones.
func (j *judging) turn() error {
	again := j.undecided
	j.undecided = nil
	for _, p := range again {
		j.decide(p)
	}
	if err := j.kernel.Asked(j.decide); err != nil {
		return err
	}
	return j.failed
}

func (j *judging) decide(p loader.Process) {
	verdict := j.judge.Wanted(p.PID, p.StartTicks(), j.nowNS())
	switch {
	case verdict != workload.Unknown:
	case len(j.undecided) < maxUndecided:
		j.undecided = append(j.undecided, p)
		return
	default:
		j.dropped.Add(1)
	}
	if verdict == workload.Wanted {
		j.wanted.Add(1)
	} else {
		j.unwanted.Add(1)
	}
	if err := j.kernel.Judge(p, verdict == workload.Wanted); err != nil {
		j.failed = err
	}
}

func (j *judging) report(add func(name string, value uint64)) {
	add("filter.processes_wanted", j.wanted.Load())
	add("filter.processes_unwanted", j.unwanted.Load())
	add("filter.dropped.undecided", j.dropped.Load())
}
