// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"probe/internal/testutil"
	"probe/pkg/stats"
)

// TestGroupLive puts a busy process into control groups of its own and compares
// with the kernel's files: with all hierarchies of this host, and with those of
// version 1 alone where it has them.
func TestGroupLive(t *testing.T) {
	testutil.RequireRoot(t, "make control groups")
	all := findLayout("/sys")
	if all == (layout{}) {
		t.Fatal("no control groups below /sys/fs/cgroup")
	}
	t.Run("all", func(t *testing.T) { groupLive(t, all) })
	if all.cpuacct != "" && all.unified != "" {
		all.unified = ""
		t.Run("version 1", func(t *testing.T) { groupLive(t, all) })
	}
}

func groupLive(t *testing.T, l layout) {
	busy := exec.Command("sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	defer busy.Wait()
	defer busy.Process.Kill()
	name := fmt.Sprintf("/probe-test-%d", os.Getpid())
	dirs := layout{unified: enter(t, l.unified, name, busy), cpuacct: enter(t, l.cpuacct, name, busy), memory: enter(t, l.memory, name, busy)}

	begin := time.Now()
	r := newReader(t, Options{})
	r.layout = l
	before := r.look(t, time.Since(begin))
	time.Sleep(300 * time.Millisecond)
	lowCPU, lowPSI := kernelSays(t, dirs)
	after := r.look(t, time.Since(begin))
	highCPU, highPSI := kernelSays(t, dirs)

	raw := serviceOf(after, name)
	if raw == nil {
		t.Fatalf("the group is not a service: %v", pathsOf(after))
	}
	if dirs.unified+dirs.cpuacct != "" && (raw.CPU == nil || raw.CPU.TotalUsed < lowCPU || raw.CPU.TotalUsed > highCPU) {
		t.Errorf("CPU %+v, the kernel says %v to %v", raw.CPU, lowCPU, highCPU)
	}
	if dirs.memory != "" && (raw.Memory == nil || raw.Memory.Limit != 0) {
		t.Errorf("memory %+v", raw.Memory)
	}
	if highPSI > 0 && (raw.PSI.CPU == nil || raw.PSI.CPU.Some.Total < lowPSI || raw.PSI.CPU.Some.Total > highPSI) {
		t.Errorf("pressure %+v, the kernel says %v to %v", raw.PSI.CPU, lowPSI, highPSI)
	}
	s := serviceOf(ratios(t, before, after), name)
	if s == nil || s.CPU == nil || s.CPU.Used <= 0 || s.CPU.Used > 1.05 {
		t.Errorf("one busy process uses %+v CPUs", s)
	}
}

// enter makes the group in a hierarchy and moves the process there; it returns
// the directory, "" where the hierarchy is not there.
func enter(t *testing.T, root, name string, process *exec.Cmd) string {
	t.Helper()
	if root == "" {
		return ""
	}
	dir := filepath.Join(root, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Process.Kill()
		for range 100 { // a killed process leaves its group a moment later
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("%s remains", dir)
	})
	pid := []byte(strconv.Itoa(process.Process.Pid))
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), pid, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// kernelSays reads CPU time and CPU pressure (0: no file) by other means.
func kernelSays(t *testing.T, dirs layout) (cpu, some time.Duration) {
	t.Helper()
	var n, us int64
	var f float64
	if dirs.unified != "" {
		readNumbers(t, filepath.Join(dirs.unified, "cpu.stat"), "usage_usec %d", &us)
		cpu = time.Duration(us) * time.Microsecond
		if text, err := os.ReadFile(filepath.Join(dirs.unified, "cpu.pressure")); err == nil {
			if _, err := fmt.Sscanf(string(text), "some avg10=%f avg60=%f avg300=%f total=%d", &f, &f, &f, &us); err != nil {
				t.Fatal(err)
			}
			some = time.Duration(us) * time.Microsecond
		}
		return cpu, some
	}
	if dirs.cpuacct != "" {
		readNumbers(t, filepath.Join(dirs.cpuacct, "cpuacct.usage"), "%d", &n)
	}
	return time.Duration(n), 0
}

func serviceOf(s *stats.HostState, path string) *stats.Service {
	for i := range s.Services {
		if s.Services[i].Cgroup == path {
			return &s.Services[i]
		}
	}
	return nil
}
