// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"

	"probe/internal/workload"
	"probe/pkg/events"
	"probe/pkg/stats"
)

// NameOptions say how processes are called and which of them are wanted, in the
// words of the command line.
type NameOptions struct {
	// Services are rules of package workload that name services first.
	Services []string
	// Containers (names, or the beginning of an id), Namespaces and Exes filter.
	Containers, Namespaces, Exes []string
	// Kubelet asks the kubelet of NODE_IP for its pods, KubeletInsecure with any
	// certificate.
	Kubelet, KubeletInsecure bool
}

func (n NameOptions) filter() workload.Filter {
	return workload.Filter{Containers: n.Containers, Namespaces: n.Namespaces, Exes: n.Exes}
}

func (n NameOptions) validate() error {
	if _, err := workload.ParseRules(n.Services); err != nil {
		return err
	}
	return n.filter().Validate()
}

// maxHeld requests, of at most a few hundred bytes each, wait for a name.
const maxHeld = 4096

// naming gives requests their names. A request whose process has no name yet is
// held: the request waits, the pipeline does not. It belongs to the pipeline.
type naming struct {
	*workload.Resolver
	kubelet *workload.Kubelet // nil when not
	judging *judging          // nil when nothing is filtered
	held    []events.Request
	total   uint64 // of held requests

	stop context.CancelFunc
	done sync.WaitGroup
}

func newNaming(o Options) (*naming, error) {
	rules, err := workload.ParseRules(o.Names.Services)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	wo := workload.OptionsFromEnv(os.Getenv)
	wo.Rules, wo.Log = rules, o.Log
	wo.Renamed = func(provisional, name string) {
		o.Log.Warn("a service had a provisional name, its files were slow", "provisional", provisional, "name", name)
	}
	n := &naming{}
	if o.Names.Kubelet {
		n.kubelet, err = workload.NewKubelet(workload.KubeletOptions{Insecure: o.Names.KubeletInsecure}, os.Getenv("NODE_IP"), o.Log)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		wo.Kubelet = n.kubelet
	}
	n.Resolver = workload.New(wo)
	if !o.Trace {
		n.chooseTags(o)
	}
	if f := o.Names.filter(); !f.Empty() {
		n.judging = newJudging(n.Judge(f), o.Log)
	}
	return n, nil
}

// chooseTags tells series apart by what the lines of these settings tell.
func (n *naming) chooseTags(o Options) {
	if eo, err := o.exportOptions(nil); err == nil { // else there is no exporter for it
		n.SetTags(eo.OriginTags())
	}
}

// start runs what stands beside the pipeline, until close.
func (n *naming) start(ctx context.Context) {
	ctx, n.stop = context.WithCancel(ctx)
	if n.kubelet != nil {
		n.done.Go(func() { n.kubelet.Run(ctx) })
	}
	if n.judging != nil {
		n.done.Go(func() { n.judging.run(ctx) })
	}
}

func (n *naming) close() {
	if n.stop != nil {
		n.stop()
	}
	n.done.Wait()
	n.Close()
}

// hold keeps a copy of a request that is to be named later; false: no room.
func (n *naming) hold(q *events.Request) bool {
	if len(n.held) >= maxHeld {
		return false
	}
	kept, conn := *q, *q.Conn
	kept.Conn = &conn
	kept.Method, kept.Target, kept.Host = bytes.Clone(q.Method), bytes.Clone(q.Target), bytes.Clone(q.Host)
	n.held = append(n.held, kept)
	n.total++
	return true
}

// releaseHeld records the held requests whose names are known by now; with all
// set, also the others, under provisional names.
func (a *Agent) releaseHeld(all bool) {
	if len(a.names.held) == 0 {
		return
	}
	kept := a.names.held[:0]
	for _, q := range a.names.held {
		name, known := a.namesOf(&q)
		if !known && !all {
			kept = append(kept, q)
			continue
		}
		if !known {
			name = a.provisional(&q)
		}
		a.count(&q, name, new(stats.Place))
	}
	clear(a.names.held[len(kept):])
	a.names.held = kept
}

// namesOf names the process of a request, and in a trace the one that held its
// CPU; false: not known yet.
func (a *Agent) namesOf(q *events.Request) (*workload.Name, bool) {
	name, known := a.nameOf(q.Conn, q.Role, q.PID)
	by := &q.Times.PushedBy
	if !known || a.trace == nil || by.PID == 0 {
		return name, known
	}
	holder, known := a.names.Resolve(workload.Process{PID: by.PID, Comm: by.Name()}, a.batchNS)
	if known {
		takeHolder(by, holder)
	}
	return name, known
}

// provisional names as well as it can be done without waiting.
func (a *Agent) provisional(q *events.Request) *workload.Name {
	if by := &q.Times.PushedBy; a.trace != nil && by.PID != 0 {
		takeHolder(by, a.names.Provisional(workload.Process{PID: by.PID, Comm: by.Name()}, a.batchNS))
	}
	return a.names.Provisional(processAt(q.Conn, q.Role, q.PID), a.batchNS)
}

// takeHolder: without a group the process was gone, and the name is no more than
// its command, which is there already.
func takeHolder(by *events.Pusher, name *workload.Name) {
	if name.Cgroup != "" {
		by.Service, by.Cgroup = name.Service, name.Cgroup
	}
}

// nameOf names the process at our end of a connection; false: not known yet.
func (a *Agent) nameOf(c *events.Conn, role events.Role, pid uint32) (*workload.Name, bool) {
	return a.names.Resolve(processAt(c, role, pid), a.batchNS)
}

// processAt: a server is also named by the port it listens on.
func processAt(c *events.Conn, role events.Role, pid uint32) workload.Process {
	p := workload.Process{PID: pid, Comm: c.Comm, Group: c.Cgroup}
	if role == events.RoleServer {
		p.Port = c.Local.Port
	}
	return p
}

// report hands over the counters of names and filters.
func (n *naming) report(add func(name string, value uint64)) {
	w := n.Stats()
	add("workload.by_cgroup", w.ByGroup)
	add("workload.fallback_comm", w.FallbackComm)
	add("workload.evicted", w.Evicted)
	add("workload.held", n.total)
	add("workload.provisional", w.Provisional)
	add("workload.corrected", w.Corrected)
	add("workload.queue_full", w.QueueFull)
	add("workload.containers", w.Containers)
	add("workload.containers_nameless", w.Nameless)
	add("workload.containers_unreadable", w.Unreadable)
	add("workload.containers_evicted", w.ContainersEvicted)
	if n.kubelet != nil {
		add("workload.kubelet_requests", w.KubeletRequests)
		add("workload.kubelet_failures", w.KubeletFailures)
	}
	if n.judging != nil {
		n.judging.report(add)
	}
}

// startNaming judges the processes there are and starts what stands beside the
// pipeline.
func (a *Agent) startNaming(ctx context.Context) error {
	if j := a.names.judging; j != nil {
		j.kernel, j.nowNS = a.kernel, a.clock.Now
		if err := j.first(); err != nil {
			return fmt.Errorf("apply filters: %w", err)
		}
	}
	a.names.start(ctx)
	return nil
}
