// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/netip"

	"probe/pkg/stats"
)

// From here on something is worth a line. These are not the thresholds of
// overload: they tell where to look.
const (
	noteStall     = 0.1  // share of the time, some or all tasks
	noteSteal     = 0.05 // share of the CPU time
	noteIowait    = 0.2  // share of the CPU time
	noteThrottled = 0.05 // share of the time, summed over CPUs
	noteQueue     = 0.5  // share of an accept queue's limit
	noteMemory    = 0.9  // share of a service's limit
)

// Finding is something under pressure, and why that is said.
type Finding struct {
	// Resource in the words of the JSON: "psi.memory", "listen", "service.cpu".
	Resource string `json:"resource"`
	// Subject is the service or the socket; empty for the host.
	Subject string `json:"subject,omitempty"`
	Reason  string `json:"reason"`
}

// UnderPressure lists what is under pressure: the overloaded resources first,
// then what the state itself shows. It is empty on a host that has nothing to
// complain of.
func UnderPressure(s *stats.HostState, overload []stats.Overload) []Finding {
	f := findings{}
	for _, o := range overload {
		f.add(string(o.Resource), "", "%s", o.Reason)
	}
	if c := s.CPU; c != nil {
		f.above("cpu", "", c.Steal, noteSteal, "%.1f %% of the CPU time was given to other guests of the hypervisor")
		f.above("cpu", "", c.Iowait, noteIowait, "%.1f %% of the CPU time was idle for want of a disk")
	}
	f.psi("psi", "", s.PSI)
	f.listen(s.Listen)
	for i := range s.Services {
		f.service(&s.Services[i])
	}
	return f.list
}

type findings struct{ list []Finding }

func (f *findings) add(resource, subject, format string, args ...any) {
	f.list = append(f.list, Finding{resource, subject, fmt.Sprintf(format, args...)})
}

func (f *findings) above(resource, subject string, ratio, note float64, format string) {
	if ratio >= note {
		f.add(resource, subject, format, 100*ratio)
	}
}

func (f *findings) psi(prefix, subject string, p stats.PSI) {
	one := func(resource, want string, p *stats.Pressure) {
		switch {
		case p == nil:
		case p.Full != nil && p.Full.Ratio >= noteStall:
			f.add(prefix+"."+resource, subject, "nothing could run for want of %s for %.1f %% of the time", want, 100*p.Full.Ratio)
		case p.Some != nil && p.Some.Ratio >= noteStall:
			f.add(prefix+"."+resource, subject, "something waited for %s for %.1f %% of the time", want, 100*p.Some.Ratio)
		}
	}
	one("cpu", "a CPU", p.CPU)
	one("memory", "memory", p.Memory)
	one("io", "a disk", p.IO)
}

func (f *findings) listen(l *stats.Listen) {
	if l == nil {
		return
	}
	for _, s := range l.Sockets {
		if s.Length > 0 && float64(s.Length) >= noteQueue*float64(s.Limit) {
			f.add("listen", SocketName(s), "%d connections wait to be accepted, the limit is %d", s.Length, s.Limit)
		}
	}
	if c := l.Counters; c != nil {
		if c.Drops > 0 {
			f.add("listen", "", "%d connections lost, %d of them because an accept queue was full", c.Drops, c.Overflows)
		}
		if c.RequestDrops > 0 {
			f.add("listen", "", "%d connection requests lost because a queue of half-open connections was full", c.RequestDrops)
		}
	}
}

func (f *findings) service(s *stats.Service) {
	if c := s.CPU; c != nil && c.Throttled != nil {
		f.above("service.cpu", s.Name, *c.Throttled, noteThrottled, "its quota took its CPUs away for %.1f %% of the time")
	}
	if m := s.Memory; m != nil && m.Limit > 0 {
		f.above("service.memory", s.Name, float64(m.Used)/float64(m.Limit), noteMemory, "it uses %.1f %% of its memory limit, page cache included")
	}
	f.psi("service.psi", s.Name, s.PSI)
}

// SocketName is address and port, as ss shows them.
func SocketName(s stats.ListenSocket) string {
	address, err := netip.ParseAddr(s.Address)
	if err != nil {
		return s.Address
	}
	return netip.AddrPortFrom(address, s.Port).String()
}
