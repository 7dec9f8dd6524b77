// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
)

// stuckResolver has no workers: they hang in a file system until release does
// their work. Nothing that the pipeline calls waits for them.
func stuckResolver(t *testing.T, o Options) (r *Resolver, release func()) {
	t.Helper()
	r = newResolver(t, o)
	// The workers are those of the test: they take jobs when it lets them.
	r.lookups.start.Do(func() {})
	return r, func() {
		proc := newProcReader(o.ProcRoot)
		for {
			select {
			case j := <-r.lookups.jobs:
				r.lookups.lookUp(&proc, &j)
				r.lookups.results <- j
			default:
				return
			}
		}
	}
}

func TestSlowFiles(t *testing.T) {
	l := layouts()[0]
	proc := newFakeProc(t)
	proc.start(fakeProcess{pid: 7, start: 1, exe: "/server", cgroup: l.cgroup})
	var renamed []string
	r, release := stuckResolver(t, Options{ProcRoot: proc.root, HostRoot: l.hostRoot(t),
		Renamed: func(from, to string) { renamed = append(renamed, from, to) }})
	// Until there is a name there is none; then it is provisional, and counted.
	for _, d := range []time.Duration{0, maxWait / 2, maxWait - 1} {
		if name, known := r.Resolve(Process{PID: 7, Port: 80, Comm: "server"}, at(d)); known {
			t.Fatalf("after %v: %+v", d, name)
		}
	}
	name, known := r.Resolve(Process{PID: 7, Port: 80, Comm: "server"}, at(maxWait))
	if !known || name.Service != "server-80" || name.Origin == nil || name.Origin.ContainerID != testID {
		t.Fatalf("after %v: %+v", maxWait, name)
	}
	if got := serviceOf(t, r, 7, 80, "server", at(maxWait)); got != "server-80" {
		t.Errorf("the provisional name changed to %q", got)
	}
	release()
	r.Poll()
	if got := serviceOf(t, r, 7, 80, "server", at(maxWait)); got != "shop/api" {
		t.Errorf("service %q after the files were read", got)
	}
	if diff := cmp.Diff([]string{"server-80", "shop/api"}, renamed); diff != "" {
		t.Errorf("renamed (-want +got):\n%s", diff)
	}
	if s := r.Stats(); s.Provisional != 1 || s.Corrected != 1 {
		t.Errorf("stats %+v, want one provisional name, corrected", s)
	}
	// The next process of the container is known at once.
	proc.start(fakeProcess{pid: 8, start: 2, exe: "/server", cgroup: l.cgroup})
	if name, known := r.Resolve(Process{PID: 8, Port: 80, Comm: "server"}, at(maxWait)); !known || name.Service != "shop/api" {
		t.Errorf("second process of the container: %+v", name)
	}
}

