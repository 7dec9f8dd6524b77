// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"probe/pkg/stats"
)

type testReader struct{ *Reader }

func newReader(t testing.TB, opt Options) testReader {
	t.Helper()
	r, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return testReader{r}
}

func (r testReader) look(t testing.TB, at time.Duration) *stats.HostState {
	t.Helper()
	state, err := r.ReadHost(at)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func (r testReader) counter(name string) (value uint64) {
	r.Report(func(n string, v uint64) {
		if n == name {
			value = v
		}
	})
	return value
}

// ratios is the state between two looks, by the Snapshotter.
func ratios(t testing.TB, before, after *stats.HostState) *stats.HostState {
	t.Helper()
	s, err := stats.NewSnapshotter(stats.SnapshotterOptions{Now: func() time.Duration { return after.Time }})
	if err != nil {
		t.Fatal(err)
	}
	s.Push(before)
	s.Push(after)
	return s.Latest()
}

func readNumbers(t testing.TB, path, format string, into ...any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(text), format, into...); err != nil {
		t.Fatalf("%s: %v in %q", path, err, text)
	}
}

// While a loop keeps a CPU busy, the CPU ratio is at least what the kernel
// charges this process, and what is missing to 1 is the idle time that
// /proc/uptime tells, from other counters than /proc/stat's.
func TestCPULikeBusyLoop(t *testing.T) {
	begin := time.Now()
	r := newReader(t, Options{})
	var up0, idle0, up1, idle1 float64
	own0 := ownCPU(t)
	readNumbers(t, "/proc/uptime", "%f %f", &up0, &idle0)
	before := r.look(t, time.Since(begin))
	for time.Since(begin) < time.Second {
	}
	after := r.look(t, time.Since(begin))
	readNumbers(t, "/proc/uptime", "%f %f", &up1, &idle1)
	own := ownCPU(t) - own0
	state := ratios(t, before, after)
	if state.CPU == nil {
		t.Fatalf("no CPU: %v", state.Missing)
	}
	cpus := float64(len(state.CPU.Cores))
	charged := own.Seconds() / state.Interval.Seconds() / cpus
	idle := (idle1 - idle0) / (up1 - up0) / cpus
	got := state.CPU.Used
	t.Logf("used %.3f, this process %.3f, idle %.3f, iowait %.3f, %v CPUs", got, charged, idle, state.CPU.Iowait, cpus)
	if got < charged-0.05 || got > 1 {
		t.Errorf("used ratio %.3f, this process alone used %.3f", got, charged)
	}
	if sum := got + idle + state.CPU.Iowait; sum < 0.93 || sum > 1.07 {
		t.Errorf("used %.3f + idle %.3f + iowait %.3f is %.3f", got, idle, state.CPU.Iowait, sum)
	}
	busiest := 0.0
	for _, c := range state.CPU.Cores {
		busiest = max(busiest, c.Used)
	}
	if busiest < got {
		t.Errorf("no CPU is as busy as all of them: %+v", state.CPU)
	}
}

func ownCPU(t *testing.T) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Pressure is what the kernel's files say at the same time.
func TestPressureLikeKernel(t *testing.T) {
	r := newReader(t, Options{})
	for _, resource := range []string{"cpu", "memory", "io"} {
		read := func() (some, full uint64) {
			var f float64
			text, err := os.ReadFile("/proc/pressure/" + resource)
			if err != nil {
				return 0, 0
			}
			fmt.Sscanf(string(text), "some avg10=%f avg60=%f avg300=%f total=%d\nfull avg10=%f avg60=%f avg300=%f total=%d",
				&f, &f, &f, &some, &f, &f, &f, &full)
			return some, full
		}
		some0, full0 := read()
		state := r.look(t, 0)
		some1, full1 := read()
		p := map[string]*stats.Pressure{"cpu": state.PSI.CPU, "memory": state.PSI.Memory, "io": state.PSI.IO}[resource]
		if _, err := os.Stat("/proc/pressure"); err != nil {
			if p != nil || !names(state, "psi."+resource) {
				t.Errorf("%s: %+v without PSI in the kernel, missing %v", resource, p, state.Missing)
			}
			continue
		}
		if p == nil || p.Some == nil {
			t.Errorf("%s is not there: %v", resource, state.Missing)
			continue
		}
		if got := uint64(p.Some.Total.Microseconds()); got < some0 || got > some1 {
			t.Errorf("%s some %d, the kernel says %d to %d", resource, got, some0, some1)
		}
		if p.Full == nil {
			continue
		}
		if got := uint64(p.Full.Total.Microseconds()); got < full0 || got > full1 {
			t.Errorf("%s full %d, the kernel says %d to %d", resource, got, full0, full1)
		}
	}
}

func names(s *stats.HostState, source string) bool {
	for _, m := range s.Missing {
		if m.Source == source && m.Reason != "" {
			return true
		}
	}
	return false
}

func TestMemoryLikeSysinfo(t *testing.T) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		t.Fatal(err)
	}
	m := newReader(t, Options{}).look(t, 0).Memory
	if m == nil || m.Total != info.Totalram*uint64(info.Unit) || m.SwapTotal != info.Totalswap*uint64(info.Unit) {
		t.Fatalf("memory %+v, sysinfo %+v", m, info)
	}
	if m.Used+m.Available != m.Total || m.UsedRatio != float64(m.Used)/float64(m.Total) || m.Used == 0 {
		t.Errorf("memory does not add up: %+v", m)
	}
}

