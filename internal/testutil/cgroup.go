// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Hierarchy is a mount of the control groups of version 2.
type Hierarchy struct {
	t testing.TB
	// SysRoot is a directory with that mount where /sys has it.
	SysRoot string
}

// Group is a control group of version 2.
type Group struct {
	h *Hierarchy
	// Path is that of its directory.
	Path string
	// ID is what the kernel side calls it.
	ID uint64
}

// Groups mounts the hierarchy, which every kernel with control groups has, until
// the end of the test. Needs root, as RequireRoot says.
func Groups(t testing.TB) *Hierarchy {
	t.Helper()
	RequireRoot(t, "make control groups")
	h := &Hierarchy{t: t, SysRoot: t.TempDir()}
	dir := filepath.Join(h.SysRoot, "fs/cgroup")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", dir, "cgroup2", 0, ""); err != nil {
		Lacking(t, "control groups of version 2: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount control groups: %v", err)
		}
	})
	return h
}

// Make makes a group, which is removed at the end of the test if not before. What
// is in it must have ended by then.
func (h *Hierarchy) Make(name string) *Group {
	h.t.Helper()
	g := &Group{h: h, Path: filepath.Join(h.SysRoot, "fs/cgroup", name)}
	if err := os.Mkdir(g.Path, 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(g.Remove)
	var stat unix.Stat_t
	if err := unix.Stat(g.Path, &stat); err != nil {
		h.t.Fatal(err)
	}
	g.ID = stat.Ino
	return g
}

// Start starts a process in the group (kernel 5.7).
func (g *Group) Start(cmd *exec.Cmd) error {
	dir, err := os.Open(g.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	return cmd.Start()
}

// Enter moves a process into the group.
func (g *Group) Enter(pid uint32) {
	g.h.t.Helper()
	if err := os.WriteFile(filepath.Join(g.Path, "cgroup.procs"), strconv.AppendUint(nil, uint64(pid), 10), 0o644); err != nil {
		g.h.t.Fatal(err)
	}
}

// Remove removes the group.
func (g *Group) Remove() {
	var err error
	for range 500 { // the last process has ended, the kernel is about to notice
		if err = os.Remove(g.Path); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	g.h.t.Errorf("remove group: %v", err)
}
