// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"sync/atomic"
	"time"
)

// part is something that can get stuck. Its owner says when work begins and
// ends; others ask for how long it has been going on.
type part struct {
	name string
	// limit is longer than any work of this part may take.
	limit time.Duration
	// sinceNS is when the work began, CLOCK_MONOTONIC; 0: none.
	sinceNS atomic.Uint64
	// restarts counts how often the supervisor started it again.
	restarts atomic.Uint64
}

func (p *part) begin(nowNS uint64) { p.sinceNS.Store(nowNS) }
func (p *part) end()               { p.sinceNS.Store(0) }

// stuckFor is how long the work has been going on, if that is beyond the limit.
func (p *part) stuckFor(nowNS uint64) (time.Duration, bool) {
	since := p.sinceNS.Load()
	if since == 0 || nowNS < since {
		return 0, false
	}
	d := time.Duration(nowNS - since)
	return d, d > p.limit
}

// stage is what the pipeline is doing. It is one goroutine, so only one of them
// can be stuck, and that one holds up all others.
type stage uint32

const (
	stageReader stage = iota
	stageSweep
	stageOutput
	stageFlush
	stageControl
	stageLastDrain
	stageLastFlush
)

var stageNames = [...]string{"reader", "sweep", "trace output", "flush", "control", "last drain", "last delivery"}

func (s stage) String() string { return stageNames[s] }

// Limits of the parts.
const (
	// pipelineLimit is far above one round, which takes milliseconds.
	pipelineLimit = 10 * time.Second
	// deliveryLimit is above the exporter's own limit for one delivery.
	deliveryLimit = 30 * time.Second
	// saveLimit is above what it takes to write a few KB, syncLimit above what
	// a busy disk takes to have them.
	saveLimit = 30 * time.Second
	syncLimit = 2 * time.Minute
)

// parts are all that the watchdog looks at.
type parts struct {
	pipeline part
	at       atomic.Uint32 // stage of the pipeline
	exporter part
	memory   part
	disk     part
	endpoint part // its requests have limits of their own: it cannot be stuck
}

func newParts() *parts {
	p := new(parts)
	p.pipeline.name, p.pipeline.limit = "pipeline", pipelineLimit
	p.exporter.name, p.exporter.limit = "exporter", deliveryLimit
	p.memory.name, p.memory.limit = "state", saveLimit
	p.disk.name, p.disk.limit = "state sync", syncLimit
	p.endpoint.name, p.endpoint.limit = "endpoint", time.Minute
	return p
}

// enter notes what the pipeline does next: a store, so that each round may do it.
func (p *parts) enter(s stage) { p.at.Store(uint32(s)) }

func (p *parts) all() []*part {
	return []*part{&p.pipeline, &p.exporter, &p.memory, &p.disk, &p.endpoint}
}

// stuckPart is a part that does not get on.
type stuckPart struct {
	name  string
	since time.Duration // how long
}

// stuck names the parts that do not get on; the pipeline by what it does.
func (p *parts) stuck(nowNS uint64) []stuckPart {
	var all []stuckPart
	if d, is := p.pipeline.stuckFor(nowNS); is {
		all = append(all, stuckPart{stage(p.at.Load()).String(), d})
	}
	for _, one := range []*part{&p.exporter, &p.memory, &p.disk} {
		if d, is := one.stuckFor(nowNS); is {
			all = append(all, stuckPart{one.name, d})
		}
	}
	return all
}
