// SPDX-License-Identifier: Apache-2.0

package workload

import "probe/pkg/events"

// job is a look-up for a worker: names holds what is known without waiting.
type job struct {
	key     uint64
	process identity
	group   group
	names   Names
	nowNS   uint64
	// told: the group is the one that the kernel side told.
	told bool
	// judge: only the container's names are wanted, for a filter.
	judge bool
}

// begin finds out what /proc tells, and has the rest looked up.
func (r *Resolver) begin(e *entry, p *Process, nowNS uint64) {
	delete(r.waiting, e.key)
	j := r.look(p, nowNS)
	e.name, e.comms, e.groups = nil, [2]string{p.Comm}, [2]uint64{p.Group}
	e.process, e.checkedNS, e.provisional = j.process, nowNS, false
	if r.complete(&j) {
		r.settle(e, &j)
		return
	}
	w := &waiting{job: j, sinceNS: nowNS}
	w.queued = r.lookups.submit(j)
	r.waiting[e.key] = w
}

// again looks up a process once more that keeps its name meanwhile.
func (r *Resolver) again(e *entry, p *Process, nowNS uint64) {
	if r.waiting[e.key] != nil {
		return
	}
	if j := r.look(p, nowNS); !r.complete(&j) && r.lookups.submit(j) {
		e.provisional = true
		r.waiting[e.key] = &waiting{job: j, sinceNS: nowNS, queued: true}
	}
}

// look reads three small files of /proc.
func (r *Resolver) look(p *Process, nowNS uint64) job {
	j := job{key: p.key(), nowNS: nowNS}
	j.process, j.group = r.proc.look(p.PID)
	if j.group == (group{}) {
		j.group, j.told = r.told.group(p.Group), true
	}
	j.names.takeGroup(j.group)
	j.names.Exe, j.names.Program, j.names.Comm = j.process.exe, exeName(j.process.exe), p.Comm
	return j
}

// complete fills in what is remembered of the container; false: there is more
// to look up.
func (r *Resolver) complete(j *job) bool {
	if j.group.containerID != "" {
		d, known := r.containers.get(j.group, j.nowNS)
		if !known {
			return false
		}
		if d != nil {
			j.names.takeDetails(d)
		}
	}
	return !j.needsProgram()
}

// needsProgram: the name will be that of a program, which an interpreter runs.
// The arguments are in the process's own memory and can take any time to read.
func (j *job) needsProgram() bool {
	if j.names.named() {
		return false
	}
	_, interprets := interpreterOf(j.names.Program)
	return interprets
}

// await returns the name of an entry that may have one by now.
func (r *Resolver) await(e *entry, nowNS uint64) (*Name, bool) {
	r.Poll()
	w := r.waiting[e.key]
	if e.name != nil || w == nil {
		return e.name, e.name != nil
	}
	if !w.queued && nowNS != w.sinceNS {
		w.queued = r.lookups.submit(w.job)
	}
	if int64(nowNS-w.sinceNS) < int64(maxWait) {
		return nil, false
	}
	return r.provisionalName(e, w), true
}

// Provisional is Resolve for who cannot wait: it gives a provisional name where
// the right one is not known yet.
func (r *Resolver) Provisional(p Process, nowNS uint64) *Name {
	if name, known := r.Resolve(p, nowNS); known {
		return name
	}
	return r.provisionalName(&r.entries[r.index[p.key()]], r.waiting[p.key()])
}

// provisionalName is made of what /proc tells without waiting.
func (r *Resolver) provisionalName(e *entry, w *waiting) *Name {
	r.provisional.Add(1)
	e.provisional = true
	if w.queued {
		r.lookups.relieve()
	} else {
		delete(r.waiting, e.key)
	}
	e.name = r.nameOf(&w.job.names, portOf(e.key))
	e.nameless = w.job.group.containerID != ""
	return e.name
}

// Poll takes what the workers have found out since the last call.
func (r *Resolver) Poll() {
	for {
		select {
		case j := <-r.lookups.results:
			r.take(&j)
		default:
			return
		}
	}
}

func (r *Resolver) take(j *job) {
	i, known := r.index[j.key]
	w := r.waiting[j.key]
	if !known || w == nil || w.job.process != j.process || w.job.group != j.group {
		return // the entry has left, or is another process by now
	}
	delete(r.waiting, j.key)
	e := &r.entries[i]
	if e.name == nil {
		r.settle(e, j)
		return
	}
	before := e.name.Service
	e.provisional = false
	e.nameless = j.group.containerID != "" && j.names.Container == "" && j.names.Pod == ""
	if name := r.nameOf(&j.names, portOf(j.key)); name.Service != before || name.Tags != e.name.Tags {
		e.name = name
		r.corrected.Add(1)
		r.opt.Renamed(before, name.Service)
	}
}

func (r *Resolver) settle(e *entry, j *job) {
	n := &j.names
	switch {
	case n.named() && j.told:
		r.byGroup.Add(1)
	case n.named() || n.Program != "":
		r.resolved.Add(1)
	default:
		r.fallbackComm.Add(1)
	}
	e.nameless = n.ContainerID != "" && n.Container == "" && n.Pod == ""
	e.name = r.nameOf(n, portOf(e.key))
}

func (r *Resolver) nameOf(n *Names, port uint16) *Name {
	if n.Program == "" {
		n.Program = n.Comm
	}
	name := &Name{Service: service(r.opt.Rules, n, port), Tags: r.opt.Tags(n.Origin).Key(), Cgroup: n.Cgroup}
	if n.Origin != (events.Origin{}) {
		origin := n.Origin
		name.Origin = &origin
	}
	return name
}

// SetTags replaces Options.Tags, also for the names there are.
func (r *Resolver) SetTags(tags func(events.Origin) events.Origin) {
	r.opt.Tags = tags
	for i := range r.entries {
		if name := r.entries[i].name; name != nil && name.Origin != nil {
			again := *name
			again.Tags = tags(*name.Origin).Key()
			r.entries[i].name = &again
		}
	}
}
