// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"time"

	"github.com/thejerf/suture/v4"
)

// What happens when a service fails: it is started again at once; after
// failureThreshold failures, of which half are forgiven every failureDecay, it
// waits for failureBackoff (with jitter) before each further start.
const (
	failureThreshold = 3
	failureDecay     = 60 // seconds
	failureBackoff   = 5 * time.Second
	// stopTimeout is how long a service may take to return when told to.
	stopTimeout = 2 * time.Second
)

// newTree supervises the parts that can be restarted. Each has a supervisor of
// its own, so that one that fails does not slow down the restarts of another.
//
// The pipeline is not among them. A restart of the reader would lose what was
// in flight without anybody noticing, so its failure ends the agent instead,
// with what it has flushed.
func newTree(log *slog.Logger, p *parts, services ...suture.Service) *suture.Supervisor {
	spec := suture.Spec{
		EventHook:        func(e suture.Event) { logEvent(log, p, e) },
		FailureThreshold: failureThreshold, FailureDecay: failureDecay, FailureBackoff: failureBackoff,
		Timeout: stopTimeout,
	}
	root := suture.New("agent", spec)
	for _, one := range services {
		alone := suture.New("supervisor", spec)
		alone.Add(one)
		root.Add(alone)
	}
	return root
}

func logEvent(log *slog.Logger, p *parts, event suture.Event) {
	switch e := event.(type) {
	case suture.EventServicePanic:
		p.restarted(e.ServiceName)
		log.Error("a part panicked", "part", e.ServiceName, "panic", e.PanicMsg, "stack", e.Stacktrace)
	case suture.EventServiceTerminate:
		p.restarted(e.ServiceName)
		log.Warn("a part failed", "part", e.ServiceName, "error", e.Err, "restarting", e.Restarting)
	case suture.EventStopTimeout:
		log.Warn("a part does not stop", "part", e.ServiceName)
	case suture.EventBackoff:
		log.Warn("a part fails again and again; waiting before the next start", "wait", failureBackoff)
	}
}

// restarted counts the restarts of a service, now or after a wait.
func (p *parts) restarted(service string) {
	for _, one := range p.all() {
		if service == one.name {
			one.restarts.Add(1)
		}
	}
}
