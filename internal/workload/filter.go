// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxFilterValues bounds each list of a Filter.
const maxFilterValues = 64

// Filter says which processes are wanted: by each list that is not empty, at
// least one of its values must match.
type Filter struct {
	// Containers are names, or the beginning of an id (at least 4 characters).
	Containers []string
	// Namespaces are those of events.Origin.
	Namespaces []string
	// Exes are paths of executables, or their last part. '*' and '?' as in rules.
	Exes []string
}

// Empty reports whether every process is wanted.
func (f Filter) Empty() bool { return len(f.Containers)+len(f.Namespaces)+len(f.Exes) == 0 }

// Validate reports the first value that cannot match.
func (f Filter) Validate() error {
	for _, list := range []struct {
		name   string
		values []string
	}{{"container", f.Containers}, {"namespace", f.Namespaces}, {"exe", f.Exes}} {
		if len(list.values) > maxFilterValues {
			return fmt.Errorf("%d values for the %s filter: at most %d", len(list.values), list.name, maxFilterValues)
		}
		if slices.Contains(list.values, "") {
			return fmt.Errorf("%s filter: a value must not be empty", list.name)
		}
	}
	return nil
}

const minIDPrefix = 4

func (f Filter) exeWanted(exe string) bool {
	return len(f.Exes) == 0 || slices.ContainsFunc(f.Exes, func(want string) bool {
		if !strings.Contains(want, "/") {
			return glob(want, exeName(exe))
		}
		return glob(want, undeleted(exe))
	})
}

// idWanted reports whether the id alone is enough for the container filter.
func (f Filter) idWanted(id string) bool {
	return slices.ContainsFunc(f.Containers, func(want string) bool {
		return len(want) >= minIDPrefix && strings.HasPrefix(id, want)
	})
}

func (f Filter) namesWanted(n *Names) bool {
	container := len(f.Containers) == 0 || f.idWanted(n.ContainerID) ||
		n.Container != "" && slices.Contains(f.Containers, n.Container)
	namespace := len(f.Namespaces) == 0 || n.Namespace != "" && slices.Contains(f.Namespaces, n.Namespace)
	return container && namespace && f.exeWanted(n.Exe)
}

// Verdict of a Judge.
type Verdict uint8

// Verdicts. Unknown: the container's names are being looked up; ask again.
const (
	Unknown Verdict = iota
	Wanted
	Unwanted
)

// Judge applies a Filter to processes. It shares what a Resolver remembers of
// containers and waits for no file. It belongs to one goroutine, not necessarily
// the Resolver's.
type Judge struct {
	filter     Filter
	proc       procReader
	containers *containers
	lookups    *lookups
	asked      map[string]asking
}

// asking is when a container was looked up for a Judge.
type asking struct{ firstNS, lastNS uint64 }

const (
	// judgeRetry is between two look-ups of a container without names, which a
	// runtime or the kubelet may be about to write; after judgePatience it has
	// none.
	judgeRetry    = 500 * time.Millisecond
	judgePatience = 5 * time.Second
)

// Judge returns one for a filter.
func (r *Resolver) Judge(f Filter) *Judge {
	return &Judge{filter: f, proc: newProcReader(r.opt.ProcRoot), containers: r.containers, lookups: &r.lookups, asked: map[string]asking{}}
}

// Wanted judges process pid. startTicks is its start in clock ticks since boot
// (field 22 of /proc/PID/stat): a process that is gone, or another one by now,
// is unwanted. An Unknown is looked up meanwhile.
func (j *Judge) Wanted(pid uint32, startTicks, nowNS uint64) Verdict {
	process, g := j.proc.look(pid)
	if process.startTicks == 0 || process.startTicks != startTicks || !j.filter.exeWanted(process.exe) {
		return Unwanted
	}
	names := Names{Exe: process.exe}
	names.takeGroup(g)
	needed := len(j.filter.Namespaces) > 0 || len(j.filter.Containers) > 0 && !j.filter.idWanted(g.containerID)
	if g.containerID != "" && needed {
		d := j.details(g, nowNS)
		if d == nil && nowNS-j.asked[g.containerID].firstNS < uint64(judgePatience) {
			return Unknown
		}
		if d != nil {
			names.takeDetails(d)
		}
	}
	if j.filter.namesWanted(&names) {
		return Wanted
	}
	return Unwanted
}

// details returns what is remembered of a container, and has it looked up where
// that is nothing.
func (j *Judge) details(g group, nowNS uint64) *details {
	if d, _ := j.containers.get(g, nowNS); d != nil {
		return d
	}
	a, again := j.asked[g.containerID]
	if again && nowNS-a.lastNS < uint64(judgeRetry) {
		return nil
	}
	if !again {
		if len(j.asked) >= maxContainers {
			clear(j.asked)
		}
		a.firstNS = nowNS
	}
	a.lastNS = nowNS
	j.asked[g.containerID] = a
	j.lookups.submit(job{group: g, nowNS: nowNS, judge: true})
	return nil
}
