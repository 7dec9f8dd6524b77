// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// group is a control group of our own, with one controller.
type group struct {
	dir string
	v2  bool
}

// headroom is what a server may use beyond what it uses already: enough to run,
// little enough that written pages push one another out.
const headroom = 24 << 20

// newGroup makes one below the root of cgroup v1, or of v2 where that has the
// controller: memory or cpu.
func newGroup(controller, name string) (*group, error) {
	g := &group{}
	root := filepath.Join("/sys/fs/cgroup", controller)
	if _, err := os.Stat(root); err != nil {
		root, g.v2 = "/sys/fs/cgroup", true
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return nil, fmt.Errorf("enable the %s controller: %w", controller, err)
		}
	}
	g.dir = filepath.Join(root, fmt.Sprintf("probe-%s-%d", name, os.Getpid()))
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a %s group: %w", controller, err)
	}
	return g, nil
}

// remove needs the group to be empty.
func (g *group) remove() error {
	if err := os.Remove(g.dir); err != nil {
		return fmt.Errorf("remove control group: %w", err)
	}
	return nil
}

func (g *group) write(file, value string) error {
	if err := os.WriteFile(filepath.Join(g.dir, file), []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s of the control group: %w", file, err)
	}
	return nil
}

func (g *group) enter(pid int) error { return g.write("cgroup.procs", strconv.Itoa(pid)) }

// tighten leaves a memory group little more than it uses.
func (g *group) tighten() error {
	usage := "memory.usage_in_bytes"
	if g.v2 {
		usage = "memory.current"
	}
	b, err := os.ReadFile(filepath.Join(g.dir, usage))
	if err != nil {
		return fmt.Errorf("read use of the memory group: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("read use of the memory group: %w", err)
	}
	return g.limit(strconv.Itoa(n + headroom))
}

func (g *group) lift() error {
	if g.v2 {
		return g.limit("max")
	}
	return g.limit("-1")
}

func (g *group) limit(bytes string) error {
	if g.v2 {
		return g.write("memory.max", bytes)
	}
	return g.write("memory.limit_in_bytes", bytes)
}

// favour gives a cpu group four times the usual share.
func (g *group) favour() error {
	if g.v2 {
		return g.write("cpu.weight", "400")
	}
	return g.write("cpu.shares", "4096")
}

// quota lets a cpu group run for so long in each period.
func (g *group) quota(run, period time.Duration) error {
	if g.v2 {
		return g.write("cpu.max", fmt.Sprintf("%d %d", run.Microseconds(), period.Microseconds()))
	}
	return errors.Join(
		g.write("cpu.cfs_period_us", strconv.FormatInt(period.Microseconds(), 10)),
		g.write("cpu.cfs_quota_us", strconv.FormatInt(run.Microseconds(), 10)))
}
