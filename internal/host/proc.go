// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/procfs"

	"probe/pkg/stats"
)

// cpu reads /proc/stat: CPU times and the run queue.
func (l *look) cpu() {
	stat, err := l.proc.Stat()
	if err != nil {
		l.missing("cpu", err)
		l.missing("run_queue", err)
		return
	}
	c := &stats.HostCPU{Times: timesOf(&stat.CPUTotal)}
	for number, one := range stat.CPU {
		c.Cores = append(c.Cores, stats.CoreCPU{Number: int(number), Times: timesOf(&one)})
	}
	slices.SortFunc(c.Cores, func(a, b stats.CoreCPU) int { return cmp.Compare(a.Number, b.Number) })
	l.state.CPU = c
	l.state.RunQueue = &stats.RunQueue{Runnable: stat.ProcessesRunning, Blocked: stat.ProcessesBlocked}
}

// timesOf: the times of guests are in User and Nice already.
func timesOf(c *procfs.CPUStat) stats.CPUTimes {
	used := c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ + c.Steal
	return stats.CPUTimes{
		Total:  seconds(used + c.Idle + c.Iowait),
		Used:   seconds(used),
		Iowait: seconds(c.Iowait),
		Steal:  seconds(c.Steal),
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (l *look) memory() {
	m, err := l.proc.Meminfo()
	if err == nil && (m.MemTotalBytes == nil || m.MemAvailableBytes == nil || *m.MemTotalBytes == 0) {
		err = errors.New("meminfo has no MemTotal or MemAvailable")
	}
	if err != nil {
		l.missing("memory", err)
		return
	}
	out := &stats.HostMemory{Total: *m.MemTotalBytes, Available: min(*m.MemAvailableBytes, *m.MemTotalBytes)}
	out.Used = out.Total - out.Available
	out.UsedRatio = float64(out.Used) / float64(out.Total)
	if m.SwapTotalBytes != nil && m.SwapFreeBytes != nil {
		out.SwapTotal = *m.SwapTotalBytes
		out.SwapUsed = out.SwapTotal - min(*m.SwapFreeBytes, out.SwapTotal)
	}
	l.state.Memory = out
}

// pressure reads /proc/pressure. A kernel without PSI has no such directory,
// one that was booted with psi=0 refuses to read it.
func (l *look) pressure() {
	read := func(resource string) *stats.Pressure {
		p, err := pressureOf(l.proc, resource)
		if err != nil {
			l.missing("psi."+resource, err)
		}
		return p
	}
	l.state.PSI = stats.PSI{CPU: read("cpu"), Memory: read("memory"), IO: read("io")}
}

func pressureOf(fs procfs.FS, resource string) (*stats.Pressure, error) {
	p, err := fs.PSIStatsForResource(resource)
	if err != nil {
		return nil, err
	}
	if p.Some == nil && p.Full == nil {
		return nil, errors.New("the file names no stall")
	}
	return &stats.Pressure{Some: stallOf(p.Some), Full: stallOf(p.Full)}, nil
}

func stallOf(p *procfs.PSILine) *stats.Stall {
	if p == nil {
		return nil
	}
	return &stats.Stall{
		Avg10: p.Avg10, Avg60: p.Avg60, Avg300: p.Avg300,
		Total: time.Duration(p.Total) * time.Microsecond,
	}
}

func (l *look) load() {
	if l.state.RunQueue == nil {
		return
	}
	load, err := l.proc.LoadAvg()
	if err != nil {
		l.missing("run_queue.load", err)
		return
	}
	q := l.state.RunQueue
	q.Load1, q.Load5, q.Load15, q.HasLoad = load.Load1, load.Load5, load.Load15, true
}

// schedDelay reads /proc/schedstat (CONFIG_SCHEDSTATS), which knows sums only.
// It stands in where nobody measures the waits one by one.
func (l *look) schedDelay() {
	s, err := l.proc.Schedstat()
	if err == nil && len(s.CPUs) == 0 {
		err = errors.New("schedstat names no CPU")
	}
	if err != nil {
		l.missing("sched_delay", err)
		return
	}
	out := &stats.SchedDelay{}
	for _, c := range s.CPUs {
		out.TotalDelay += time.Duration(c.WaitingNanoseconds)
		out.TotalCount += c.RunTimeslices
	}
	l.state.SchedDelay = out
}
