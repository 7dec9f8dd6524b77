// SPDX-License-Identifier: Apache-2.0

package export

import (
	"math"
	"strconv"
	"time"

	"probe/pkg/stats"
)

// AppendHost appends the figures of the host; those that are not known are left
// out, and those of services and ports unless lines name a service: a receiver
// would keep those of the last one. There are some hundred lines per interval, so
// nothing of them is cached.
func (e *Encoder) AppendHost(dst []byte, h *stats.HostInterval) []byte {
	l := hostLines{dst: dst, parts: e.hostParts(levelHost, scopeHost, "")}
	l.host(h)
	l.overload(h)
	l.parts = e.hostParts(levelHost, scopeDelay, "")
	l.schedDelay(h.SchedDelay)
	if !e.perService {
		return l.dst
	}
	for i := range h.Ports {
		q := &h.Ports[i]
		l.parts = e.hostParts(levelService, scopeAcceptQueue, "port-"+strconv.Itoa(int(q.Port)))
		l.gauge(nameQueueLength, float64(q.Length))
		l.gauge(nameQueueLimit, float64(q.Limit))
	}
	alike(h.Services, func(s *stats.Service) parts {
		return e.hostParts(levelService, scopeService, s.Name).parts
	}, func(s stats.Service) {
		l.parts = e.hostParts(levelService, scopeService, s.Name)
		l.service(&s)
		l.parts = e.hostParts(levelService, scopeServicePSI, s.Name)
		l.psi("", s.PSI)
	})
	return l.dst
}

// AppendDelays appends the waits for a CPU of services, unless lines do not name
// a service.
func (e *Encoder) AppendDelays(dst []byte, delays []stats.ServiceDelay) []byte {
	if !e.perService {
		return dst
	}
	l := hostLines{dst: dst}
	alike(delays, func(d *stats.ServiceDelay) parts {
		return e.hostParts(levelService, scopeServiceWait, d.Service).parts
	}, func(d stats.ServiceDelay) {
		l.parts = e.hostParts(levelService, scopeServiceWait, d.Service)
		l.schedDelay(&d.SchedDelay)
	})
	return l.dst
}

// alike hands over all of them in their order, as one those whose lines would
// have the same name and tags: a receiver would keep the last one's gauges.
func alike[T interface{ Together(o T) T }](all []T, named func(*T) parts, each func(T)) {
	var kept []T
	at := make(map[parts]int, len(all))
	for i := range all {
		key := named(&all[i])
		if j, again := at[key]; again {
			kept[j] = kept[j].Together(all[i])
			continue
		}
		at[key] = len(kept)
		kept = append(kept, all[i])
	}
	for _, one := range kept {
		each(one)
	}
}

func (e *Encoder) hostParts(l level, scope, service string) *cachedParts {
	return &cachedParts{parts: e.renderer.render(&identity{
		prefix: e.opt.Prefix, scope: scope, host: e.opt.Host, service: service, level: l,
	})}
}

// hostLines appends lines with the same parts.
type hostLines struct {
	dst   []byte
	parts *cachedParts
}

func (l *hostLines) host(h *stats.HostInterval) {
	if c := h.CPU; c != nil {
		l.gauge(nameCPUUsed, c.Used)
		l.gauge(nameCPUIowait, c.Iowait)
		l.gauge(nameCPUSteal, c.Steal)
	}
	if m := h.Memory; m != nil {
		l.gauge(nameMemoryUsed, m.UsedRatio)
		l.gauge(nameMemoryBytes, float64(m.Used))
	}
	l.psi(namePSI, h.PSI)
	if q := h.RunQueue; q != nil {
		l.gauge(nameRunQueue, h.Runnable)
		if q.HasLoad {
			l.gauge(nameLoad1, q.Load1)
		}
	}
	if h.Listen != nil && h.Listen.Counters != nil {
		c := h.Listen.Counters
		l.count(nameOverflows, c.Overflows)
		l.count(nameDrops, c.Drops)
		l.count(nameRequestDrops, c.RequestDrops)
	}
	if c := h.ClientErrors; c != nil {
		l.count(nameClientErrors, c.RateLimited+c.ServerErrors)
	}
}

func (l *hostLines) schedDelay(d *stats.SchedDelay) {
	if d == nil {
		return
	}
	l.millis(nameDelayMean, d.Mean)
	if d.Quantiles {
		l.millis(nameDelayP50, d.P50)
		l.millis(nameDelayP90, d.P90)
		l.millis(nameDelayP99, d.P99)
		l.millis(nameDelayMax, d.Max)
	}
}

// overload tells 0 only of a resource that was measured, and nothing of an
// interval without a look.
func (l *hostLines) overload(h *stats.HostInterval) {
	if h.Samples == 0 {
		return
	}
	over := make(map[stats.Resource]float64, len(h.Overload))
	for _, o := range h.Overload {
		over[o.Resource] = 1
	}
	l.gauge(nameOverloaded, float64(min(len(h.Overload), 1)))
	measured := map[stats.Resource]bool{
		stats.ResourceCPU: h.CPU != nil, stats.ResourceMemory: h.Memory != nil,
		stats.ResourceSchedDelay: h.SchedDelay != nil, stats.ResourceClientErrors: h.ClientErrors != nil,
	}
	for _, r := range stats.Resources() {
		if measured[r] {
			l.gauge(nameOverload+string(r), over[r])
		}
	}
}

func (l *hostLines) service(s *stats.Service) {
	if c := s.CPU; c != nil {
		l.gauge(nameServiceCPU, c.Used)
		if c.Throttled != nil {
			l.gauge(nameThrottled, *c.Throttled)
		}
	}
	if s.Memory != nil {
		l.gauge(nameServiceMemory, float64(s.Memory.Used))
	}
}

func (l *hostLines) psi(prefix string, p stats.PSI) {
	for i, one := range []*stats.Pressure{p.CPU, p.Memory, p.IO} {
		if one == nil {
			continue
		}
		name := prefix + psiResources()[i]
		if one.Some != nil {
			l.gauge(name+nameSome, 100*one.Some.Ratio)
		}
		if one.Full != nil {
			l.gauge(name+nameFull, 100*one.Full.Ratio)
		}
	}
}

func (l *hostLines) count(name string, n uint64) { l.dst = appendCount(l.dst, l.parts, name, n) }

// gauge appends an absolute value, never negative, with at most four decimals
// and no exponent.
func (l *hostLines) gauge(name string, v float64) {
	const decimals = 1e4
	v = math.Round(max(v, 0)*decimals) / decimals
	l.dst = strconv.AppendFloat(appendName(l.dst, l.parts, name), v, 'f', -1, 64)
	l.dst = appendEnd(l.dst, Gauge, l.parts)
}

func (l *hostLines) millis(name string, d time.Duration) {
	l.dst = appendEnd(appendMillis(appendName(l.dst, l.parts, name), d), Gauge, l.parts)
}
