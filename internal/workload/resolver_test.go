// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestService(t *testing.T) {
	id := strings.Repeat("ab", 32)
	tests := []struct {
		name    string
		process fakeProcess
		port    uint16
		comm    string
		want    string
	}{
		{
			name:    "unit",
			process: fakeProcess{exe: "/usr/sbin/nginx", cgroup: "0::/system.slice/nginx.service\n"},
			port:    80, want: "nginx",
		},
		{
			name:    "executable and port",
			process: fakeProcess{exe: "/usr/bin/redis-server", cgroup: "0::/user.slice/user-0.slice/session-3.scope\n"},
			port:    6379, want: "redis-server-6379",
		},
		{
			name:    "executable without port",
			process: fakeProcess{exe: "/usr/bin/curl", cgroup: "0::/\n"},
			want:    "curl",
		},
		{
			name:    "replaced executable",
			process: fakeProcess{exe: "/opt/shop/shop (deleted)"},
			port:    8080, want: "shop-8080",
		},
		{
			name:    "script",
			process: fakeProcess{exe: "/usr/bin/python3.11", args: []string{"python3", "-u", "/srv/app.py"}},
			port:    8000, want: "python3:app.py-8000",
		},
		{
			name:    "container below the runtime's unit",
			process: fakeProcess{exe: "/app", cgroup: "0::/system.slice/containerd.service/kubepods-pod1:cri-containerd:" + id + "\n"},
			port:    8080, want: "app-8080",
		},
		{
			name:    "executable not readable",
			process: fakeProcess{cgroup: "0::/\n"},
			port:    81, comm: "kworker/0:1", want: "kworker/0:1-81",
		},
		{
			name:    "control group of 4,096 characters",
			process: fakeProcess{exe: "/app", cgroup: "0::" + strings.Repeat("/"+strings.Repeat("d", 15), 255) + "/shop.service\n"},
			port:    80, want: "shop",
		},
		{
			name: "control groups of more than is read",
			process: fakeProcess{exe: "/app", cgroup: "12:cpu:/shop.service/" + strings.Repeat("d", maxFileBytes) + ".service\n" +
				"1:name=systemd:/late.service\n"},
			port: 80, want: "app-80",
		},
		{
			name:    "unit named to break lines and terminals",
			process: fakeProcess{exe: "/app", cgroup: "0::/a\x1b[2J\x00\xff|#:.service\n"},
			port:    80, want: "a\x1b[2J\x00\xff|#:",
		},
		{
			name:    "nothing known",
			process: fakeProcess{},
			want:    "unknown",
		},
		{
			name:    "long name",
			process: fakeProcess{exe: "/" + strings.Repeat("x", 200)},
			port:    65535, want: strings.Repeat("x", maxNameBytes) + "-65535",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			proc := newFakeProc(t)
			tt.process.pid, tt.process.start = 42, 7
			proc.start(tt.process)
			r := newResolver(t, Options{ProcRoot: proc.root})
			got := resolve(t, r, 42, tt.port, tt.comm, at(0))
			if got.Service != tt.want {
				t.Errorf("Service() = %q, want %q", got.Service, tt.want)
			}
			if inContainer := strings.Contains(tt.process.cgroup, id); (got.Origin != nil) != inContainer {
				t.Errorf("origin %+v, in a container: %v", got.Origin, inContainer)
			}
		})
	}
}

// newResolver is one that ends with the test.
func newResolver(t testing.TB, o Options) *Resolver {
	t.Helper()
	if o.HostRoot == "" {
		o.HostRoot = t.TempDir() // the containers of this machine are not those of the test
	}
	r := New(o)
	t.Cleanup(r.Close)
	return r
}

