// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"strconv"
	"time"

	"probe/pkg/stats"
)

// noLimit: version 1 has no word for "no limit", it shows the largest multiple
// of the page size that a signed number holds.
const noLimit = 1 << 62

// readGroup reads what the hierarchies know of a group; false: it is gone.
func (r *Reader) readGroup(g *group) (stats.Service, bool) {
	s := stats.Service{Name: g.name, Cgroup: g.path, CPU: r.groupCPU(g), Memory: r.groupMemory(g)}
	s.PSI = stats.PSI{
		CPU: parsePressure(r.read(g, filePressureCPU)), Memory: parsePressure(r.read(g, filePressureMem)), IO: parsePressure(r.read(g, filePressureDisk)),
	}
	alive := s.CPU != nil || s.Memory != nil
	if !alive {
		g.close()
	}
	return s, alive
}

// read returns the text of a file of a group, nil when it is not there. It is
// valid until the next call.
func (r *Reader) read(g *group, file int) []byte {
	text, err := g.files[file].read(r.buf, r.keep)
	if err != nil {
		return nil
	}
	return text
}

func (r *Reader) groupCPU(g *group) *stats.ServiceCPU {
	text := r.read(g, fileCPU)
	total, used := keyedDuration(text, "usage_usec", time.Microsecond)
	out := &stats.ServiceCPU{TotalUsed: total}
	if d, known := keyedDuration(text, "throttled_usec", time.Microsecond); known {
		out.TotalThrottled = &d
	}
	if !used {
		var ns uint64
		ns, used = parseNumber(r.read(g, fileUsage))
		out.TotalUsed = time.Duration(ns)
	}
	if out.TotalThrottled == nil {
		if d, known := keyedDuration(r.read(g, fileThrottled), "throttled_time", time.Nanosecond); known {
			out.TotalThrottled = &d
		}
	}
	if !used {
		return nil
	}
	return out
}

func (r *Reader) groupMemory(g *group) *stats.ServiceMemory {
	used, known := parseNumber(r.read(g, fileMemory))
	if !known {
		return nil
	}
	out := &stats.ServiceMemory{Used: used}
	if n, known := parseNumber(r.read(g, fileMemoryLimit)); known && n < noLimit { // "max" is no number
		out.Limit = n
	}
	return out
}

// parsePressure reads a pressure file (Documentation/accounting/psi.rst), nil
// when it names no stall. The library that reads the host's would open the file
// each time.
func parsePressure(text []byte) *stats.Pressure {
	p := &stats.Pressure{}
	for line := range bytes.Lines(text) {
		kind, rest, _ := bytes.Cut(bytes.TrimSpace(line), []byte{' '})
		stall, ok := parseStall(rest)
		switch {
		case !ok:
		case string(kind) == "some":
			p.Some = stall
		case string(kind) == "full":
			p.Full = stall
		}
	}
	if p.Some == nil && p.Full == nil {
		return nil
	}
	return p
}

// parseStall reads "avg10=0.00 avg60=0.00 avg300=0.00 total=0"; total is in
// microseconds.
func parseStall(text []byte) (*stats.Stall, bool) {
	s, total := &stats.Stall{}, false
	for field := range bytes.FieldsSeq(text) {
		key, value, _ := bytes.Cut(field, []byte{'='})
		var err error
		switch string(key) {
		case "avg10":
			s.Avg10, err = strconv.ParseFloat(string(value), 64)
		case "avg60":
			s.Avg60, err = strconv.ParseFloat(string(value), 64)
		case "avg300":
			s.Avg300, err = strconv.ParseFloat(string(value), 64)
		case "total":
			var us uint64
			us, err = strconv.ParseUint(string(value), 10, 63)
			s.Total, total = time.Duration(us)*time.Microsecond, true
		}
		if err != nil {
			return nil, false
		}
	}
	return s, total
}

func parseNumber(text []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	return n, err == nil
}

// flatKeyed returns the number of a key in lines "key number".
func flatKeyed(text []byte, key string) (uint64, bool) {
	for line := range bytes.Lines(text) {
		name, value, ok := bytes.Cut(line, []byte{' '})
		if ok && string(name) == key {
			return parseNumber(value)
		}
	}
	return 0, false
}

func keyedDuration(text []byte, key string, unit time.Duration) (time.Duration, bool) {
	n, known := flatKeyed(text, key)
	return time.Duration(n) * unit, known
}
