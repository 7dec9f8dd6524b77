// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// want is one line that the probe must print.
type want struct {
	behaviour string
	role      string
	tag       string // "" when only the connection identifies it
	method    string
	target    string
	status    int
	outcome   string // "" where any will do
	request   span
	response  span
	remote    string // "" where it is not known
}

// span is an inclusive range of byte counts.
type span struct{ min, max int64 }

func exactly(n int64) span           { return span{n, n} }
func (s span) contains(n int64) bool { return s.min <= n && n <= s.max }
func (s span) String() string {
	if s.min == s.max {
		return fmt.Sprint(s.min)
	}
	return fmt.Sprintf("%d..%d", s.min, s.max)
}

// difference is one field of one line that is not as it must be.
type difference struct{ id, field, want, got string }

func (d difference) String() string {
	return fmt.Sprintf("%s: %s is %s, want %s", d.id, d.field, d.got, d.want)
}

// verdict is the outcome of one cell.
type verdict struct {
	matched int
	missing []want
	extra   []traceLine
	differ  []difference
}

func (v verdict) exact() bool {
	return v.matched > 0 && len(v.missing) == 0 && len(v.extra) == 0 && len(v.differ) == 0
}

func (v verdict) String() string {
	if v.exact() {
		return "exact"
	}
	if v.matched == 0 && len(v.missing) == 0 && len(v.extra) == 0 {
		return "nothing compared"
	}
	var parts []string
	if n := len(v.missing); n > 0 {
		parts = append(parts, fmt.Sprintf("%d missing", n))
	}
	if n := len(v.extra); n > 0 {
		parts = append(parts, fmt.Sprintf("%d extra", n))
	}
	fields := map[string]int{}
	for _, d := range v.differ {
		fields[d.field]++
	}
	names := make([]string, 0, len(fields))
	for f, n := range fields {
		names = append(names, fmt.Sprintf("%d× %s", n, f))
	}
	slices.Sort(names)
	return strings.Join(append(parts, names...), ", ")
}

// compare matches the lines of one role with what must be there, and returns
// one verdict per behaviour. Lines that belong to no behaviour are returned
// under the empty name.
//
// A line is matched by its tag; without one, by its connection and the order on
// it; without that too, by method and target. A line with a damaged target, paired
// by its connection, counts as one difference and not as one missing and one
// extra.
func compare(wants []want, lines []traceLine) map[string]*verdict {
	m := matcher{verdicts: map[string]*verdict{}, owner: map[string]string{}}
	for _, w := range wants {
		m.of(w.behaviour)
		if w.remote != "" {
			m.owner[w.remote] = w.behaviour
		}
	}
	wants, lines = m.pair(wants, lines,
		func(w want) string { return w.tag },
		func(l traceLine) string { return tagOf(l.Target) })
	wants, lines = m.pair(wants, lines,
		func(w want) string { return w.remote },
		func(l traceLine) string { return unmapped(l.Remote) })
	wants, lines = m.pair(wants, lines,
		func(w want) string { return w.method + " " + w.target },
		func(l traceLine) string { return l.Method + " " + l.Target })
	for _, w := range wants {
		v := m.of(w.behaviour)
		v.missing = append(v.missing, w)
	}
	for _, l := range lines {
		v := m.of(m.behaviourOf(l))
		v.extra = append(v.extra, l)
	}
	return m.verdicts
}

type matcher struct {
	verdicts map[string]*verdict
	owner    map[string]string // connection → behaviour
}

func (m *matcher) of(behaviour string) *verdict {
	v := m.verdicts[behaviour]
	if v == nil {
		v = &verdict{}
		m.verdicts[behaviour] = v
	}
	return v
}

func (m *matcher) behaviourOf(l traceLine) string {
	if name, _, ok := strings.Cut(tagOf(l.Target), "-"); ok {
		return name
	}
	return m.owner[unmapped(l.Remote)]
}

// unmapped writes an IPv4 address that came over an IPv6 socket as the client
// knows it.
func unmapped(address string) string {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}

// pair matches by key, first come first served, and returns what is left over.
// An empty key matches nothing.
func (m *matcher) pair(wants []want, lines []traceLine, wantKey func(want) string, lineKey func(traceLine) string) ([]want, []traceLine) {
	waiting := map[string][]traceLine{}
	for _, l := range lines {
		if k := lineKey(l); k != "" {
			waiting[k] = append(waiting[k], l)
		}
	}
	var left []want
	for _, w := range wants {
		k := wantKey(w)
		if k == "" || len(waiting[k]) == 0 {
			left = append(left, w)
			continue
		}
		v := m.of(w.behaviour)
		v.matched++
		v.differ = append(v.differ, differences(w, waiting[k][0])...)
		waiting[k] = waiting[k][1:]
	}
	var rest []traceLine
	for _, l := range lines {
		k := lineKey(l)
		if k == "" {
			rest = append(rest, l)
		} else if len(waiting[k]) > 0 && waiting[k][0].number == l.number {
			rest = append(rest, l)
			waiting[k] = waiting[k][1:]
		}
	}
	return left, rest
}

func differences(w want, l traceLine) []difference {
	id := w.tag
	if id == "" {
		id = w.method + " " + w.target
	}
	var ds []difference
	note := func(field string, ok bool, want, got any) {
		if !ok {
			ds = append(ds, difference{id, field, fmt.Sprint(want), fmt.Sprint(got)})
		}
	}
	note("role", w.role == l.Role, w.role, l.Role)
	note("method", w.method == l.Method, w.method, l.Method)
	note("target", w.target == l.Target, w.target, l.Target)
	note("status", w.status == l.Status, w.status, l.Status)
	note("outcome", w.outcome == "" || w.outcome == l.Outcome, w.outcome, l.Outcome)
	note("request_bytes", w.request.contains(l.RequestBytes), w.request, l.RequestBytes)
	note("response_bytes", w.response.contains(l.ResponseBytes), w.response, l.ResponseBytes)
	note("remote", w.remote == "" || w.remote == unmapped(l.Remote), w.remote, l.Remote)
	// Of a request that has waited for long the arrival may be known to a tick only.
	note("flags", len(l.Flags) == 0 || slices.Equal(l.Flags, []string{"time_uncertain"}), "none but time_uncertain", l.Flags)
	note("pid", l.PID != 0, "not 0", l.PID)
	note("ttfb_ns", l.TTFB <= l.Duration && (w.status == 0) == (l.TTFB == 0), "0 < ttfb <= duration", l.TTFB)
	return ds
}
