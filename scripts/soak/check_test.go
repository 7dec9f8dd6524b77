// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func build(t *testing.T, path string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", path, "probe/cmd/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // it gives up privileges only then
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
}

// A section takes the place of the one of its title, and the others stay.
func TestSectionInto(t *testing.T) {
	t.Parallel()
	report := ""
	for _, s := range []section{
		{title: scaleTitle, text: "\nmany\n"}, {title: soakTitle, text: "long"}, {title: faultsTitle, text: "broken"}, {title: soakTitle, text: "longer"},
	} {
		report = s.into(report)
	}
	want := preamble + "\n## Soak\nlonger\n\n## Faults\nbroken\n\n## Scale\nmany\n"
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestParseCounter(t *testing.T) {
	t.Parallel()
	type parsed struct {
		Name  string
		Value uint64
		Tags  map[string]string
	}
	tests := map[string]struct {
		want parsed
		bad  bool
	}{
		"soak.http.server.requests:12|c|#host:h,service:a:b,route:/x/{id}": {want: parsed{"soak.http.server.requests", 12,
			map[string]string{"host": "h", "service": "a:b", "route": "/x/{id}"}}},
		"soak.self.kernel.records:3|c":         {want: parsed{"soak.self.kernel.records", 3, map[string]string{}}},
		"soak.http.server.ttfb:0.5|ms|@0.1|#a": {},
		"soak.host.load1:1|g":                  {},
		"soak.x:-1|c":                          {bad: true},
		"soak.x:1":                             {bad: true},
		":1|c":                                 {bad: true},
		"":                                     {bad: true},
	}
	for line, tt := range tests {
		name, value, tags, err := parseCounter(line)
		if diff := cmp.Diff(tt.want, parsed{name, value, tags}); diff != "" || (err != nil) != tt.bad {
			t.Errorf("%q: %v (-want +got):\n%s", line, err, diff)
		}
	}
}

// Books that do not balance are found, whichever number is wrong.
func TestBalance(t *testing.T) {
	t.Parallel()
	names := []string{
		"kernel.requests_seen", "kernel.dropped.ring_full_requests", "kernel.dropped.not_http_answer",
		"exchange.started", "exchange.inside_body", "exchange.pipelined", "exchange.orphan_responses",
		"exchange.finished", "exchange.dropped.not_http", "exchange.dropped.queue_full", "exchange.dropped.response_unseen",
		"stats.requests", "kernel.dropped.raced_requests", "exchange.dropped.raced", "exchange.dropped.doubtful",
	}
	right := func() sums {
		s := sums{counters: map[string]uint64{requests: 100}}
		for i, n := range []uint64{102, 3, 1, 96, 1, 6, 5, 100, 1, 1, 1, 100, 1, 1, 1} {
			s.counters[self+names[i]] = n
		}
		return s
	}
	end := totals{Finished: 90, Failed: 10, Pending: 2}
	var fine checks
	if fine.balance(right(), end); len(fine.failed()) > 0 {
		t.Errorf("balanced books: %q", fine.failed())
	}
	for _, name := range append(names, "lines") {
		var c checks
		wrong := right()
		if name == "lines" {
			wrong.counters[requests]++
		} else {
			wrong.counters[self+name]++
		}
		if c.balance(wrong, end); len(c.failed()) == 0 {
			t.Errorf("%s is wrong, and nobody notices", name)
		}
	}
	var c checks
	if c.balance(right(), totals{Finished: 90, Failed: 10}); len(c.failed()) == 0 {
		t.Error("a pending request is missing, and nobody notices")
	}
}

func TestJudgeMemory(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mib  []int // every half minute
		want bool
	}{
		"flat after growth": {[]int{20, 30, 50, 50, 50, 52, 48, 50, 54, 46}, true},
		"a leak":            {[]int{20, 30, 50, 50, 51, 52, 53, 54, 55, 57}, false},
		"a hole":            {[]int{20, 30, 50, 50, 50, 50, 50, 44, 50, 50}, false},
		"too few":           {[]int{20, 30, 40, 50, 50}, false},
	}
	for name, tt := range tests {
		k := &soaking{settings: settings{duration: 6 * time.Minute}}
		for i, n := range tt.mib {
			k.samples = append(k.samples, sample{at: time.Duration(i) * 30 * time.Second, rss: uint64(n) << 20})
		}
		k.judgeMemory()
		if got := len(k.checks.failed()) == 0; got != tt.want {
			t.Errorf("%s: passes %t: %v", name, got, k.checks)
		}
	}
}

func TestLosses(t *testing.T) {
	t.Parallel()
	counters := map[string]uint64{"kernel.dropped.ring_full": 2, "records.lost": 0, "exchange.dropped.not_http": 5, "kernel.unseen.tls": 7}
	if got, want := lossText(counters), "`kernel.dropped.ring_full` 2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Words are different, and none that a route would stand for.
func TestWord(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range 20_000 {
		w := word(i)
		if seen[w] || strings.ContainsAny(w, "0123456789") {
			t.Fatalf("word %d is %q", i, w)
		}
		seen[w] = true
	}
}
