// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/testutil"
	"probe/scripts/cgroup"
	"probe/scripts/process"
)

// TestMain lets the test binary stand in for this program where it starts
// itself as a server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if serve := ownServer(os.Args[1]); serve != nil {
			fail(serve(os.Args[2:]))
			return
		}
	}
	testutil.Main(m)
}

// buildProbe returns the path of the program.
func buildProbe(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-o", bin, "probe/cmd/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build probe: %v: %s", err, out)
	}
	return bin
}

// startProbe attaches a probe to the test's servers.
func startProbe(t *testing.T, args ...string) *process.Probe {
	t.Helper()
	testutil.RequireBPF(t, "5.14", "task storage")
	p, err := process.StartProbe(t.TempDir(), buildProbe(t), append([]string{"--detail", "full", "--capture-query", "--role", "server"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// Waits that other threads of a server decide about. A busy machine disturbs the
// servers' own clocks, so that the tolerance is larger than that of the report.
func TestOtherThreadsDecide(t *testing.T) {
	testutil.RequireBPF(t, "6.2", "bpf_task_from_pid")
	b := &bench{options: options{samples: 8}, probe: buildProbe(t)}
	for _, tt := range []struct{ runtime, work, cause string }{
		{"go", "lock", lock},   // the scheduler waits, not the goroutine
		{"node", "disk", disk}, // a thread of the pool works for the request
	} {
		t.Run(tt.runtime+" "+tt.work, func(t *testing.T) {
			c, err := b.cell(startServer(t, tt.runtime), t.TempDir(), tt.work, 1)
			if err != nil {
				t.Fatal(err)
			}
			c.work, c.clients = work{tt.work, tt.cause}, 1
			c.judge(split{}, tt.runtime)
			t.Logf("right %s, wrong %s, unattributed %s", c.spread(right), c.spread(wrong), c.spread(unknown))
			if c.of(wrong, 0.5) > 0.1 {
				t.Errorf("%s of the time is under a wrong cause", c.spread(wrong))
			}
			if c.limit == "" && c.of(right, 0.5) < 0.8 {
				t.Errorf("%s of the time is under the right cause", c.spread(right))
			}
		})
	}
}

// lines ends the probe and returns what it saw, by target.
func lines(t *testing.T, p *process.Probe) map[string]*traceLine {
	t.Helper()
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	all := map[string]*traceLine{}
	if err := readTrace(p.Stdout, func(l *traceLine) { all[l.Target] = l }); err != nil {
		t.Fatal(err)
	}
	return all
}

// startServer starts one of the runtimes without a downstream server.
func startServer(t *testing.T, name string) *instance {
	t.Helper()
	for _, r := range runtimes() {
		if r.name == name {
			return startRuntime(t, r)
		}
	}
	t.Fatalf("no runtime %s", name)
	return nil
}

// startC starts the server of a file of its own, as those of one test are.
func startC(t *testing.T, name string, after ...string) *instance {
	t.Helper()
	return startRuntime(t, runtime{
		name: name, source: name + ".c", needs: []string{"gcc"}, start: []string{"./" + name}, after: after,
		build: []string{"gcc", "-O1", "-pthread", "-o", name, name + ".c"},
	})
}

func startRuntime(t *testing.T, r runtime) *instance {
	t.Helper()
	if n := r.missing(); n != "" {
		t.Fatalf("%s is not installed: run scripts/install-test-deps.sh", n)
	}
	in, err := r.up(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Stop)
	return in
}

// within fails unless got differs from want by at most a share of it.
func within(t *testing.T, what string, got, want time.Duration, share float64) {
	t.Helper()
	between(t, what, got, want, want, share)
}

// between fails unless got lies between least and most, each give or take a share
// of it.
func between(t *testing.T, what string, got, least, most time.Duration, share float64) {
	t.Helper()
	t.Logf("%s: probe %v, oracle %v to %v", what, got, least, most)
	if least <= 0 || float64(got) < float64(least)*(1-share) || float64(got) > float64(most)*(1+share) {
		t.Errorf("%s: probe %v, oracle %v to %v: must be within %.0f %%", what, got, least, most, 100*share)
	}
}

func pin(t *testing.T, pid, cpu int) {
	t.Helper()
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(pid, &set); err != nil {
		t.Fatalf("pin to CPU %d: %v", cpu, err)
	}
}

// burn keeps a CPU busy until the end of the test.
func burn(t *testing.T, name string, cpu int) *process.Process {
	t.Helper()
	p, err := process.Start(t.TempDir(), name, nil, "/bin/sh", "-c", "while :; do :; done")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	pin(t, p.PID(), cpu)
	return p
}

// The run-queue delay of requests is what the kernel adds to the schedstat of
// their thread, which the server reads itself at both ends of each.
func TestRunQueueAgreesWithSchedstat(t *testing.T) {
	testutil.RequireBPF(t, "5.14", "task storage")
	in := startServer(t, "c")
	pin(t, in.PID(), 0)
	burn(t, "first", 0)
	burn(t, "second", 0)
	p := startProbe(t, "--port", strconv.Itoa(in.port))
	owns, err := in.send("spin", 0, 30)
	if err != nil {
		t.Fatal(err)
	}
	seen := lines(t, p)
	var got, want time.Duration
	for target, o := range owns {
		l := seen[target]
		if l == nil {
			t.Fatalf("%s was not seen", target)
		}
		got += l.Wait.RunQ
		want += o.RunQ
	}
	if least := time.Duration(len(owns)) * workTime / 4; want < least {
		t.Fatalf("the thread waited for %v only: nothing competed with it", want)
	}
	within(t, "run queue", got, want, 0.02)
}

// It is so, too, for a thread that is moved to another CPU while it waits for one, every
// 3 ms: of what its queues add up, a sixth is told as what it waited for before. It was half.
func TestRunQueueOfTwoCPUs(t *testing.T) {
	testutil.RequireBPF(t, "5.14", "task storage")
	in := startServer(t, "c")
	p := startProbe(t, "--port", strconv.Itoa(in.port))
	burn(t, "first", 0)
	burn(t, "second", 0)
	done := make(chan struct{})
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		for cpu := 0; ; cpu = 1 - cpu {
			var set unix.CPUSet
			set.Set(cpu)
			_ = unix.SchedSetaffinity(in.PID(), &set)
			select {
			case <-done:
				return
			case <-time.After(3 * time.Millisecond):
			}
		}
	}()
	owns, err := in.send("disk", 0, 20)
	close(done)
	<-moved
	if err != nil {
		t.Fatal(err)
	}
	seen := lines(t, p)
	var got, want time.Duration
	for target, o := range owns {
		if l := seen[target]; l != nil {
			got += l.Wait.RunQ
			want += o.RunQ
		}
	}
	if want < 50*time.Millisecond {
		t.Fatalf("the thread waited for %v only: nothing competed with it", want)
	}
	within(t, "run queue", got, want, 0.25)
}

// Who held the CPU is told with its control group.
func TestPusherHasItsCgroup(t *testing.T) {
	testutil.RequireBPF(t, "5.14", "task storage")
	in := startServer(t, "c")
	pin(t, in.PID(), 0)
	g, err := cgroup.New("cpu", "pusher")
	if err != nil {
		t.Fatal(err)
	}
	batch := burn(t, "batch", 0)
	t.Cleanup(func() {
		batch.Kill()
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(g.Favour(), g.Enter(batch.PID())); err != nil {
		t.Fatal(err)
	}
	p := startProbe(t, "--port", strconv.Itoa(in.port))
	if _, err := in.send("spin", 0, 20); err != nil {
		t.Fatal(err)
	}
	held := 0
	for target, l := range lines(t, p) {
		if l.PushedBy.PID != batch.PID() || l.PushedBy.For < workTime/10 {
			continue
		}
		held++
		if want := "/" + filepath.Base(g.Dir); l.PushedBy.Cgroup != want {
			t.Errorf("%s: held by a process of cgroup %q, want %q", target, l.PushedBy.Cgroup, want)
		}
	}
	if held < 3 { // others may hold it too
		t.Errorf("%d of 20 requests say that the busy loop had their CPU", held)
	}
}

// What the quota of a group holds back is throttled, not run queue.
func TestThrottledAgreesWithCgroup(t *testing.T) {
	testutil.RequireBPF(t, "5.14", "task storage")
	in := startServer(t, "c")
	g, err := cgroup.New("cpu", "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Stop()
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	})
	if err := g.Quota(10*time.Millisecond, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := g.Enter(in.PID()); err != nil {
		t.Fatal(err)
	}
	p := startProbe(t, "--port", strconv.Itoa(in.port))
	before := throttledTime(t, g)
	owns, err := in.send("spin", 0, 40)
	if err != nil {
		t.Fatal(err)
	}
	want := throttledTime(t, g) - before
	var got, both, ownBoth time.Duration
	for target, l := range lines(t, p) {
		got += l.Wait.Throttled
		if o, ok := owns[target]; ok {
			both += l.Wait.Throttled + l.Wait.RunQ + l.Wait.Unattributed
			ownBoth += o.RunQ
		}
	}
	if want < time.Second {
		t.Fatalf("the group was throttled for %v only", want)
	}
	// When the quota is renewed the thread waits for its turn like any other. No
	// hook tells when that begins, so this end of the wait is throttled as well: on
	// an idle host nothing, and never more than what the group's clock leaves of
	// the thread's whole wait.
	between(t, "throttled", got, want, max(want, ownBoth), 0.05)
	// The thread's schedstat does not keep them apart, and a switch that was not
	// seen leaves its time unattributed.
	within(t, "throttled and run queue", both, ownBoth, 0.02)
}

// throttledTime is what cpu.stat says.
func throttledTime(t *testing.T, g *cgroup.Group) time.Duration {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.Dir, "cpu.stat"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
			t.Fatal(err)
		case name == "throttled_time": // cgroup v1
			return time.Duration(n)
		case name == "throttled_usec":
			return time.Duration(n) * time.Microsecond
		}
	}
	t.Fatalf("cpu.stat says nothing about throttling: %s", b)
	return 0
}
