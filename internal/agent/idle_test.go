// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"probe/internal/agent"
	"probe/internal/testutil"
)

// The garbage collector stops the pipeline while that sleeps. On a CPU that both
// share, as on a busy host, it must not have to ask again and again, spinning.
func TestCollectorDoesNotSpin(t *testing.T) {
	testutil.RequireBPF(t, "5.8", "ring buffer")
	t.Setenv("GOMAXPROCS", "2")
	t.Setenv("GOGC", "5") // many collections
	ready, ended := filepath.Join(t.TempDir(), "ready"), make(chan error, 1)
	settings := agentSettings{
		Statsd: newSink(t).target(), ReadyFile: ready, ShutdownTimeout: 5 * time.Second, PIDs: []uint32{1},
		SnapshotInterval: agent.MinSnapshotInterval, // leaves garbage
	}
	var all, one unix.CPUSet
	runtime.LockOSThread() // the child has the CPUs of the thread that starts it
	defer runtime.UnlockOSThread()
	must(t, unix.SchedGetaffinity(0, &all))
	one.Set(firstOf(&all))
	must(t, unix.SchedSetaffinity(0, &one))
	cmd := startAgent(t, settings, nil, os.Stderr)
	must(t, unix.SchedSetaffinity(0, &all))
	go func() { ended <- cmd.Wait() }()
	awaitFile(t, ready, ended)
	const idle = 2 * time.Second
	before := cpuTime(t, cmd.Process.Pid)
	time.Sleep(idle)
	if used := cpuTime(t, cmd.Process.Pid) - before; used > idle/4 {
		t.Errorf("%v of CPU in %v in which nothing happened", used, idle)
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	must(t, <-ended)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func firstOf(set *unix.CPUSet) int {
	n := 0
	for !set.IsSet(n) {
		n++
	}
	return n
}

// cpuTime is what a process has used, in steps of 10 ms.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	p, err := procfs.NewProc(pid)
	must(t, err)
	stat, err := p.Stat()
	must(t, err)
	return time.Duration(stat.CPUTime() * float64(time.Second))
}
