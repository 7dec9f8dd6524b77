// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// layout is where the hierarchies of control groups are mounted; "" is not
// there. A host has version 2 (unified), version 1, or both (hybrid): then
// version 2 tells CPU time and pressure, and version 1 memory and throttling.
type layout struct{ unified, cpuacct, cpu, memory string }

func findLayout(sysRoot string) layout {
	base := filepath.Join(sysRoot, "fs", "cgroup")
	return layout{
		unified: firstWith(base, "cgroup.controllers", ".", "unified"),
		cpuacct: firstWith(base, "cpuacct.usage", "cpuacct", "cpu,cpuacct"),
		cpu:     firstWith(base, "cpu.cfs_quota_us", "cpu", "cpu,cpuacct"),
		memory:  firstWith(base, "memory.usage_in_bytes", "memory"),
	}
}

// firstWith is the first directory below base that has the file.
func firstWith(base, file string, dirs ...string) string {
	for _, dir := range dirs {
		if exists(filepath.Join(base, dir, file)) {
			return filepath.Join(base, dir)
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// The files of a group that are read. Of a host with version 1 and 2 some are
// in one hierarchy and some in the other.
const (
	fileCPU          = iota // cpu.stat of version 2
	fileUsage               // cpuacct.usage
	fileThrottled           // cpu.stat of version 1
	fileMemory              // memory.current or memory.usage_in_bytes
	fileMemoryLimit         // memory.max or memory.limit_in_bytes
	filePressureCPU         // cpu.pressure
	filePressureMem         // memory.pressure
	filePressureDisk        // io.pressure
	groupFiles
)

// group is the control group of a service.
type group struct {
	name, path string
	files      [groupFiles]kept
}

func (g *group) close() {
	for i := range g.files {
		g.files[i].close()
	}
}

// services reads every known group; the list of them is made anew after
// listEvery looks or listAfter, and when one is gone.
func (l *look) services() {
	if l.layout == (layout{}) {
		l.missing("services", errors.New("no control groups below "+filepath.Join(l.opt.SysRoot, "fs", "cgroup")))
		return
	}
	if l.listed++; l.listed == 0 || l.listed >= listEvery || l.state.Time-l.listedAt >= listAfter {
		l.list()
		l.listed, l.listedAt = 0, l.state.Time
	}
	pressure := false
	for i := range l.groups {
		g := &l.groups[i]
		s, alive := l.readGroup(g)
		if !alive {
			l.listed = -1
			continue
		}
		pressure = pressure || g.files[filePressureCPU].path != ""
		l.state.Services = append(l.state.Services, s)
	}
	l.state.ServicesRefused = l.beyond
	switch {
	case len(l.groups) == 0:
		l.missing("services", errors.New("no control group but the root holds processes"))
	case !pressure:
		l.missing("services.psi", errors.New("no service is in a control group of version 2 with pressure files"))
	}
}

// list finds the groups of services.
func (r *Reader) list() {
	w := walker{found: make(map[string]bool), buf: r.buf}
	for _, root := range []string{r.layout.unified, r.layout.cpuacct, r.layout.memory} {
		if root != "" {
			w.root, w.unified = root, root == r.layout.unified
			w.walk("", 0)
		}
	}
	paths := slices.Sorted(maps.Keys(w.found))
	r.beyond = max(len(paths)-r.opt.MaxServices, 0) + w.refused
	r.servicesRefused.Add(uint64(r.beyond))
	paths = paths[:min(len(paths), r.opt.MaxServices)]
	before := r.groups
	r.groups = make([]group, 0, len(paths))
	names := make(map[string]bool, len(paths))
	for _, path := range paths {
		names[pathName(path)] = true
	}
	for _, path := range paths {
		g := r.layout.group(path)
		if names[g.name] { // the same unit of two users, or a path without one, say
			g.name = pathName(path)
		}
		names[g.name] = true
		r.groups = append(r.groups, g)
	}
	adopt(r.groups, before)
	slices.SortFunc(r.groups, func(a, b group) int { return strings.Compare(a.name, b.name) })
}

// adopt takes over the open files of groups that are in both lists, and closes
// those of the others.
func adopt(now, before []group) {
	at := make(map[string]*group, len(now))
	for i := range now {
		at[now[i].path] = &now[i]
	}
	for i := range before {
		if g := at[before[i].path]; g != nil {
			for f := range g.files {
				g.files[f].adopt(&before[i].files[f])
			}
		}
		before[i].close()
	}
}

func (l layout) group(path string) group {
	g := group{name: serviceName(path), path: path}
	in := func(root, file string) string {
		if full := filepath.Join(root, path, file); root != "" && exists(full) {
			return full
		}
		return ""
	}
	for file, full := range map[int]string{
		fileCPU: in(l.unified, "cpu.stat"), fileUsage: in(l.cpuacct, "cpuacct.usage"), fileThrottled: in(l.cpu, "cpu.stat"),
		fileMemory: in(l.memory, "memory.usage_in_bytes"), fileMemoryLimit: in(l.memory, "memory.limit_in_bytes"),
		filePressureCPU: in(l.unified, "cpu.pressure"), filePressureMem: in(l.unified, "memory.pressure"),
		filePressureDisk: in(l.unified, "io.pressure"),
	} {
		g.files[file].path = full
	}
	if g.files[fileMemory].path == "" {
		g.files[fileMemory].path, g.files[fileMemoryLimit].path = in(l.unified, "memory.current"), in(l.unified, "memory.max")
	}
	return g
}

// serviceName is the unit without ".service", else the path.
func serviceName(path string) string {
	if unit, isService := strings.CutSuffix(filepath.Base(path), ".service"); isService && unit != "" {
		return unit
	}
	return pathName(path)
}

func pathName(path string) string { return strings.TrimPrefix(path, "/") }

// walker collects the paths of groups that are a service: a systemd service or
// scope with processes anywhere below it, or another group with processes of
// its own. What is below one belongs to it. The manager of a user's units
// (user@1000.service) is no service, its units are. The root is the host.
type walker struct {
	root    string
	unified bool
	buf     []byte
	found   map[string]bool
	visited int
	refused int // directories not looked at
}

func (w *walker) walk(path string, depth int) {
	for _, child := range w.children(path) {
		child = path + "/" + child
		if w.visited >= maxGroupsWalked || depth >= maxGroupDepth {
			w.refused++
			continue
		}
		w.visited++
		switch {
		case w.unified && !w.populated(child, depth): // nor is anything below it
		case isUnit(child):
			if w.unified || w.populated(child, depth) {
				w.found[child] = true
			}
		case w.hasProcesses(child):
			w.found[child] = true
		default:
			w.walk(child, depth+1)
		}
	}
}

func isUnit(path string) bool {
	name := filepath.Base(path)
	return strings.HasSuffix(name, ".scope") || strings.HasSuffix(name, ".service") && !strings.HasPrefix(name, "user@")
}

func (w *walker) children(path string) []string {
	entries, err := os.ReadDir(filepath.Join(w.root, path))
	if err != nil {
		return nil // gone meanwhile
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
	return dirs
}

// populated reports whether there are processes in the group or below it.
func (w *walker) populated(path string, depth int) bool {
	if w.unified {
		events, err := readFile(filepath.Join(w.root, path, "cgroup.events"), w.buf)
		n, known := flatKeyed(events, "populated")
		return err == nil && known && n > 0
	}
	if w.hasProcesses(path) {
		return true
	}
	if depth >= maxGroupDepth {
		return false
	}
	return slices.ContainsFunc(w.children(path), func(child string) bool {
		w.visited++
		return w.visited < maxGroupsWalked && w.populated(path+"/"+child, depth+1)
	})
}

func (w *walker) hasProcesses(path string) bool {
	procs, err := readFile(filepath.Join(w.root, path, "cgroup.procs"), w.buf)
	return err == nil && len(procs) > 0
}
