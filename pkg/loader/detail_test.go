// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/testutil"
)

// The host's histogram counts each switch to a task with the time that it was
// ready: its sum is the growth of every thread's waiting time in schedstat.
func TestHostDelaysEqualSchedstat(t *testing.T) {
	testutil.RequireBPF(t, "5.11", "task storage")
	l, err := Load(Options{Server: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if d, missing := l.Detail(); d != DetailBasic || len(missing) > 0 {
		t.Fatalf("detail %s, missing %v", d, missing)
	}
	before, err := l.HostDelays()
	if err != nil {
		t.Fatal(err)
	}
	waited := contend(t)
	after, err := l.HostDelays()
	if err != nil {
		t.Fatal(err)
	}
	var sum time.Duration
	for i := range after {
		sum += time.Duration(float64(after[i]-before[i]) * middleOf(i))
	}
	// Other tasks of the host wait too, so there can be more, never less.
	if waited < 200*time.Millisecond || float64(sum) < 0.95*float64(waited) {
		t.Errorf("the histogram grew by %v, two threads alone waited %v", sum, waited)
	}
}

// contend lets two threads fight for one CPU and returns how long they waited.
func contend(t *testing.T) (waited time.Duration) {
	t.Helper()
	results := make(chan time.Duration, 2)
	for range 2 {
		go func() {
			runtime.LockOSThread() // and never unlock: the thread ends with its mask
			var one unix.CPUSet
			one.Set(0)
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				results <- 0
				return
			}
			begin := waitOf(unix.Gettid())
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
			}
			results <- waitOf(unix.Gettid()) - begin
		}()
	}
	return <-results + <-results
}

// waitOf is the second number of schedstat: nanoseconds ready and not running.
func waitOf(tid int) time.Duration {
	text, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(tid) + "/schedstat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	ns, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ns)
}

// middleOf is the middle of a bucket in nanoseconds (bpf/abi.h).
func middleOf(i int) float64 {
	if i < 16 {
		return float64(i)
	}
	shift := i/16 - 1
	return (float64(16+i%16) + 0.5) * float64(uint64(1)<<shift)
}

func TestDetailOffMeasuresNothing(t *testing.T) {
	testutil.RequireBPF(t, "5.9", "ring buffer and iterators")
	l, err := Load(Options{Server: true, Detail: DetailOff})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if counts, err := l.HostDelays(); counts != nil || err != nil {
		t.Errorf("delays %v, %v", counts, err)
	}
	for _, h := range detailHooks {
		if l.objects.Programs[h.program] != nil {
			t.Errorf("%s is loaded", h.program)
		}
	}
}

func TestUnknownDetail(t *testing.T) {
	if err := (Options{Detail: "much"}).Validate(); err == nil || !strings.Contains(err.Error(), "off, basic or full") {
		t.Errorf("error %v", err)
	}
}
