// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/stats"
)

// version2 is the tree of a host with systemd and version 2 only.
func version2(n int) map[string]string {
	files := map[string]string{}
	group := func(path string, populated int, procs string, controllers bool) {
		files[path+"/cgroup.events"] = fmt.Sprintf("populated %d\nfrozen 0\n", populated)
		files[path+"/cgroup.procs"] = procs
		files[path+"/cpu.stat"] = fmt.Sprintf("usage_usec %d\nuser_usec 0\nsystem_usec 0\n", 500000*n)
		files[path+"/cpu.pressure"] = fmt.Sprintf("some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\n", 100000*n)
		files[path+"/memory.pressure"] = fmt.Sprintf("some avg10=7.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=%d\n", 200000*n, 50000*n)
		if controllers {
			files[path+"/cpu.stat"] += fmt.Sprintf("nr_periods 9\nnr_throttled 1\nthrottled_usec %d\n", 250000*n)
			files[path+"/memory.current"] = "4096\n"
			files[path+"/memory.max"] = "max\n"
		}
	}
	files["cgroup.controllers"] = "cpu memory\n"
	files["cgroup.procs"] = "2\n"
	group("system.slice", 1, "", true)
	group("system.slice/nginx.service", 1, "100\n", true)
	group("system.slice/docker.service", 1, "200\n", true)
	group("system.slice/docker.service/payload", 1, "300\n", true) // belongs to the unit
	group("system.slice/delegated.service", 1, "", true)           // its processes are below it
	group("system.slice/delegated.service/inner", 1, "301\n", true)
	group("system.slice/stopped.service", 0, "", true)
	group("user.slice", 1, "", true)
	group("user.slice/user-1000.slice", 1, "", true)
	group("user.slice/user-1000.slice/user@1000.service", 1, "", true)
	group("user.slice/user-1000.slice/user@1000.service/app.slice", 1, "", true)
	group("user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service", 1, "400\n", false)
	group("user.slice/user-1000.slice/session-3.scope", 1, "500\n", true)
	group("kubepods", 1, "", true)
	group("kubepods/pod7", 1, "", true)
	group("kubepods/pod7/0abc", 1, "600\n", true)
	files["kubepods/pod7/0abc/memory.max"] = "8192\n"
	return files
}

func look2(t *testing.T, opt Options, files func(int) map[string]string, base string) (testReader, *stats.HostState) {
	t.Helper()
	opt.ProcRoot, opt.SysRoot = t.TempDir(), t.TempDir()
	root := filepath.Join(opt.SysRoot, "fs", "cgroup", base)
	write(t, root, files(1))
	r := newReader(t, opt)
	before := r.look(t, 0)
	write(t, root, files(2))
	return r, ratios(t, before, r.look(t, time.Second))
}

func pathsOf(s *stats.HostState) (out []string) {
	for _, one := range s.Services {
		out = append(out, one.Name+" "+one.Cgroup)
	}
	return out
}

func TestGroupsVersion2(t *testing.T) {
	t.Parallel()
	_, got := look2(t, Options{}, version2, ".")
	want := []string{
		"delegated /system.slice/delegated.service",
		"docker /system.slice/docker.service",
		"kubepods/pod7/0abc /kubepods/pod7/0abc",
		"nginx /system.slice/nginx.service",
		"user.slice/user-1000.slice/session-3.scope /user.slice/user-1000.slice/session-3.scope",
		"user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service /user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service",
	}
	if diff := cmp.Diff(want, pathsOf(got)); diff != "" {
		t.Fatalf("services (-want +got):\n%s", diff)
	}
	throttled, total := 0.25, 500*time.Millisecond
	nginx := stats.Service{
		Name: "nginx", Cgroup: "/system.slice/nginx.service",
		CPU:    &stats.ServiceCPU{Used: 0.5, Throttled: &throttled, TotalUsed: time.Second, TotalThrottled: &total},
		Memory: &stats.ServiceMemory{Used: 4096},
		PSI: stats.PSI{
			CPU: &stats.Pressure{Some: &stats.Stall{Ratio: 0.1, Total: 200 * time.Millisecond}},
			Memory: &stats.Pressure{
				Some: &stats.Stall{Ratio: 0.2, Avg10: 7, Total: 400 * time.Millisecond},
				Full: &stats.Stall{Ratio: 0.05, Avg10: 3, Total: 100 * time.Millisecond},
			},
		},
	}
	if diff := cmp.Diff(nginx, got.Services[3]); diff != "" {
		t.Errorf("nginx (-want +got):\n%s", diff)
	}
	if m := got.Services[2].Memory; m.Limit != 8192 {
		t.Errorf("limit %+v", m)
	}
	// Without the controllers there is still CPU time, and no memory.
	if s := got.Services[5]; s.CPU == nil || s.CPU.Throttled != nil || s.Memory != nil {
		t.Errorf("without controllers: %+v", s)
	}
}

