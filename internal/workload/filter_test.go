// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	pod, compose, unit := layouts()[0], layouts()[10], layouts()[26]
	tests := []struct {
		name   string
		filter Filter
		layout layout
		want   Verdict
	}{
		{"nothing filtered", Filter{}, unit, Wanted},
		{"container", Filter{Containers: []string{"other", "api"}}, pod, Wanted},
		{"another container", Filter{Containers: []string{"ap"}}, pod, Unwanted},
		{"no container", Filter{Containers: []string{"nginx"}}, unit, Unwanted},
		{"id", Filter{Containers: []string{testID}}, pod, Wanted},
		{"beginning of the id", Filter{Containers: []string{testID[:4]}}, pod, Wanted},
		{"too short for an id", Filter{Containers: []string{testID[:3]}}, pod, Unwanted},
		{"namespace", Filter{Namespaces: []string{"prod"}}, pod, Wanted},
		{"another namespace", Filter{Namespaces: []string{"test"}}, pod, Unwanted},
		{"project", Filter{Namespaces: []string{"shop"}}, compose, Wanted},
		{"both", Filter{Namespaces: []string{"prod"}, Containers: []string{"api"}}, pod, Wanted},
		{"one of both", Filter{Namespaces: []string{"test"}, Containers: []string{"api"}}, pod, Unwanted},
		{"exe", Filter{Exes: []string{"server"}}, unit, Wanted},
		{"exe by path", Filter{Exes: []string{"/opt/*"}}, unit, Wanted},
		{"another exe", Filter{Exes: []string{"/usr/*", "serve"}}, unit, Unwanted},
		{"exe in a container", Filter{Exes: []string{"server"}, Containers: []string{"api"}}, pod, Wanted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			proc := newFakeProc(t)
			proc.start(fakeProcess{pid: 7, start: 33, exe: "/opt/server", cgroup: tt.layout.cgroup})
			j := newResolver(t, Options{ProcRoot: proc.root, HostRoot: tt.layout.hostRoot(t)}).Judge(tt.filter)
			if got := verdict(t, j, 33, at(0)); got != tt.want {
				t.Errorf("verdict %d, want %d", got, tt.want)
			}
			if got := verdict(t, j, 34, at(0)); got != Unwanted {
				t.Errorf("verdict on another process with the pid: %d", got)
			}
		})
	}
}

func verdict(t *testing.T, j *Judge, start, nowNS uint64) Verdict {
	t.Helper()
	for range 2000 {
		if v := j.Wanted(7, start, nowNS); v != Unknown {
			return v
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("no verdict")
	return Unknown
}

// A container whose names nobody has written yet is not judged at once.
func TestJudgeWaitsForNames(t *testing.T) {
	l := layouts()[0]
	proc := newFakeProc(t)
	proc.start(fakeProcess{pid: 7, start: 33, exe: "/server", cgroup: l.cgroup})
	r, _ := stuckResolver(t, Options{ProcRoot: proc.root})
	j := r.Judge(Filter{Containers: []string{"api"}})
	for d := time.Duration(0); d < judgePatience; d += judgePatience / 50 {
		if v := j.Wanted(7, 33, at(d)); v != Unknown {
			t.Fatalf("verdict %d after %v", v, d)
		}
	}
	if jobs, most := len(r.lookups.jobs), int(judgePatience/judgeRetry); jobs < 2 || jobs > most {
		t.Errorf("looked up %d times, want 2 to %d", jobs, most)
	}
	if v := j.Wanted(7, 33, at(judgePatience)); v != Unwanted {
		t.Errorf("verdict %d after %v", v, judgePatience)
	}
}

func TestFilterValidate(t *testing.T) {
	for want, f := range map[string]Filter{
		"container filter": {Containers: []string{"a", ""}},
		"namespace filter": {Namespaces: []string{""}},
		"exe filter":       {Exes: []string{""}},
		"65 values":        {Exes: strings.Split(strings.Repeat("a", 65), "")},
	} {
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %v, want %q", err, want)
		}
	}
	if err := (Filter{Containers: []string{"a"}}).Validate(); err != nil || !(Filter{}).Empty() || (Filter{Exes: []string{"a"}}).Empty() {
		t.Errorf("a good filter: %v", err)
	}
}
