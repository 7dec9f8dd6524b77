// SPDX-License-Identifier: Apache-2.0

// Package workload names the service behind a process, and the container and
// pod it runs in, from files only.
//
// resolver.go is the bounded cache of processes, lookup.go what fills it and
// recheck.go what doubts it; containers.go is that of containers. proc.go, told.go
// and files.go read, cgroup.go, labels.go, podname.go and program.go parse. names.go
// is the policy of service names and rules.go the user's; kubelet.go asks the
// kubelet; filter.go says whether a process is wanted, present.go whether there is
// one.
//
// Nobody waits for a file: what /proc tells without waiting is read where the
// process is first seen, everything else by workers. Until they are done the
// process has no name, and its requests are to wait. If that takes longer than
// a second it gets a provisional name, which is counted; when the right one
// comes after all, the process is renamed, which is counted and told.
package workload

import (
	"sync/atomic"

	"probe/pkg/events"
)

// Resolver maps processes to names. Resolve, Poll and Close belong to one
// goroutine; Stats may be called from any.
type Resolver struct {
	opt        Options
	proc       procReader
	told       *toldGroups
	containers *containers
	lookups    lookups
	index      map[uint64]int32 // key → position in entries
	entries    []entry
	hand       int // next candidate for eviction
	waiting    map[uint64]*waiting

	recheckWindowNS uint64 // start of the second that the next two count in
	rechecks        int
	doubts          int // of them those because of a new command name

	resolved     atomic.Uint64
	fallbackComm atomic.Uint64
	byGroup      atomic.Uint64
	evicted      atomic.Uint64
	rechecked    atomic.Uint64
	renamed      atomic.Uint64
	provisional  atomic.Uint64
	corrected    atomic.Uint64
	count        atomic.Int64
}

// Process is what the kernel side tells of a process.
type Process struct {
	// PID is its tgid in the initial pid namespace.
	PID uint32
	// Port is where it listens as a server; 0 as a client.
	Port uint16
	// Comm is its command name.
	Comm string
	// Group is the id of its control group of version 2; 0 if that is not known.
	Group uint64
}

func (p *Process) key() uint64 { return uint64(p.PID)<<16 | uint64(p.Port) }

// Name is what a process is called; it never changes.
type Name struct {
	// Service is never empty.
	Service string
	// Origin is nil for a process that is in no container.
	Origin *events.Origin
	// Tags are the part of Origin that tells series apart.
	Tags events.OriginKey
	// Cgroup is the path of the control group that shares out CPU time, as
	// /proc/PID/cgroup has it, at most its last 512 bytes. Empty: the process was
	// gone, or may not be read, and the kernel side has not told it.
	Cgroup string
}

type entry struct {
	key         uint64
	name        *Name // nil while it is looked up
	process     identity
	checkedNS   uint64
	usedNS      uint64
	comms       [2]string // command names that it was looked at under
	groups      [2]uint64 // ... and in which groups
	used        bool      // since the hand last passed
	provisional bool
	nameless    bool // in a container whose names nobody knows
}

// waiting is an entry whose look-up is not done.
type waiting struct {
	job     job
	sinceNS uint64
	queued  bool
}

// Stats are totals since New.
type Stats struct {
	// Resolved names came from /proc and files, FallbackComm names from the
	// command name because the process was already gone or could not be read,
	// ByGroup names from the control group that the kernel side told of such a one.
	Resolved, FallbackComm, ByGroup uint64
	// Evicted entries made room for others.
	Evicted uint64
	// Rechecked counts looks at a known pid, Renamed those that found another
	// process behind it.
	Rechecked, Renamed uint64
	// Provisional names were given because the right ones took too long,
	// Corrected those that were replaced later.
	Provisional, Corrected uint64
	// QueueFull counts look-ups that found no room to wait for a worker.
	QueueFull uint64
	// Containers were looked up; Nameless of them have no names, of Unreadable
	// a file was there and could not be used. ContainersEvicted made room.
	Containers, Nameless, Unreadable, ContainersEvicted uint64
	// KubeletRequests to the kubelet, and those that failed.
	KubeletRequests, KubeletFailures uint64
	// Entries is the present size of the cache.
	Entries int
}

// New returns an empty Resolver. It reads nothing until asked.
func New(opts Options) *Resolver {
	opts = opts.withDefaults()
	r := &Resolver{
		opt:        opts,
		proc:       newProcReader(opts.ProcRoot),
		told:       newToldGroups(opts.SysRoot),
		containers: newContainers(hostFiles{opts.HostRoot}, opts.Kubelet),
		index:      make(map[uint64]int32),
		waiting:    make(map[uint64]*waiting),
	}
	r.lookups.init(opts, r.containers)
	return r
}

