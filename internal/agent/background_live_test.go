// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/testutil"
)

// An agent gives way to everybody while there is CPU to spare, takes its turn
// when there is none left, and loses nothing by that.
func TestGivesWay(t *testing.T) {
	testutil.RequireRoot(t, "come back from SCHED_IDLE")
	s := besiege(t)
	awaitPolicies(t, s.agent.Process.Pid, "one thread keeps its turn, the others give way",
		func(idle, normal int) bool { return normal == 1 && idle > 1 })
	for range 4 * runtime.NumCPU() {
		busy := exec.Command("sh", "-c", "while :; do :; done")
		must(t, busy.Start())
		stop := func() {
			busy.Process.Kill()
			busy.Wait()
		}
		defer stop()
	}
	awaitPolicies(t, s.agent.Process.Pid, "none gives way any more",
		func(idle, normal int) bool { return idle == 0 && normal > 1 })
	s.end()
}

func awaitPolicies(t *testing.T, pid int, what string, want func(idle, normal int) bool) {
	t.Helper()
	var idle, normal int
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		idle, normal = 0, 0
		threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
		must(t, err)
		for _, thread := range threads {
			tid, err := strconv.Atoi(filepath.Base(thread))
			must(t, err)
			switch attr, err := unix.SchedGetAttr(tid, 0); {
			case errors.Is(err, unix.ESRCH):
			case err != nil:
				t.Fatal(err)
			case attr.Policy == unix.SCHED_IDLE:
				idle++
			default:
				normal++
			}
		}
		if want(idle, normal) {
			return
		}
	}
	t.Fatalf("in a minute never so that %s: %d threads give way, %d do not", what, idle, normal)
}
