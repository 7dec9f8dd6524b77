// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"probe/internal/testutil"
)

// toldResolver knows the paths of some groups by their ids, and no process.
func toldResolver(t *testing.T, o Options, paths map[uint64]string) *Resolver {
	t.Helper()
	o.ProcRoot = newFakeProc(t).root
	r := newResolver(t, o)
	r.told.pathOf = func(id uint64) string { return paths[id] }
	return r
}

func resolveProcess(t *testing.T, r *Resolver, p Process, nowNS uint64) *Name {
	t.Helper()
	for range 2000 {
		if name, known := r.Resolve(p, nowNS); known {
			return name
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("no name for %+v", p)
	return nil
}

func TestToldGroup(t *testing.T) {
	r := toldResolver(t, Options{}, map[uint64]string{
		2: "/system.slice/nginx.service", 3: "/system.slice/old.service (deleted)", 4: "/", 5: "/user.slice/user-0.slice/session-1.scope",
		6: "/docker/" + testID,
	})
	for i, tt := range []struct {
		group         uint64
		want, cgroup  string
		byGroup, comm uint64
	}{
		{0, "httpd-80", "", 0, 1},
		{1, "httpd-80", "", 0, 2}, // not found
		{2, "nginx", "/system.slice/nginx.service", 1, 2},
		{3, "old", "/system.slice/old.service", 2, 2},
		{4, "httpd-80", "/", 2, 3},
		{5, "httpd-80", "/user.slice/user-0.slice/session-1.scope", 2, 4},
		{6, "httpd-80", "/docker/" + testID, 2, 5}, // a container without names
	} {
		got := resolveProcess(t, r, Process{PID: uint32(100 + i), Port: 80, Comm: "httpd", Group: tt.group}, at(0))
		if got.Service != tt.want || got.Cgroup != tt.cgroup {
			t.Errorf("group %d: %q in %q, want %q in %q", tt.group, got.Service, got.Cgroup, tt.want, tt.cgroup)
		}
		if (got.Origin != nil) != (tt.group == 6) {
			t.Errorf("group %d: origin %+v", tt.group, got.Origin)
		}
		if s := r.Stats(); s.ByGroup != tt.byGroup || s.FallbackComm != tt.comm || s.Resolved != 0 {
			t.Errorf("group %d: %+v", tt.group, s)
		}
	}
	if name := resolveProcess(t, r, Process{PID: 50, Comm: "curl", Group: 2}, at(0)); name.Service != "nginx" {
		t.Errorf("as a client: %q", name.Service)
	}
}

// What is gone from each layout of version 2 has the names of what lives there.
func TestToldLayouts(t *testing.T) {
	for _, l := range layouts() {
		path, isUnified := strings.CutPrefix(strings.TrimSpace(l.cgroup), "0::")
		if !isUnified || strings.Contains(path, "\n") {
			continue
		}
		t.Run(l.String(), func(t *testing.T) {
			r := toldResolver(t, Options{HostRoot: l.hostRoot(t)}, map[uint64]string{9: path})
			l.check(t, resolveProcess(t, r, Process{PID: 7, Port: 8080, Comm: "server", Group: 9}, at(0)))
		})
	}
}

// What /proc says counts, not what was told; on hosts with both versions the told
// path is not that of the CPU time.
func TestToldGroupIsTheLastResort(t *testing.T) {
	r := toldResolver(t, Options{}, map[uint64]string{2: "/told.service"})
	proc := fakeProc{t: t, root: r.opt.ProcRoot}
	proc.start(fakeProcess{pid: 7, start: 1, exe: "/bin/a", cgroup: "0::/real.service\n"})
	if got := resolveProcess(t, r, Process{PID: 7, Group: 2}, at(0)); got.Service != "real" || got.Cgroup != "/real.service" {
		t.Errorf("%+v of a process that lives", got)
	}
	r.told.beside = true
	if got := resolveProcess(t, r, Process{PID: 8, Group: 2}, at(0)); got.Service != "told" || got.Cgroup != "" {
		t.Errorf("%+v beside version 1", got)
	}
	if diff := cmp.Diff(Stats{Resolved: 1, ByGroup: 1, Entries: 2}, r.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// A pid in another group is another process, seen at once, though both are gone and
// have the same command. Late requests of the first do not bring its name back.
func TestReusedPIDIsSeenByItsGroup(t *testing.T) {
	r := toldResolver(t, Options{}, map[uint64]string{2: "/a.service", 3: "/b.service"})
	for i, step := range []struct {
		group   uint64
		want    string
		renamed uint64
	}{{2, "a", 0}, {2, "a", 0}, {0, "a", 0}, {3, "b", 1}, {0, "b", 1}, {3, "b", 1}, {4, "sh", 2}, {2, "a", 3}} {
		if got := resolveProcess(t, r, Process{PID: 5, Comm: "sh", Group: step.group}, at(time.Duration(i))).Service; got != step.want {
			t.Errorf("step %d, in group %d: %q, want %q", i, step.group, got, step.want)
		}
		if got := r.Stats().Renamed; got != step.renamed {
			t.Errorf("step %d: %d renamed, want %d", i, got, step.renamed)
		}
	}
}

// One that lives keeps its name wherever it goes, and is looked at once per group.
func TestMovedProcessKeepsItsName(t *testing.T) {
	r := toldResolver(t, Options{}, map[uint64]string{3: "/b.service"})
	proc := fakeProc{t: t, root: r.opt.ProcRoot}
	proc.start(fakeProcess{pid: 5, start: 1, exe: "/bin/a", cgroup: "0::/a.service\n"})
	for _, group := range []uint64{2, 3, 2, 3, 0} {
		if got := resolveProcess(t, r, Process{PID: 5, Comm: "a", Group: group}, at(0)).Service; got != "a" {
			t.Errorf("in group %d: %q", group, got)
		}
	}
	if got := r.Stats().Rechecked; got != 1 {
		t.Errorf("%d looks, want 1", got)
	}
}

// The names of a container that is looked up are not given to one that has its pid
// by then.
func TestReusedPIDWhileLookedUp(t *testing.T) {
	l := layouts()[0]
	other := strings.Repeat("a", containerIDLen)
	r, release := stuckResolver(t, Options{ProcRoot: newFakeProc(t).root, HostRoot: l.hostRoot(t)})
	r.told.pathOf = func(id uint64) string {
		return map[uint64]string{2: strings.TrimPrefix(strings.TrimSpace(l.cgroup), "0::"), 3: "/docker/" + other}[id]
	}
	r.Resolve(Process{PID: 7, Comm: "x", Group: 2}, at(0))
	r.Provisional(Process{PID: 7, Comm: "x", Group: 2}, at(0))
	if _, known := r.Resolve(Process{PID: 7, Comm: "x", Group: 3}, at(1)); known {
		t.Error("the second one has a name at once")
	}
	release()
	got := resolveProcess(t, r, Process{PID: 7, Comm: "x", Group: 3}, at(2))
	if got.Service != "x" || got.Origin == nil || got.Origin.ContainerID != other {
		t.Errorf("the second one is %+v", got)
	}
}

// Real groups of version 2, by the ids that they have in the kernel.
func TestToldGroupsLive(t *testing.T) {
	h := testutil.Groups(t)
	name := fmt.Sprintf("probe-test-%d", os.Getpid())
	parent := h.Make(name + ".slice")
	unit := h.Make(name + ".slice/one.service")
	told := newToldGroups(h.SysRoot)
	defer told.close()
	path := "/" + name + ".slice/one.service"
	if got := told.group(unit.ID); got.unit != "one" || got.path != path {
		t.Errorf("group %+v, want that of %s", got, path)
	}
	for id, want := range map[uint64]string{1: "/", parent.ID: "/" + name + ".slice", 1 << 62: ""} {
		if got := told.group(id); got != (group{path: want}) {
			t.Errorf("group %+v of id %d, want no more than path %q", got, id, want)
		}
	}
	t.Run("in a mount of a part", func(t *testing.T) {
		inner := newToldGroups(partOf(t, parent.Path))
		defer inner.close()
		elsewhere := h.Make(name + "-else.service")
		for id, want := range map[uint64]string{parent.ID: "/", unit.ID: "/one.service", elsewhere.ID: ""} {
			if got := inner.group(id).path; got != want {
				t.Errorf("path %q, want %q", got, want)
			}
		}
	})
	unit.Remove()
	if got := told.group(unit.ID); got != (group{}) {
		t.Errorf("group %+v after its end", got)
	}
}

// partOf mounts a group as the root of all, as a container sees it.
func partOf(t *testing.T, path string) (sysRoot string) {
	t.Helper()
	sysRoot = t.TempDir()
	dir := filepath.Join(sysRoot, "fs/cgroup")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(path, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return sysRoot
}

func TestNoGroupsToTell(t *testing.T) {
	told := newToldGroups(t.TempDir())
	for range 2 {
		if got := told.group(1); got != (group{}) {
			t.Errorf("group %+v without a hierarchy", got)
		}
	}
	told.close()
}

func BenchmarkToldGroup(b *testing.B) {
	h := testutil.Groups(b)
	g := h.Make(fmt.Sprintf("probe-test-%d.service", os.Getpid()))
	told := newToldGroups(h.SysRoot)
	defer told.close()
	b.ReportAllocs()
	for b.Loop() {
		told.group(g.ID)
	}
}
