// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	if g.hasPSI {
		s.PSI = stats.PSI{CPU: groupPressure(g, "cpu"), Memory: groupPressure(g, "memory"), IO: groupPressure(g, "io")}
	}
	return s, s.CPU != nil || s.Memory != nil
}

// groupPressure has the library parse the file of a control group, which has
// the format of those in /proc/pressure and another name.
func groupPressure(g *group, resource string) *stats.Pressure {
	p, err := pressureOf(g.psi, "../"+resource+".pressure")
	if err != nil {
		return nil
	}
	return p
}

func (r *Reader) groupCPU(g *group) *stats.ServiceCPU {
	out := &stats.ServiceCPU{}
	used := false
	if g.dirs.unified != "" {
		text, _ := r.readFile(filepath.Join(g.dirs.unified, "cpu.stat"))
		out.TotalUsed, used = keyedDuration(text, "usage_usec", time.Microsecond)
		if d, known := keyedDuration(text, "throttled_usec", time.Microsecond); known {
			out.TotalThrottled = &d
		}
	}
	if !used && g.dirs.cpuacct != "" {
		var ns uint64
		ns, used = r.number(filepath.Join(g.dirs.cpuacct, "cpuacct.usage"))
		out.TotalUsed = time.Duration(ns)
	}
	if out.TotalThrottled == nil && g.dirs.cpu != "" {
		text, _ := r.readFile(filepath.Join(g.dirs.cpu, "cpu.stat"))
		if d, known := keyedDuration(text, "throttled_time", time.Nanosecond); known {
			out.TotalThrottled = &d
		}
	}
	if !used {
		return nil
	}
	return out
}

func (r *Reader) groupMemory(g *group) *stats.ServiceMemory {
	dir, current, limit := g.dirs.unified, "memory.current", "memory.max"
	if g.dirs.memory != "" {
		dir, current, limit = g.dirs.memory, "memory.usage_in_bytes", "memory.limit_in_bytes"
	}
	if dir == "" {
		return nil
	}
	used, known := r.number(filepath.Join(dir, current))
	if !known {
		return nil
	}
	out := &stats.ServiceMemory{Used: used}
	if n, known := r.number(filepath.Join(dir, limit)); known && n < noLimit {
		out.Limit = n
	}
	return out
}

// number reads a file that holds one number; "max" is not one.
func (r *Reader) number(path string) (uint64, bool) {
	text, err := r.readFile(path)
	if err != nil {
		return 0, false
	}
	return parseNumber(text)
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

// readFile returns the first maxFileBytes of a file, valid until the next call.
func (r *Reader) readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read control group: %w", err)
	}
	defer f.Close()
	n, err := f.Read(r.buf)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read control group: %w", err)
	}
	return r.buf[:n], nil
}