// version1 with systemd's layout; memory knows a group that cpuacct does not.
func version1(n int) map[string]string {
	files := map[string]string{
		"cpu,cpuacct/cpuacct.usage": "1\n", "cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "memory/memory.usage_in_bytes": "1\n",
	}
	cpu := func(path, procs string) {
		p := "cpu,cpuacct/" + path
		files[p+"/cgroup.procs"] = procs
		files[p+"/cpuacct.usage"] = fmt.Sprintf("%d\n", 750000000*n)
		files[p+"/cpu.stat"] = fmt.Sprintf("nr_periods 1\nnr_throttled 1\nthrottled_time %d\n", 125000000*n)
	}
	memory := func(path, procs, limit string) {
		p := "memory/" + path
		files[p+"/cgroup.procs"] = procs
		files[p+"/memory.usage_in_bytes"] = "12288\n"
		files[p+"/memory.limit_in_bytes"] = limit
	}
	cpu("system.slice", "")
	cpu("system.slice/redis.service", "10\n")
	cpu("system.slice/stopped.service", "")
	cpu("system.slice/nested.service", "")
	cpu("system.slice/nested.service/inner", "11\n")
	memory("system.slice/redis.service", "10\n", "9223372036854771712\n")
	memory("api/1", "12\n", "65536\n")
	return files
}

func TestGroupsVersion1(t *testing.T) {
	t.Parallel()
	_, got := look2(t, Options{}, version1, ".")
	throttled, total := 0.125, 250*time.Millisecond
	cpu := &stats.ServiceCPU{Used: 0.75, Throttled: &throttled, TotalUsed: 1500 * time.Millisecond, TotalThrottled: &total}
	want := []stats.Service{
		{Name: "api/1", Cgroup: "/api/1", Memory: &stats.ServiceMemory{Used: 12288, Limit: 65536}},
		{Name: "nested", Cgroup: "/system.slice/nested.service", CPU: cpu},
		{Name: "redis", Cgroup: "/system.slice/redis.service", CPU: cpu, Memory: &stats.ServiceMemory{Used: 12288}},
	}
	if diff := cmp.Diff(want, got.Services); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if !names(got, "services.psi") {
		t.Errorf("pressure of services is not named as missing: %v", got.Missing)
	}
}

// Both versions: CPU and pressure from version 2, memory from version 1.
func TestGroupsHybrid(t *testing.T) {
	t.Parallel()
	_, got := look2(t, Options{}, func(n int) map[string]string {
		files := map[string]string{
			"memory/memory.usage_in_bytes":                            "1\n",
			"memory/system.slice/nginx.service/cgroup.procs":          "100\n",
			"memory/system.slice/nginx.service/memory.usage_in_bytes": "777\n",
		}
		for name, text := range version2(n) {
			if !strings.Contains(name, "memory.current") && (strings.HasPrefix(name, "cgroup.") || strings.HasPrefix(name, "system.slice/")) {
				files["unified/"+name] = text
			}
		}
		return files
	}, ".")
	for _, s := range got.Services {
		if s.Name == "nginx" {
			if s.CPU == nil || s.CPU.Used != 0.5 || s.Memory == nil || s.Memory.Used != 777 || s.PSI.Memory == nil {
				t.Errorf("nginx %+v", s)
			}
			return
		}
	}
	t.Errorf("no nginx in %v", pathsOf(got))
}

func TestServicesRefused(t *testing.T) {
	t.Parallel()
	r, got := look2(t, Options{MaxServices: 2}, version2, ".")
	if len(got.Services) != 2 || got.ServicesRefused != 4 {
		t.Errorf("%d services, %d refused", len(got.Services), got.ServicesRefused)
	}
	if n := r.counter("host.services_refused"); n != 4 { // one list for two looks
		t.Errorf("counted %d", n)
	}
}