// Close ends the workers; one that waits for a file ends when it can.
func (r *Resolver) Close() {
	r.lookups.close()
	r.told.close()
}

// Resolve returns the name of a process. The service is, by the first that there
// is:
//
//   - the name of the first rule that matches
//   - the workload and container of a pod: "shop/api"
//   - the service of Docker Compose or Swarm: "web"
//   - the container: "redis"
//   - the systemd unit without ".service": "nginx", "getty@tty1"
//   - the executable, its script if it is an interpreter, and the listening
//     port unless 0: "redis-server-6379", "python3:app.py-8000", "curl"
//   - if the process cannot be read, comm in place of the executable
//
// Of a process that cannot be read, being gone perhaps, the control group that the
// kernel side told says container and unit.
//
// False: it is not known yet; ask again soon, at the latest after a second
// there is one. nowNS is the present time on any monotonic clock in nanoseconds.
//
// A known pair costs one map look-up and allocates nothing; a new one costs
// three small reads from /proc, which wait for nobody. A name stays as long as
// the process lives, and after it, until another process has its pid: that is
// seen at once where comm or group differs, else within ten seconds. Forget ends
// that.
func (r *Resolver) Resolve(p Process, nowNS uint64) (*Name, bool) {
	i, known := r.index[p.key()]
	if !known {
		i = r.insert(&p, nowNS)
	}
	e := &r.entries[i]
	e.used, e.usedNS = known, nowNS
	if e.name == nil {
		return r.await(e, nowNS)
	}
	// Signed: events of several CPUs arrive slightly out of order.
	switch {
	case int64(nowNS-e.checkedNS) >= int64(recheckInterval):
		r.recheck(e, &p, nowNS)
	case e.isDoubted(&p):
		r.doubt(e, &p, nowNS)
	}
	return e.name, e.name != nil
}

// Stats returns the counters.
func (r *Resolver) Stats() Stats {
	s := Stats{
		Resolved:          r.resolved.Load(),
		FallbackComm:      r.fallbackComm.Load(),
		ByGroup:           r.byGroup.Load(),
		Evicted:           r.evicted.Load(),
		Rechecked:         r.rechecked.Load(),
		Renamed:           r.renamed.Load(),
		Provisional:       r.provisional.Load(),
		Corrected:         r.corrected.Load(),
		QueueFull:         r.lookups.refused.Load(),
		Containers:        r.containers.read.Load(),
		Nameless:          r.containers.nameless.Load(),
		Unreadable:        r.containers.failed.Load(),
		ContainersEvicted: r.containers.evicted.Load(),
		Entries:           int(r.count.Load()),
	}
	if k := r.opt.Kubelet; k != nil {
		s.KubeletRequests, s.KubeletFailures = k.requests.Load(), k.failures.Load()
	}
	return s
}

func (r *Resolver) insert(p *Process, nowNS uint64) int32 {
	i := int32(len(r.entries))
	if len(r.entries) < r.opt.MaxEntries {
		r.entries = append(r.entries, entry{})
		r.count.Store(int64(len(r.entries)))
	} else {
		i = int32(r.victim())
		delete(r.index, r.entries[i].key)
		delete(r.waiting, r.entries[i].key)
		r.evicted.Add(1)
	}
	r.index[p.key()] = i
	r.entries[i] = entry{key: p.key()}
	r.begin(&r.entries[i], p, nowNS)
	return i
}

// victim is the next entry not used since the hand last passed it (the clock
// algorithm: nearly LRU, and a hit only sets a bit).
func (r *Resolver) victim() int {
	for {
		i := r.hand % len(r.entries) // some may have been forgotten
		r.hand = (i + 1) % len(r.entries)
		if !r.entries[i].used {
			return i
		}
		r.entries[i].used = false
	}
}

// Forget forgets the processes that nobody has asked for in the last five
// minutes; one that is asked for again is read again.
func (r *Resolver) Forget(nowNS uint64) {
	for i := len(r.entries) - 1; i >= 0; i-- {
		e := &r.entries[i]
		if int64(nowNS-e.usedNS) <= int64(idleEntry) || r.waiting[e.key] != nil {
			continue
		}
		delete(r.index, e.key)
		last := len(r.entries) - 1
		if i < last {
			*e = r.entries[last]
			r.index[e.key] = int32(i)
		}
		r.entries[last] = entry{}
		r.entries = r.entries[:last]
	}
	r.count.Store(int64(len(r.entries)))
}

func pidOf(key uint64) uint32  { return uint32(key >> 16) }
func portOf(key uint64) uint16 { return uint16(key) }