// Processes whose arguments cannot be read to an end do not keep the others from
// getting their names.
func TestHangingFilesOfOthers(t *testing.T) {
	l := layouts()[0]
	proc := newFakeProc(t)
	r := newResolver(t, Options{ProcRoot: proc.root, HostRoot: l.hostRoot(t)})
	const hanging = 2 * minWorkers
	for pid := range uint32(hanging) {
		proc.start(fakeProcess{pid: pid + 1, start: 1, exe: "/usr/bin/python3"})
		path := filepath.Join(proc.dir(pid+1), "cmdline")
		proc.must(os.Remove(path))
		proc.must(syscall.Mkfifo(path, 0o600))
		t.Cleanup(func() { // lets go of who waits for a writer
			if f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
				time.AfterFunc(100*time.Millisecond, func() { f.Close() })
			}
		})
		r.Resolve(Process{PID: pid + 1, Port: 80, Comm: "python3"}, at(0))
	}
	proc.start(fakeProcess{pid: 100, start: 1, exe: "/server", cgroup: l.cgroup})
	if name, known := r.Resolve(Process{PID: 100, Port: 80, Comm: "server"}, at(0)); known {
		t.Fatalf("%+v while all workers hang", name)
	}
	for pid := range uint32(hanging) {
		if got := serviceOf(t, r, pid+1, 80, "python3", at(maxWait)); got != "python3-80" {
			t.Errorf("service %q of a process that hangs", got)
		}
	}
	for range 500 {
		if name, known := r.Resolve(Process{PID: 100, Port: 80, Comm: "server"}, at(0)); known {
			if name.Service != "shop/api" {
				t.Errorf("service %q", name.Service)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("no name for the container")
}

// In time, the right name is the only one.
func TestNameInTimeIsTheOnlyOne(t *testing.T) {
	l := layouts()[0]
	proc := newFakeProc(t)
	proc.start(fakeProcess{pid: 7, start: 1, exe: "/server", cgroup: l.cgroup})
	r, release := stuckResolver(t, Options{ProcRoot: proc.root, HostRoot: l.hostRoot(t)})
	r.Resolve(Process{PID: 7, Port: 80, Comm: "server"}, at(0))
	proc.kill(7) // short-lived
	release()
	if name, known := r.Resolve(Process{PID: 7, Port: 80, Comm: "server"}, at(1)); !known || name.Service != "shop/api" {
		t.Errorf("name %+v of a process that is gone", name)
	}
	if s := r.Stats(); s.Provisional != 0 || s.Corrected != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestFullQueue(t *testing.T) {
	proc := newFakeProc(t)
	r, release := stuckResolver(t, Options{ProcRoot: proc.root})
	const pids = maxJobs + 1
	for pid := range uint32(pids) {
		proc.start(fakeProcess{pid: pid + 1, start: 1, exe: "/usr/bin/python3", args: []string{"python3", "/app.py"}})
		r.Resolve(Process{PID: pid + 1, Port: 80, Comm: "python3"}, at(0))
	}
	if got := r.Stats().QueueFull; got != 1 {
		t.Errorf("%d look-ups found no room, want 1", got)
	}
	release()
	r.Resolve(Process{PID: pids, Port: 80, Comm: "python3"}, at(1)) // asks again
	release()
	if got := serviceOf(t, r, pids, 80, "python3", at(1)); got != "python3:app.py-80" {
		t.Errorf("service %q", got)
	}
	if got := r.Provisional(Process{PID: pids, Port: 81, Comm: "python3"}, at(1)).Service; got != "python3-81" {
		t.Errorf("Provisional() = %q", got)
	}
}

// Names that appear later are taken over at a re-check.
func TestNamelessContainerIsLookedUpAgain(t *testing.T) {
	l := layouts()[0]
	proc, root := newFakeProc(t), t.TempDir()
	proc.start(fakeProcess{pid: 7, start: 1, exe: "/server", cgroup: l.cgroup})
	r, release := stuckResolver(t, Options{ProcRoot: proc.root, HostRoot: root})
	r.Resolve(Process{PID: 7, Port: 80, Comm: "server"}, at(0))
	release()
	if got := serviceOf(t, r, 7, 80, "server", at(1)); got != "server-80" {
		t.Fatalf("service %q without files", got)
	}
	if s := r.Stats(); s.Containers != 1 || s.Nameless != 1 || s.Unreadable != 0 {
		t.Errorf("without files: %+v", s)
	}
	path := filepath.Join(root, taskFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(criConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	r.Resolve(Process{PID: 7, Port: 80, Comm: "server"}, at(recheckInterval))
	release()
	r.Poll()
	if got := serviceOf(t, r, 7, 80, "server", at(recheckInterval)); got != "shop/api" {
		t.Errorf("service %q with files", got)
	}
	if s := r.Stats(); s.Containers != 2 || s.Nameless != 1 {
		t.Errorf("with files: %+v", s)
	}
}

func TestContainersAreBounded(t *testing.T) {
	c := newContainers(hostFiles{t.TempDir()}, nil)
	for i := range maxContainers + 10 {
		c.load(group{containerID: string(rune(i + 1)), runtime: runtimeLXC}, 1)
	}
	if len(c.known) != maxContainers || c.evicted.Load() != 10 {
		t.Errorf("%d containers, %d evicted", len(c.known), c.evicted.Load())
	}
}

func TestTags(t *testing.T) {
	l := layouts()[0]
	proc := newFakeProc(t)
	proc.start(fakeProcess{pid: 7, start: 1, exe: "/server", cgroup: l.cgroup})
	r := newResolver(t, Options{ProcRoot: proc.root, HostRoot: l.hostRoot(t), Tags: func(o events.Origin) events.Origin {
		return events.Origin{Namespace: o.Namespace}
	}})
	if got := resolve(t, r, 7, 80, "", at(0)).Tags.Origin(); got != (events.Origin{Namespace: "prod"}) {
		t.Errorf("tags %+v", got)
	}
	before := resolve(t, r, 7, 80, "", at(0))
	r.SetTags(func(o events.Origin) events.Origin { return events.Origin{Pod: o.Pod} })
	if got := resolve(t, r, 7, 80, "", at(0)).Tags.Origin(); got != (events.Origin{Pod: l.want.Pod}) {
		t.Errorf("tags %+v after others were chosen", got)
	}
	if before.Tags.Origin().Namespace != "prod" {
		t.Error("a name that was given out has changed")
	}
}
