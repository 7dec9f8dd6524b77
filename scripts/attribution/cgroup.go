// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// group is a memory control group of our own.
type group struct {
	dir          string
	usage, limit string // names of its files
	none         string // the limit that is none
}

// headroom is what a server may use beyond what it uses already: enough to run,
// little enough that written pages push one another out.
const headroom = 24 << 20

// newGroup makes one below the root of cgroup v1, or of v2 where that has the
// memory controller.
func newGroup(name string) (*group, error) {
	g := &group{usage: "memory.usage_in_bytes", limit: "memory.limit_in_bytes", none: "-1"}
	root := "/sys/fs/cgroup/memory"
	if _, err := os.Stat(filepath.Join(root, g.limit)); err != nil {
		root = "/sys/fs/cgroup"
		g.usage, g.limit, g.none = "memory.current", "memory.max", "max"
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0o644); err != nil {
			return nil, fmt.Errorf("enable the memory controller: %w", err)
		}
	}
	g.dir = filepath.Join(root, fmt.Sprintf("probe-attribution-%s-%d", name, os.Getpid()))
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a memory group: %w", err)
	}
	return g, nil
}

// remove needs the group to be empty.
func (g *group) remove() error {
	if err := os.Remove(g.dir); err != nil {
		return fmt.Errorf("remove memory group: %w", err)
	}
	return nil
}

func (g *group) write(file, value string) error {
	if err := os.WriteFile(filepath.Join(g.dir, file), []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s of the memory group: %w", file, err)
	}
	return nil
}

func (g *group) enter(pid int) error { return g.write("cgroup.procs", strconv.Itoa(pid)) }

// tighten leaves the group little more than it uses.
func (g *group) tighten() error {
	b, err := os.ReadFile(filepath.Join(g.dir, g.usage))
	if err != nil {
		return fmt.Errorf("read use of the memory group: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("read use of the memory group: %w", err)
	}
	return g.write(g.limit, strconv.Itoa(n+headroom))
}

func (g *group) lift() error { return errors.Join(g.write(g.limit, g.none)) }
