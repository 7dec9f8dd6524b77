// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/thejerf/suture/v4"
)

// errStuck: the agent was told to stop and could not in time.
var errStuck = errors.New("not stopped in time")

// supervise runs the pipeline, and beside it the parts that can be restarted,
// until ctx ends or the pipeline fails. The others outlive the pipeline, so that
// they take what it has at the end.
func (a *Agent) supervise(ctx context.Context) error {
	services := []suture.Service{a.deliver, newWatchdog(a.parts, a.clock.Now, a.log, a.notify)}
	if a.signals != nil {
		services = append(services, a.signals)
	}
	if a.memory != nil {
		services = append(services, a.memory, &syncer{a.memory, &a.parts.disk})
	}
	if a.server != nil {
		services = append(services, a.server)
	}
	treeCtx, stopTree := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTree()
	treeDone := newTree(a.log, a.parts, services...).ServeBackground(treeCtx)

	ended := make(chan error, 1)
	go func() { ended <- a.pipeline(ctx) }()
	err := a.awaitPipeline(ctx, ended)
	stopTree()
	<-treeDone // bounded by stopTimeout
	return err
}

// pipeline is the loop and what follows it. A panic is a failure like others:
// what was counted before it still leaves.
func (a *Agent) pipeline(ctx context.Context) error {
	a.host.start(ctx)
	err := a.guard(func() error { return a.loop(ctx) })
	close(a.stopping)
	a.host.end()
	defer a.host.close()
	return errors.Join(err, a.guard(a.finish))
}

func (a *Agent) guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("the pipeline panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the pipeline panicked: %v", p)
		}
	}()
	return fn()
}

// awaitPipeline waits for the end, and not longer than the shutdown timeout
// from when it was told to end, or began to by itself.
func (a *Agent) awaitPipeline(ctx context.Context, ended <-chan error) error {
	select {
	case <-ctx.Done():
	case <-a.stopping:
	}
	a.notify.stopping()
	limit := time.Duration(a.shutdownTimeout.Load())
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		return fmt.Errorf("%w: after %v still busy with %s; what it had is lost",
			errStuck, limit, stage(a.parts.at.Load()))
	}
}