// write makes files below a directory.
func write(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// fakeProc is what the files of a host say, at n times their totals.
func fakeProc(n int) map[string]string {
	return map[string]string{
		"stat": fmt.Sprintf("cpu  %d 0 %d %d %d 0 0 %d 0 0\ncpu0 %d 0 0 %d 0 0 0 0 0 0\ncpu1 0 0 %d 0 %d 0 0 %d 0 0\n"+
			"intr 1 2\nctxt 1\nbtime 1\nprocesses 1\nprocs_running 3\nprocs_blocked 1\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
			20*n, 30*n, 80*n, 60*n, 10*n, 20*n, 80*n, 30*n, 60*n, 10*n),
		"meminfo":         "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 250 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n",
		"loadavg":         "0.50 0.25 0.10 1/10 100\n",
		"schedstat":       fmt.Sprintf("version 16\ntimestamp 1\ncpu0 0 0 0 0 0 0 %d %d %d\ncpu1 0 0 0 0 0 0 0 %d %d\n", 9*n, 4000*n, 3*n, 2000*n, n),
		"pressure/memory": fmt.Sprintf("some avg10=1.50 avg60=2.50 avg300=3.50 total=%d\nfull avg10=0.50 avg60=0 avg300=0 total=%d\n", 500000*n, 250000*n),
		"pressure/cpu":    fmt.Sprintf("some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\n", 100000*n), // before 5.13: no full
	}
}

func TestFixtureProc(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, fakeProc(1))
	r := newReader(t, OptionsFromEnv(func(name string) string {
		return map[string]string{"HOST_PROC": root, "HOST_SYS": filepath.Join(root, "none")}[name]
	}))
	before := r.look(t, 0)
	write(t, root, fakeProc(2))
	got := ratios(t, before, r.look(t, time.Second))

	almost := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
	check := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got, almost, cmp.Comparer(func(a, b stats.CPUTimes) bool { return true })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("cpu", &stats.HostCPU{
		CPURatios: stats.CPURatios{Used: 0.3, Iowait: 0.3, Steal: 0.05},
		Cores: []stats.CoreCPU{
			{Number: 0, CPURatios: stats.CPURatios{Used: 0.2}},
			{Number: 1, CPURatios: stats.CPURatios{Used: 0.4, Iowait: 0.6, Steal: 0.1}},
		},
	}, got.CPU)
	check("memory", &stats.HostMemory{
		Total: 1000 << 10, Available: 250 << 10, Used: 750 << 10, UsedRatio: 0.75, SwapTotal: 10 << 10, SwapUsed: 6 << 10,
	}, got.Memory)
	check("run queue", &stats.RunQueue{Runnable: 3, Blocked: 1, Load1: 0.5, Load5: 0.25, Load15: 0.1, HasLoad: true}, got.RunQueue)
	check("psi", stats.PSI{
		CPU: &stats.Pressure{Some: &stats.Stall{Ratio: 0.1, Total: 200 * time.Millisecond}},
		Memory: &stats.Pressure{
			Some: &stats.Stall{Ratio: 0.5, Avg10: 1.5, Avg60: 2.5, Avg300: 3.5, Total: time.Second},
			Full: &stats.Stall{Ratio: 0.25, Avg10: 0.5, Total: 500 * time.Millisecond},
		},
	}, got.PSI)
	check("sched delay", &stats.SchedDelay{Count: 4, Mean: 1500, TotalDelay: 12000, TotalCount: 8}, got.SchedDelay)
	for _, source := range []string{"psi.io", "services", "listen.counters"} {
		if !names(got, source) {
			t.Errorf("%s is not named as missing: %v", source, got.Missing)
		}
	}
	if got.Listen == nil || got.Listen.Counters != nil {
		t.Errorf("listen %+v", got.Listen)
	}
}

// Without any file, everything is named and nothing is 0.
func TestNothingThere(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	r := newReader(t, Options{ProcRoot: root, SysRoot: root})
	got := r.look(t, time.Second)
	if got.CPU != nil || got.Memory != nil || got.PSI != (stats.PSI{}) || got.RunQueue != nil || got.SchedDelay != nil || got.Services != nil {
		t.Errorf("something from nothing: %+v", got)
	}
	var sources []string
	for _, m := range got.Missing {
		if m.Reason == "" {
			t.Errorf("%s has no reason", m.Source)
		}
		sources = append(sources, m.Source)
	}
	want := "cpu run_queue memory psi.cpu psi.memory psi.io sched_delay listen.counters services"
	if diff := cmp.Diff(want, strings.Join(sources, " ")); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	if _, err := New(Options{ProcRoot: filepath.Join(root, "none")}); err == nil || !strings.Contains(err.Error(), "HOST_PROC") {
		t.Errorf("no proc: %v", err)
	}
}

// Broken files are missing, never numbers.
func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{
		"stat": "cpu x y\n", "meminfo": "MemTotal: many kB\n", "loadavg": "high\n", "schedstat": "version 99\n",
		"pressure/cpu": "some avg10=a\n", "pressure/memory": "", "pressure/io": "none\n",
	})
	got := newReader(t, Options{ProcRoot: root, SysRoot: root}).look(t, 0)
	if got.CPU != nil || got.Memory != nil || got.PSI != (stats.PSI{}) || got.SchedDelay != nil {
		t.Errorf("numbers from broken files: %+v", got)
	}
}

// BenchmarkReadHost is the cost of one look at this host.
func BenchmarkReadHost(b *testing.B) {
	r := newReader(b, Options{})
	b.ReportAllocs()
	state := r.look(b, 0)
	for b.Loop() {
		state = r.look(b, 0)
	}
	b.ReportMetric(float64(len(state.Listen.Sockets)), "listeners")
	b.ReportMetric(float64(len(state.Services)), "services")
	runtime.KeepAlive(state)
}