// The limit of open files decides whether those of groups stay open, and makes
// no other difference.
func TestGroupsWithoutKeptFiles(t *testing.T) {
	t.Parallel()
	r, want := look2(t, Options{}, version2, ".")
	if !r.keep {
		t.Fatal("the limit of open files is too low for this test")
	}
	opt := Options{ProcRoot: r.opt.ProcRoot, SysRoot: r.opt.SysRoot}
	once := newReader(t, opt)
	once.keep = false
	state := once.look(t, 0)
	for _, g := range once.groups {
		for _, f := range g.files {
			if f.file != 0 {
				t.Errorf("%s is open", f.path)
			}
		}
	}
	kept := newReader(t, opt)
	kept.look(t, 0)
	if diff := cmp.Diff(state.Services, kept.look(t, 0).Services); diff != "" || len(want.Services) != len(state.Services) {
		t.Errorf("%d services (-opened +kept):\n%s", len(state.Services), diff)
	}
	if open := kept.groups[0].files[fileCPU].file != 0; !open {
		t.Error("no file is kept")
	}
	if mayKeep(1 << 40) {
		t.Error("there is room for any number of groups")
	}
}

// A group that goes makes the list anew; a new one is found by itself.
func TestGroupsComeAndGo(t *testing.T) {
	t.Parallel()
	sys := t.TempDir()
	root := filepath.Join(sys, "fs", "cgroup")
	write(t, root, map[string]string{"cgroup.controllers": "", "a.service/cgroup.events": "populated 1\n", "a.service/cpu.stat": "usage_usec 1\n"})
	r := newReader(t, Options{ProcRoot: sys, SysRoot: sys})
	if got := pathsOf(r.look(t, 0)); len(got) != 1 {
		t.Fatalf("services %v", got)
	}
	write(t, root, map[string]string{"b.service/cgroup.events": "populated 1\n", "b.service/cpu.stat": "usage_usec 1\n"})
	found := 0
	for range listEvery {
		found = len(r.look(t, 0).Services)
	}
	if found != 2 {
		t.Errorf("%d services after %d looks", found, listEvery)
	}
	write(t, root, map[string]string{"a.service/cpu.stat": "", "a.service/cgroup.events": "populated 0\n"})
	for i := range 2 {
		if got := pathsOf(r.look(t, 0)); len(got) != 1 || got[0] != "b /b.service" {
			t.Errorf("look %d after a is gone: %v", i, got)
		}
	}
	if r.listed != 0 {
		t.Errorf("the list was not made anew: %d", r.listed)
	}
}

// Where looks are rare a new group does not wait for ten of them.
func TestGroupsFoundByRareLooks(t *testing.T) {
	t.Parallel()
	sys := t.TempDir()
	root := filepath.Join(sys, "fs", "cgroup")
	write(t, root, map[string]string{"cgroup.controllers": "", "a.service/cgroup.events": "populated 1\n", "a.service/cpu.stat": "usage_usec 1\n"})
	r := newReader(t, Options{ProcRoot: sys, SysRoot: sys})
	r.look(t, 0)
	write(t, root, map[string]string{"b.service/cgroup.events": "populated 1\n", "b.service/cpu.stat": "usage_usec 1\n"})
	if got := pathsOf(r.look(t, listAfter-1)); len(got) != 1 {
		t.Errorf("before its time: services %v", got)
	}
	if got := pathsOf(r.look(t, listAfter)); len(got) != 2 {
		t.Errorf("services %v", got)
	}
}

func FuzzFlatKeyed(f *testing.F) {
	f.Add([]byte("usage_usec 12\nuser_usec 3\n"), "usage_usec")
	f.Add([]byte("populated 0"), "populated")
	f.Add([]byte("a -1\nmax\n"), "a")
	f.Fuzz(func(t *testing.T, text []byte, key string) {
		n, known := flatKeyed(text, key)
		if !known && n != 0 {
			t.Errorf("%d for an unknown key", n)
		}
		if known && !strings.Contains(string(text), key) {
			t.Errorf("key %q found in %q", key, text)
		}
		parseNumber(text)
	})
}

// No two services have the same name: what is sent under one would be of both.
func TestServiceNamesDiffer(t *testing.T) {
	t.Parallel()
	_, got := look2(t, Options{}, func(n int) map[string]string {
		files := map[string]string{"cgroup.controllers": "cpu memory\n"}
		for _, path := range []string{"system.slice/worker.service", "worker", "user.slice/worker.service", "a/b.service", "b"} {
			files[path+"/cgroup.events"] = "populated 1\n"
			files[path+"/cgroup.procs"] = "1\n"
			files[path+"/cpu.stat"] = fmt.Sprintf("usage_usec %d\n", n)
		}
		for _, path := range []string{"system.slice", "user.slice", "a"} {
			files[path+"/cgroup.events"] = "populated 1\n"
			files[path+"/cgroup.procs"] = ""
		}
		return files
	}, ".")
	want := []string{
		"a/b.service /a/b.service",
		"b /b",
		"system.slice/worker.service /system.slice/worker.service",
		"user.slice/worker.service /user.slice/worker.service",
		"worker /worker",
	}
	if diff := cmp.Diff(want, pathsOf(got)); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}
