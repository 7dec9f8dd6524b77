// SPDX-License-Identifier: Apache-2.0

package stats

// Together is s and o as one service, for a receiver that cannot tell them
// apart: CPUs and memory are added up, of pressures the higher one is taken. The
// limit of memory is not known unless both have one.
func (s Service) Together(o Service) Service {
	s.CPU, s.Memory = s.CPU.plus(o.CPU), s.Memory.plus(o.Memory)
	s.PSI = PSI{CPU: s.PSI.CPU.higher(o.PSI.CPU), Memory: s.PSI.Memory.higher(o.PSI.Memory), IO: s.PSI.IO.higher(o.PSI.IO)}
	return s
}

func (c *ServiceCPU) plus(o *ServiceCPU) *ServiceCPU {
	if c == nil || o == nil {
		return either(c, o)
	}
	sum := ServiceCPU{Used: c.Used + o.Used, Throttled: either(c.Throttled, o.Throttled)}
	if c.Throttled != nil && o.Throttled != nil {
		both := *c.Throttled + *o.Throttled
		sum.Throttled = &both
	}
	return &sum
}

func (m *ServiceMemory) plus(o *ServiceMemory) *ServiceMemory {
	if m == nil || o == nil {
		return either(m, o)
	}
	sum := ServiceMemory{Used: m.Used + o.Used}
	if m.Limit > 0 && o.Limit > 0 {
		sum.Limit = m.Limit + o.Limit
	}
	return &sum
}

func (p *Pressure) higher(o *Pressure) *Pressure {
	if p == nil || o == nil {
		return either(p, o)
	}
	return &Pressure{Some: p.Some.higher(o.Some), Full: p.Full.higher(o.Full)}
}

func (s *Stall) higher(o *Stall) *Stall {
	if s == nil || o != nil && o.Ratio > s.Ratio {
		return o
	}
	return s
}

// Together is the higher one of each figure, since percentiles cannot be averaged.
func (d ServiceDelay) Together(o ServiceDelay) ServiceDelay {
	d.SchedDelay = *d.highest(&o.SchedDelay)
	return d
}

// either is the one that is not nil, if any.
func either[T any](a, b *T) *T {
	if a == nil {
		return b
	}
	return a
}