// resolve asks until there is a name, as the agent does.
func resolve(t testing.TB, r *Resolver, pid uint32, port uint16, comm string, nowNS uint64) *Name {
	t.Helper()
	for range 2000 {
		if name, known := r.Resolve(Process{PID: pid, Port: port, Comm: comm}, nowNS); known {
			return name
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("no name for process %d", pid)
	return nil
}

func serviceOf(t testing.TB, r *Resolver, pid uint32, port uint16, comm string, nowNS uint64) string {
	t.Helper()
	return resolve(t, r, pid, port, comm, nowNS).Service
}

func TestServiceOfGoneProcess(t *testing.T) {
	r := newResolver(t, Options{ProcRoot: newFakeProc(t).root})
	for range 2 { // the second answer comes from the cache
		if got, want := serviceOf(t, r, 9, 80, "httpd", at(0)), "httpd-80"; got != want {
			t.Errorf("Service() = %q, want %q", got, want)
		}
	}
	if diff := cmp.Diff(Stats{FallbackComm: 1, Entries: 1}, r.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func TestNameOutlivesProcess(t *testing.T) {
	proc := newFakeProc(t)
	proc.start(fakeProcess{pid: 5, start: 1, exe: "/bin/short"})
	r := newResolver(t, Options{ProcRoot: proc.root})
	serviceOf(t, r, 5, 0, "short", at(0))
	proc.kill(5)
	if got := serviceOf(t, r, 5, 0, "other", at(time.Minute)); got != "short" {
		t.Errorf("Service() after exit = %q, want %q", got, "short")
	}
	if got := r.Stats().Rechecked; got != 1 {
		t.Errorf("rechecked = %d, want 1", got)
	}
}

// steps are what happens to a pid between its first sight and a later one.
func TestRecheck(t *testing.T) {
	first := fakeProcess{pid: 5, start: 100, exe: "/bin/sh-like"}
	tests := []struct {
		name  string
		then  fakeProcess
		after time.Duration
		want  string
	}{
		{"too early to look", fakeProcess{start: 200, exe: "/bin/b"}, recheckInterval - 1, "sh-like"},
		{"pid reused", fakeProcess{start: 200, exe: "/bin/b"}, recheckInterval, "b"},
		{"pid reused by the same program in a unit", fakeProcess{start: 200, exe: "/bin/sh-like", cgroup: "0::/a.service\n"}, recheckInterval, "a"},
		{"exec", fakeProcess{start: 100, exe: "/bin/b"}, recheckInterval, "b"},
		{"same process", fakeProcess{start: 100, exe: "/bin/sh-like"}, recheckInterval, "sh-like"},
		{"zombie", fakeProcess{start: 100}, recheckInterval, "sh-like"},
		{"late event", fakeProcess{start: 200, exe: "/bin/b"}, -time.Second, "sh-like"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			proc := newFakeProc(t)
			proc.start(first)
			r := newResolver(t, Options{ProcRoot: proc.root})
			serviceOf(t, r, 5, 0, "comm", at(0))
			tt.then.pid = 5
			proc.start(tt.then)
			if got := serviceOf(t, r, 5, 0, "comm", at(tt.after)); got != tt.want {
				t.Errorf("Service() = %q, want %q", got, tt.want)
			}
		})
	}
}

// A command name that was not seen before tells of another process, or program,
// at once; what came before it keeps the old name.
func TestReusedPIDIsSeenByItsCommand(t *testing.T) {
	proc := newFakeProc(t)
	r := newResolver(t, Options{ProcRoot: proc.root})
	proc.start(fakeProcess{pid: 5, start: 100, exe: "/bin/old"})
	for _, step := range []struct {
		then fakeProcess
		comm string
		want string
	}{
		{fakeProcess{}, "old", "old"},
		{fakeProcess{}, "a thread", "old"},
		{fakeProcess{start: 200, exe: "/bin/new"}, "a thread", "old"}, // nothing tells yet
		{fakeProcess{}, "new", "new"},
		{fakeProcess{}, "old", "new"},
		{fakeProcess{start: 200, exe: "/bin/executed"}, "executed", "executed"},
		{fakeProcess{}, "", "executed"},
	} {
		if step.then.exe != "" {
			step.then.pid = 5
			proc.start(step.then)
		}
		if got := serviceOf(t, r, 5, 0, step.comm, at(1)); got != step.want {
			t.Errorf("as %q: %q, want %q", step.comm, got, step.want)
		}
	}
}

// Threads with ever new names cost a bounded number of looks, and those of
// others still come.
func TestDoubtsAreBounded(t *testing.T) {
	proc := newFakeProc(t)
	r := newResolver(t, Options{ProcRoot: proc.root})
	for pid := range uint32(2) {
		proc.start(fakeProcess{pid: pid + 1, start: 100, exe: "/bin/x"})
		serviceOf(t, r, pid+1, 0, "x", at(0))
	}
	for i := range 10 * maxDoubtsPerSecond {
		serviceOf(t, r, 1, 0, fmt.Sprint("thread", i), at(recheckInterval-time.Second))
	}
	if got := r.Stats().Rechecked; got != maxDoubtsPerSecond {
		t.Errorf("%d looks, want %d", got, maxDoubtsPerSecond)
	}
	proc.start(fakeProcess{pid: 2, start: 200, exe: "/bin/y"})
	if got := serviceOf(t, r, 2, 0, "x", at(recheckInterval)); got != "y" {
		t.Errorf("service %q of another process, the budget is used up", got)
	}
}

func TestFallbackIsReplacedWhenPIDAppears(t *testing.T) {
	proc := newFakeProc(t)
	r := newResolver(t, Options{ProcRoot: proc.root})
	serviceOf(t, r, 5, 0, "gone", at(0))
	proc.start(fakeProcess{pid: 5, start: 1, exe: "/bin/new"})
	if got := serviceOf(t, r, 5, 0, "new", at(recheckInterval)); got != "new" {
		t.Errorf("Service() = %q, want %q", got, "new")
	}
}

func TestRecheckBudget(t *testing.T) {
	proc := newFakeProc(t)
	r := newResolver(t, Options{ProcRoot: proc.root})
	const pids = maxRechecksPerSecond + 10
	ask := func(nowNS uint64) {
		for pid := range uint32(pids) {
			serviceOf(t, r, pid, 1, "x", nowNS)
		}
	}
	ask(at(0))
	ask(at(recheckInterval))
	if got := r.Stats().Rechecked; got != maxRechecksPerSecond {
		t.Errorf("rechecked = %d within one second, want %d", got, maxRechecksPerSecond)
	}
	ask(at(recheckInterval + time.Second))
	if got := r.Stats().Rechecked; got != pids {
		t.Errorf("rechecked = %d after the next second, want %d", got, pids)
	}
}

func TestCacheIsBounded(t *testing.T) {
	const limit, pids = 8, 100
	r := newResolver(t, Options{ProcRoot: newFakeProc(t).root, MaxEntries: limit})
	for pid := range uint32(pids) {
		serviceOf(t, r, 7777, 1, "hot", at(0)) // used all the time: must survive
		if got, want := serviceOf(t, r, pid, 1, fmt.Sprint("p", pid), at(0)), fmt.Sprintf("p%d-1", pid); got != want {
			t.Fatalf("Service(%d) = %q, want %q", pid, got, want)
		}
	}
	want := Stats{FallbackComm: pids + 1, Evicted: pids + 1 - limit, Entries: limit}
	if diff := cmp.Diff(want, r.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	if len(r.index) != limit || len(r.entries) != limit {
		t.Errorf("index has %d and entries %d elements, want %d", len(r.index), len(r.entries), limit)
	}
}

// Of the processes that came and went only those that are still asked for stay.
func TestForgetsTheIdle(t *testing.T) {
	const pids = 50
	r := newResolver(t, Options{ProcRoot: newFakeProc(t).root, MaxEntries: 2 * pids})
	name := func(pid uint32) string { return fmt.Sprint("p", pid) }
	for pid := range uint32(pids) {
		serviceOf(t, r, pid, 0, name(pid), at(0))
	}
	kept := []uint32{3, 17, 49}
	for _, pid := range kept {
		serviceOf(t, r, pid, 0, name(pid), at(time.Minute))
	}
	r.Forget(at(idleEntry))
	if got := r.Stats().Entries; got != pids {
		t.Errorf("%d entries after %v, want %d", got, idleEntry, pids)
	}
	r.Forget(at(idleEntry + time.Second))
	if got := r.Stats(); got.Entries != len(kept) || len(r.index) != len(kept) || got.Evicted != 0 {
		t.Errorf("%d entries, %d in the index, %d evicted; want %d, as many, none", got.Entries, len(r.index), got.Evicted, len(kept))
	}
	for key, i := range r.index {
		if r.entries[i].key != key {
			t.Errorf("the index leads from %d to %d", key, r.entries[i].key)
		}
	}
	// All find room again, and the hand its way.
	for pid := range uint32(3 * pids) {
		if got := serviceOf(t, r, pid, 0, name(pid), at(idleEntry+2*time.Second)); got != name(pid) {
			t.Fatalf("pid %d: %q", pid, got)
		}
	}
	if got := r.Stats(); got.Entries != 2*pids || got.Evicted != pids {
		t.Errorf("%d entries, %d evicted; want %d and %d", got.Entries, got.Evicted, 2*pids, pids)
	}
}

func TestPortsOfOneProcessAreApart(t *testing.T) {
	proc := newFakeProc(t)
	proc.start(fakeProcess{pid: 5, start: 1, exe: "/bin/a"})
	r := newResolver(t, Options{ProcRoot: proc.root})
	for port, want := range map[uint16]string{0: "a", 80: "a-80", 65535: "a-65535"} {
		if got := serviceOf(t, r, 5, port, "", at(0)); got != want {
			t.Errorf("Service(port %d) = %q, want %q", port, got, want)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cgroup, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	n := Names{Program: exeName(exe)}
	n.takeGroup(parseGroup(cgroup))
	want := n.serviceName(8080)
	r := newResolver(t, Options{})
	if got := serviceOf(t, r, uint32(os.Getpid()), 8080, "wrong", at(0)); got != want {
		t.Errorf("Service(own pid) = %q, want %q", got, want)
	}
	if diff := cmp.Diff(Stats{Resolved: 1, Entries: 1}, r.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func TestHitDoesNotAllocate(t *testing.T) {
	r := newResolver(t, Options{})
	pid := uint32(os.Getpid())
	serviceOf(t, r, pid, 80, "", at(0))
	if n := testing.AllocsPerRun(100, func() { r.Resolve(Process{PID: pid, Port: 80, Comm: ""}, at(0)) }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
}

func BenchmarkResolveHit(b *testing.B) {
	r := newResolver(b, Options{ProcRoot: b.TempDir()})
	for pid := range uint32(1000) {
		r.Resolve(Process{PID: pid, Port: 80, Comm: "x"}, at(0))
	}
	b.ReportAllocs()
	pid := uint32(0)
	for b.Loop() {
		if pid++; pid == 1000 {
			pid = 0
		}
		r.Resolve(Process{PID: pid, Port: 80, Comm: "x"}, at(0))
	}
}

func BenchmarkResolveFirstSight(b *testing.B) {
	r := newResolver(b, Options{MaxEntries: 1})
	pid, port := uint32(os.Getpid()), uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		port++
		r.Resolve(Process{PID: pid, Port: port, Comm: "x"}, at(0))
	}
}

func BenchmarkResolveRecheck(b *testing.B) {
	r := newResolver(b, Options{})
	pid, nowNS := uint32(os.Getpid()), at(0)
	b.ReportAllocs()
	for b.Loop() {
		nowNS += uint64(recheckInterval)
		r.Resolve(Process{PID: pid, Port: 80, Comm: "x"}, nowNS)
	}
}
