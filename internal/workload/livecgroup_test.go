// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"probe/internal/testutil"
)

const cgroupRoot = "/sys/fs/cgroup"

// hierarchies are where this host has each hierarchy of a line of
// /proc/PID/cgroup mounted; one that is not there is left out.
func hierarchies() map[string]string {
	found := map[string]string{}
	for controllers, dirs := range map[string][]string{
		"": {".", "unified"}, "name=systemd": {"systemd"}, "memory": {"memory"}, "cpu": {"cpu", "cpu,cpuacct"},
	} {
		for _, dir := range dirs {
			dir = filepath.Join(cgroupRoot, dir)
			_, err := os.Stat(filepath.Join(dir, "cgroup.procs"))
			_, unified := os.Stat(filepath.Join(dir, "cgroup.controllers"))
			if err == nil && (unified == nil) == (controllers == "") {
				found[controllers] = dir
			}
		}
	}
	return found
}

// enter puts a process into the groups of the text, which it makes; false where
// this host has none of the hierarchies.
func enter(t *testing.T, pid int, text string) bool {
	t.Helper()
	entered := false
	mounts := hierarchies()
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		mount, here := mounts[parts[1]]
		if !here {
			continue
		}
		makeGroup(t, mount, parts[2])
		procs := filepath.Join(mount, parts[2], "cgroup.procs")
		if err := os.WriteFile(procs, []byte(strconv.Itoa(pid)), 0o644); err != nil {
			t.Fatalf("enter %s: %v", procs, err)
		}
		entered = true
	}
	return entered
}

// makeGroup makes a group and its parents, and removes those it made.
func makeGroup(t *testing.T, mount, path string) {
	t.Helper()
	dir := mount
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		dir = filepath.Join(dir, part)
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		made := dir
		t.Cleanup(func() {
			for range 100 { // the process has ended, the kernel is about to notice
				if err = os.Remove(made); err == nil || errors.Is(err, os.ErrNotExist) {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Errorf("remove group: %v", err)
		})
	}
}

// Live processes in real control groups of each layout, as far as this host has
// the hierarchies.
func TestLayoutsLive(t *testing.T) {
	testutil.RequireRoot(t, "make control groups")
	if len(hierarchies()) == 0 {
		testutil.Lacking(t, "no control groups below "+cgroupRoot)
	}
	checked := 0
	for _, l := range layouts() {
		t.Run(l.String(), func(t *testing.T) {
			root := l.hostRoot(t)
			cmd := exec.Command("sleep", "60")
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			entered := false
			// The groups can go only after the process.
			defer func() {
				cmd.Process.Kill()
				cmd.Wait()
			}()
			if entered = enter(t, cmd.Process.Pid, l.cgroup); !entered {
				t.Skip("this host does not mount cgroups " + l.version)
			}
			if strings.HasSuffix(l.service, "-8080") {
				l.service = "sleep-8080"
			}
			r := newResolver(t, Options{HostRoot: root})
			l.check(t, resolve(t, r, uint32(cmd.Process.Pid), 8080, "sleep", at(0)))
			checked++
		})
	}
	if checked == 0 {
		t.Error("no layout was checked")
	}
}
