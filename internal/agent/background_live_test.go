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

// An agent gives way to others, takes its turn when too little is left for it, and
// loses nothing by that.
func TestGivesWay(t *testing.T) {
	testutil.RequireRoot(t, "come back from a higher nice value")
	testutil.NormalNice(t)
	s := besiege(t)
	awaitNice(t, s.agent.Process.Pid, "one thread keeps its turn, the others give way",
		func(polite, others int) bool { return others == 1 && polite > 1 })
	for range 16 * runtime.NumCPU() {
		busy := exec.Command("sh", "-c", "while :; do :; done")
		must(t, busy.Start())
		stop := func() {
			busy.Process.Kill()
			busy.Wait()
		}
		defer stop()
	}
	awaitNice(t, s.agent.Process.Pid, "none gives way any more",
		func(polite, others int) bool { return polite == 0 && others > 1 })
	s.end()
}

func awaitNice(t *testing.T, pid int, what string, want func(polite, others int) bool) {
	t.Helper()
	var polite, others int
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		polite, others = 0, 0
		threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
		must(t, err)
		for _, thread := range threads {
			tid, err := strconv.Atoi(filepath.Base(thread))
			must(t, err)
			switch attr, err := unix.SchedGetAttr(tid, 0); {
			case errors.Is(err, unix.ESRCH):
			case err != nil:
				t.Fatal(err)
			case attr.Nice > 0:
				polite++
			default:
				others++
			}
		}
		if want(polite, others) {
			return
		}
	}
	t.Fatalf("in a minute never so that %s: %d threads give way, %d do not", what, polite, others)
}
