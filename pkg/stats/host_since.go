// SPDX-License-Identifier: Apache-2.0

package stats

import "time"

// since returns s with its ratios over the time from prev to s. It shares with
// s what does not change. A total that went back gives 0 for one interval, unless
// its source can have begun again at 0 since prev (grown).
func (s *HostState) since(prev *HostState) *HostState {
	out := *s
	out.Interval = s.Time - prev.Time
	d := out.Interval
	out.CPU = s.CPU.since(prev.CPU)
	out.PSI = s.PSI.since(prev.PSI, d)
	out.SchedDelay = s.SchedDelay.since(prev.SchedDelay)
	out.ClientErrors = s.ClientErrors.since(prev.ClientErrors)
	out.Listen = s.Listen.since(prev.Listen)
	var cpus int
	if s.CPU != nil {
		cpus = len(s.CPU.Cores)
	}
	out.Services = servicesSince(s.Services, prev.Services, d, d*time.Duration(cpus))
	return &out
}

func (c *HostCPU) since(prev *HostCPU) *HostCPU {
	if c == nil || prev == nil {
		return nil
	}
	out := &HostCPU{Times: c.Times, CPURatios: c.Times.since(prev.Times)}
	before := make(map[int]CPUTimes, len(prev.Cores))
	for _, core := range prev.Cores {
		before[core.Number] = core.Times
	}
	for _, core := range c.Cores {
		if p, known := before[core.Number]; known {
			core.CPURatios = core.Times.since(p)
			out.Cores = append(out.Cores, core)
		}
	}
	return out
}

func (t CPUTimes) since(p CPUTimes) CPURatios {
	total := t.Total - p.Total
	return CPURatios{
		Used:   share(t.Used-p.Used, total),
		Iowait: share(t.Iowait-p.Iowait, total),
		Steal:  share(t.Steal-p.Steal, total),
	}
}

// share is part/whole, 0 to 1. The kernel's idle and iowait times may go back a
// little.
func share(part, whole time.Duration) float64 { return min(rate(part, whole), 1) }

func rate(part, whole time.Duration) float64 {
	if part <= 0 || whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func (p PSI) since(prev PSI, d time.Duration) PSI {
	return PSI{
		CPU:    p.CPU.since(prev.CPU, d),
		Memory: p.Memory.since(prev.Memory, d),
		IO:     p.IO.since(prev.IO, d),
	}
}

func (p *Pressure) since(prev *Pressure, d time.Duration) *Pressure {
	if p == nil || prev == nil {
		return nil
	}
	return &Pressure{Some: p.Some.since(prev.Some, d), Full: p.Full.since(prev.Full, d)}
}

func (s *Stall) since(prev *Stall, d time.Duration) *Stall {
	if s == nil || prev == nil {
		return nil
	}
	out := *s
	out.Ratio = share(grown(s.Total, prev.Total, d), d)
	return &out
}

func (s *SchedDelay) since(prev *SchedDelay) *SchedDelay {
	if s == nil || s.Quantiles {
		return s
	}
	if prev == nil {
		return nil
	}
	out := *s
	out.Count = growth(s.TotalCount, prev.TotalCount)
	out.Mean = 0
	if out.Count > 0 {
		out.Mean = max(s.TotalDelay-prev.TotalDelay, 0) / time.Duration(out.Count)
	}
	return &out
}

func (c *ClientErrors) since(prev *ClientErrors) *ClientErrors {
	if c == nil || prev == nil {
		return nil
	}
	return &ClientErrors{
		RateLimited:  growth(c.Total.RateLimited, prev.Total.RateLimited),
		ServerErrors: growth(c.Total.ServerErrors, prev.Total.ServerErrors),
		Total:        c.Total,
	}
}

func (l *Listen) since(prev *Listen) *Listen {
	if l == nil {
		return nil
	}
	out := *l
	if l.Counters == nil || prev == nil || prev.Counters == nil {
		out.Counters = nil
		return &out
	}
	t, p := l.Counters.Total, prev.Counters.Total
	out.Counters = &ListenCounters{
		Overflows:    growth(t.Overflows, p.Overflows),
		Drops:        growth(t.Drops, p.Drops),
		RequestDrops: growth(t.RequestDrops, p.RequestDrops),
		Total:        t,
	}
	return &out
}

func growth(now, before uint64) uint64 {
	if now < before {
		return 0
	}
	return now - before
}

// grown is by how much a total grew. One that went back and is not more than what
// a source can have added up in the time is that of a new one: a service that was
// started again has a control group of the same path.
func grown(now, before, most time.Duration) time.Duration {
	if now < before && now <= most {
		return now
	}
	return now - before
}

// servicesSince leaves out a service that was not there before. cpuTime is what
// all CPUs together had in the time d.
func servicesSince(now, prev []Service, d, cpuTime time.Duration) []Service {
	before := make(map[string]*Service, len(prev))
	for i := range prev {
		before[prev[i].Cgroup] = &prev[i]
	}
	var out []Service
	for _, s := range now {
		p, known := before[s.Cgroup]
		if !known {
			continue
		}
		s.CPU = s.CPU.since(p.CPU, d, cpuTime)
		s.PSI = s.PSI.since(p.PSI, d)
		out = append(out, s)
	}
	return out
}

func (c *ServiceCPU) since(prev *ServiceCPU, d, cpuTime time.Duration) *ServiceCPU {
	if c == nil || prev == nil {
		return nil
	}
	out := *c
	out.Used = rate(grown(c.TotalUsed, prev.TotalUsed, cpuTime), d)
	out.Throttled = nil
	if c.TotalThrottled != nil && prev.TotalThrottled != nil {
		r := rate(grown(*c.TotalThrottled, *prev.TotalThrottled, cpuTime), d)
		out.Throttled = &r
	}
	return &out
}
