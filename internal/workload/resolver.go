// SPDX-License-Identifier: Apache-2.0

// Package workload names the service behind a process: the systemd unit, or
// the executable plus its listening port.
//
// resolver.go is the bounded cache, proc.go reads /proc, and cgroup.go and
// program.go are the pure parsers that turn its text into names.
package workload

import (
	"strconv"
	"sync/atomic"
	"time"
)

// Resolver maps processes to service names. Service belongs to one goroutine;
// Stats may be called from any.
type Resolver struct {
	maxEntries int
	proc       procReader
	index      map[uint64]int32 // key → position in entries
	entries    []entry
	hand       int // next candidate for eviction

	recheckWindowNS uint64 // start of the second that rechecks counts in
	rechecks        int

	resolved     atomic.Uint64
	fallbackComm atomic.Uint64
	evicted      atomic.Uint64
	rechecked    atomic.Uint64
	renamed      atomic.Uint64
	count        atomic.Int64
}

type entry struct {
	key       uint64
	name      string
	process   identity
	checkedNS uint64
	used      bool // since the hand last passed
}

// Stats are totals since New.
type Stats struct {
	// Resolved names came from /proc, FallbackComm names from the command name
	// because the process was already gone or could not be read.
	Resolved, FallbackComm uint64
	// Evicted entries made room for others.
	Evicted uint64
	// Rechecked counts looks at a known pid, Renamed those that found another
	// process behind it.
	Rechecked, Renamed uint64
	// Entries is the present size of the cache.
	Entries int
}

// New returns an empty Resolver. It reads nothing until asked.
func New(opts Options) *Resolver {
	opts = opts.withDefaults()
	return &Resolver{
		maxEntries: opts.MaxEntries,
		proc:       procReader{root: opts.ProcRoot, buf: make([]byte, maxFileBytes)},
		index:      make(map[uint64]int32),
	}
}

// Service returns the name of the service that process pid (a tgid of the
// initial pid namespace) provides on port:
//
//   - the systemd unit without ".service": "nginx", "getty@tty1"
//   - else the executable, its script if it is an interpreter, and the listening
//     port unless 0: "redis-server-6379", "python3:app.py-8000", "curl"
//   - else, if the process cannot be read, comm in place of the executable
//
// nowNS is the present time on any monotonic clock in nanoseconds. A known pair
// costs one map look-up and allocates nothing; a new one costs a few small
// reads from /proc. A name stays as long as the process lives, and after it.
func (r *Resolver) Service(pid uint32, port uint16, comm string, nowNS uint64) string {
	key := uint64(pid)<<16 | uint64(port)
	i, known := r.index[key]
	if !known {
		return r.insert(key, comm, nowNS)
	}
	e := &r.entries[i]
	e.used = true
	// Signed: events of several CPUs arrive slightly out of order.
	if int64(nowNS-e.checkedNS) >= int64(recheckInterval) {
		r.recheck(e, comm, nowNS)
	}
	return e.name
}

// Stats returns the counters.
func (r *Resolver) Stats() Stats {
	return Stats{
		Resolved:     r.resolved.Load(),
		FallbackComm: r.fallbackComm.Load(),
		Evicted:      r.evicted.Load(),
		Rechecked:    r.rechecked.Load(),
		Renamed:      r.renamed.Load(),
		Entries:      int(r.count.Load()),
	}
}

func (r *Resolver) insert(key uint64, comm string, nowNS uint64) string {
	process, name := r.resolve(key, comm)
	fresh := entry{key: key, name: name, process: process, checkedNS: nowNS}
	if len(r.entries) < r.maxEntries {
		r.index[key] = int32(len(r.entries))
		r.entries = append(r.entries, fresh)
		r.count.Store(int64(len(r.entries)))
		return name
	}
	i := r.victim()
	delete(r.index, r.entries[i].key)
	r.index[key] = int32(i)
	r.entries[i] = fresh
	r.evicted.Add(1)
	return name
}

// victim is the next entry not used since the hand last passed it (the clock
// algorithm: nearly LRU, and a hit only sets a bit).
func (r *Resolver) victim() int {
	for {
		i := r.hand
		r.hand = (r.hand + 1) % len(r.entries)
		if !r.entries[i].used {
			return i
		}
		r.entries[i].used = false
	}
}

// recheck looks whether the entry's pid still belongs to the same process and
// names the new one if not. Over the budget the entry stays due.
func (r *Resolver) recheck(e *entry, comm string, nowNS uint64) {
	if nowNS-r.recheckWindowNS >= uint64(time.Second) {
		r.recheckWindowNS, r.rechecks = nowNS, 0
	}
	if r.rechecks >= maxRechecksPerSecond {
		return
	}
	r.rechecks++
	r.rechecked.Add(1)
	e.checkedNS = nowNS
	process := r.proc.identity(pidOf(e.key))
	if process.startTicks == 0 || e.process.matches(process) {
		return // gone or unchanged; the last requests of the dead still arrive
	}
	e.process, e.name = r.resolve(e.key, comm)
	r.renamed.Add(1)
}

func (r *Resolver) resolve(key uint64, comm string) (identity, string) {
	process, p := r.proc.read(pidOf(key))
	if p.unit == "" && p.program == "" {
		r.fallbackComm.Add(1)
		p.program = comm
	} else {
		r.resolved.Add(1)
	}
	return process, p.name(uint16(key))
}

func pidOf(key uint64) uint32 { return uint32(key >> 16) }

// placement is what was found out about a process. A container or a pod is one
// more field here, one more parser, and one more line in name.
type placement struct {
	unit    string // systemd unit, empty if none
	program string // executable, with its script if it is an interpreter
}

func (p placement) name(port uint16) string {
	if p.unit != "" {
		return cut(p.unit)
	}
	program := cut(p.program)
	if program == "" {
		program = "unknown"
	}
	if port == 0 {
		return program
	}
	return program + "-" + strconv.Itoa(int(port))
}

func cut(name string) string { return name[:min(len(name), maxNameBytes)] }
