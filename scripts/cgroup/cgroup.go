// SPDX-License-Identifier: Apache-2.0

// Package cgroup makes control groups for the tools in scripts, on hosts with
// version 1 of them, version 2, or both.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Group is a control group of our own, with one controller.
type Group struct {
	// Dir is its directory.
	Dir string
	v2  bool
}

const root = "/sys/fs/cgroup"

// New makes one below the root of cgroup v1, or of v2 where that has the
// controller: memory or cpu.
func New(controller, name string) (*Group, error) {
	g := &Group{}
	above := filepath.Join(root, controller)
	if _, err := os.Stat(above); err != nil {
		above, g.v2 = root, true
		if err := os.WriteFile(filepath.Join(above, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return nil, fmt.Errorf("enable the %s controller: %w", controller, err)
		}
	}
	g.Dir = filepath.Join(above, fmt.Sprintf("probe-%s-%d", name, os.Getpid()))
	if err := os.Mkdir(g.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a %s group: %w", controller, err)
	}
	return g, nil
}

// Remove needs the group to be empty.
func (g *Group) Remove() error {
	if err := os.Remove(g.Dir); err != nil {
		return fmt.Errorf("remove control group: %w", err)
	}
	return nil
}

func (g *Group) write(file, value string) error {
	if err := os.WriteFile(filepath.Join(g.Dir, file), []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s of the control group: %w", file, err)
	}
	return nil
}

// Enter moves a process into the group.
func (g *Group) Enter(pid int) error { return g.write("cgroup.procs", strconv.Itoa(pid)) }

// Leave moves a process to the root of the group's hierarchy.
func (g *Group) Leave(pid int) error {
	procs := filepath.Join(filepath.Dir(g.Dir), "cgroup.procs")
	if err := os.WriteFile(procs, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return fmt.Errorf("leave the control group: %w", err)
	}
	return nil
}

// MemoryUsed is what a memory group uses, in bytes, the kernel's memory for it
// included.
func (g *Group) MemoryUsed() (int, error) {
	usage := "memory.usage_in_bytes"
	if g.v2 {
		usage = "memory.current"
	}
	b, err := os.ReadFile(filepath.Join(g.Dir, usage))
	if err != nil {
		return 0, fmt.Errorf("read use of the memory group: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read use of the memory group: %w", err)
	}
	return n, nil
}

// OOMKills is how many processes of a memory group the kernel has killed.
func (g *Group) OOMKills() (int, error) {
	file := "memory.oom_control"
	if g.v2 {
		file = "memory.events"
	}
	b, err := os.ReadFile(filepath.Join(g.Dir, file))
	if err != nil {
		return 0, fmt.Errorf("read kills of the memory group: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strconv.Atoi(strings.TrimSpace(n))
		}
	}
	return 0, fmt.Errorf("%s says nothing about kills", file)
}

// Tighten leaves a memory group little more than it uses: headroom bytes.
func (g *Group) Tighten(headroom int) error {
	n, err := g.MemoryUsed()
	if err != nil {
		return err
	}
	return g.limit(strconv.Itoa(n + headroom))
}

// Lift ends what Tighten began.
func (g *Group) Lift() error {
	if g.v2 {
		return g.limit("max")
	}
	return g.limit("-1")
}

func (g *Group) limit(bytes string) error {
	if g.v2 {
		return g.write("memory.max", bytes)
	}
	return g.write("memory.limit_in_bytes", bytes)
}

// Favour gives a cpu group four times the usual share.
func (g *Group) Favour() error {
	if g.v2 {
		return g.write("cpu.weight", "400")
	}
	return g.write("cpu.shares", "4096")
}

// Quota lets a cpu group run for so long in each period.
func (g *Group) Quota(run, period time.Duration) error {
	if g.v2 {
		return g.write("cpu.max", fmt.Sprintf("%d %d", run.Microseconds(), period.Microseconds()))
	}
	return errors.Join(
		g.write("cpu.cfs_period_us", strconv.FormatInt(period.Microseconds(), 10)),
		g.write("cpu.cfs_quota_us", strconv.FormatInt(run.Microseconds(), 10)))
}

// KernelMemory is what a memory group uses, in bytes, that is neither memory of
// its processes nor cached files: BPF maps, for example.
func (g *Group) KernelMemory() (int, error) {
	b, err := os.ReadFile(filepath.Join(g.Dir, "memory.stat"))
	if err != nil {
		return 0, fmt.Errorf("read use of the memory group: %w", err)
	}
	stat := map[string]int{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if stat[name], err = strconv.Atoi(value); err != nil {
			return 0, fmt.Errorf("read use of the memory group: %w", err)
		}
	}
	if g.v2 {
		return stat["kernel"], nil
	}
	used, err := g.MemoryUsed()
	return used - stat["rss"] - stat["cache"], err
}
