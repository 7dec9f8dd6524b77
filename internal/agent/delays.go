// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"probe/pkg/loader"
	"probe/pkg/stats"
)

// delayWatch turns the kernel's cumulative histograms of run-queue delay into
// figures of intervals. The host's are taken by the host watch, the services' by
// the pipeline, each in its own goroutine.
type delayWatch struct {
	kernel interface {
		HostDelays() ([]uint64, error)
		ProcessDelays(alive func(pid uint32) bool, fn func(pid uint32, counts []uint32)) error
	}
	hostBefore []uint64

	// before are the counts of each process at the last flush, of those it knew.
	before map[uint32][]uint32
	// serves is the service of each process that answered a request; lastPID and
	// lastService save most of the look-ups.
	serves      map[uint32]string
	told        []string // services of the last flush
	lastPID     uint32
	lastService string
}

// host returns the waits since the last call, false before the second one.
func (d *delayWatch) host() (stats.SchedDelay, bool) {
	if d.kernel == nil {
		return stats.SchedDelay{}, false
	}
	now, err := d.kernel.HostDelays()
	if err != nil || now == nil {
		return stats.SchedDelay{}, false
	}
	before := d.hostBefore
	d.hostBefore = now
	if before == nil {
		return stats.SchedDelay{}, false
	}
	var h stats.Histogram
	for i := range now {
		// Sums of 32-bit counters, which run over: so does the difference.
		h.AddBucket(i, uint64(uint32(now[i]-before[i])))
	}
	return stats.DelayOf(&h), true
}

// served notes which service a process is. The name must not be of borrowed memory.
func (d *delayWatch) served(pid uint32, service string) {
	if pid == d.lastPID && service == d.lastService {
		return
	}
	d.lastPID, d.lastService = pid, service
	if d.serves == nil {
		d.serves = map[uint32]string{}
	}
	if len(d.serves) < 2*loader.MaxDelayProcesses { // those beyond have no histogram
		d.serves[pid] = service
	}
}

// services returns the waits since the last call by service, ordered by name. A
// service that is gone is there once more, with zeros.
func (d *delayWatch) services() ([]stats.ServiceDelay, error) {
	if d.kernel == nil {
		return nil, nil
	}
	sums := map[string]*stats.Histogram{}
	seen := map[uint32][]uint32{}
	names := map[uint32]string{}
	lives := func(pid uint32) bool {
		if processLives(pid) {
			return true
		}
		delete(seen, pid) // forgotten: another one of this pid begins at 0
		delete(names, pid)
		return false
	}
	err := d.kernel.ProcessDelays(lives, func(pid uint32, counts []uint32) {
		service, known := d.serves[pid]
		if !known {
			return // nothing of it was recorded yet; its counts are for the next interval
		}
		names[pid] = service
		h := sums[service]
		if h == nil {
			h = &stats.Histogram{}
			sums[service] = h
		}
		before := d.before[pid]
		for i, n := range counts {
			if before != nil {
				n -= before[i]
			}
			h.AddBucket(i, uint64(n))
		}
		seen[pid] = slices.Clone(counts)
	})
	if err != nil {
		return nil, err
	}
	d.before, d.serves, d.lastPID = seen, names, 0
	all := make([]stats.ServiceDelay, 0, len(sums)+len(d.told))
	for _, service := range d.told {
		if sums[service] == nil { // gone: receivers remember gauges
			all = append(all, stats.ServiceDelay{Service: service, SchedDelay: stats.SchedDelay{Quantiles: true}})
		}
	}
	d.told = d.told[:0]
	for service, h := range sums {
		all = append(all, stats.ServiceDelay{Service: service, SchedDelay: stats.DelayOf(h)})
		d.told = append(d.told, service)
	}
	slices.SortFunc(all, func(a, b stats.ServiceDelay) int { return strings.Compare(a.Service, b.Service) })
	return all, nil
}

// processLives reports whether the process is still in the proc file system.
func processLives(pid uint32) bool {
	root := os.Getenv("HOST_PROC")
	if root == "" {
		root = "/proc"
	}
	_, err := os.Stat(filepath.Join(root, strconv.FormatUint(uint64(pid), 10)))
	return err == nil
}
