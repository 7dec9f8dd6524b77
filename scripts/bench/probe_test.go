// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTotals(t *testing.T) {
	const tags = "|#host:h,service:nginx-20000,method:GET,route:" + benchPath + ",status:200\n"
	got := totals{self: map[string]uint64{}}
	for _, line := range []string{
		"probe.http.server.requests:40|c" + tags,
		"probe.http.server.requests:2|c" + tags,
		"probe.http.client.requests:41|c" + tags,
		"probe.http.server.errors:5|c" + tags,
		"probe.http.server.duration:0.5|ms|@0.5" + tags,
		"probe.http.server.in_flight:3|g|#host:h,service:nginx-20000\n",
		"probe.http.server.requests:7|c|#host:h,service:other,method:GET,route:/other,status:200\n",
		"probe.self.kernel.dropped.ring_full:3|c|#host:h\n",
		"probe.self.kernel.dropped.ring_full:4|c|#host:h\n",
		"probe.self.exchange.dropped.not_http:9|c|#host:h\n",
		"probe.self.kernel.records:9|c|#host:h\n",
		"probe.self.export.lines_dropped:1|c",
		"", ":|c", "x|c", "x:y|c",
	} {
		got.add([]byte(line))
	}
	if got.server != 42 || got.client != 41 {
		t.Errorf("counted %d and %d, want 42 and 41", got.server, got.client)
	}
	want := map[string]uint64{"kernel.dropped.ring_full": 7, "export.lines_dropped": 1}
	if diff := cmp.Diff(want, got.lost()); diff != "" {
		t.Errorf("lost (-want +got):\n%s", diff)
	}
}

func TestMiscount(t *testing.T) {
	server, both, idle := variant{server: true}, variant{server: true, client: true}, variant{}
	tests := []struct {
		name           string
		variant        variant
		server, client uint64
		want           string
	}{
		{"exact", server, 1000, 0, ""},
		{"left behind", both, 1016, 1003, ""},
		{"too few", server, 999, 0, "server: 999 counted, 1000 to 1016 made"},
		{"too many", server, 1017, 0, "server: 1017 counted, 1000 to 1016 made"},
		{"end not wanted", server, 1000, 1000, "client: 1000 counted, 0 to 0 made"},
		{"end missing", both, 1000, 0, "client: 0 counted, 1000 to 1016 made"},
		{"nothing wanted", idle, 0, 0, ""},
		{"unwanted", idle, 1, 0, "server: 1 counted, 0 to 0 made"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := attachedRun{sample: sample{requests: 1000, open: 16}, totals: totals{server: tt.server, client: tt.client}}
			if got := miscount(tt.variant, r); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPeakRSS(t *testing.T) {
	got, err := peakRSS([]byte("Name:\tprobe\nVmPeak:\t  99 kB\nVmHWM:\t   26340 kB\nVmRSS:\t   10 kB\n"))
	if err != nil || got != 26340<<10 {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := peakRSS([]byte("Name:\tprobe\n")); err == nil {
		t.Error("no error without VmHWM")
	}
}

func TestParseProgramInfo(t *testing.T) {
	const program = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_jited:\t1\nprog_tag:\t0123456789abcdef\n" +
		"memlock:\t4096\nprog_id:\t77\nrun_time_ns:\t1234\nrun_cnt:\t10\nrecursion_misses:\t0\n"
	got, ok := parseProgramInfo([]byte(program))
	if want := (programCost{id: 77, runNS: 1234, runCount: 10}); !ok || got != want {
		t.Errorf("got %+v, %v, want %+v", got, ok, want)
	}
	for _, other := range []string{"", "pos:\t0\n", "link_type:\ttracing\nprog_tag:\t01\nprog_id:\t77\n"} {
		if _, ok := parseProgramInfo([]byte(other)); ok {
			t.Errorf("%q taken for a program", other)
		}
	}
}

func TestSubtract(t *testing.T) {
	got := subtract(
		[]programCost{{1, "a", 100, 10}, {2, "b", 50, 5}},
		[]programCost{{1, "a", 40, 4}})
	want := []programCost{{1, "a", 60, 6}, {2, "b", 50, 5}}
	if !cmp.Equal(want, got, cmp.AllowUnexported(programCost{})) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseStat(t *testing.T) {
	const user = "42 (a b) c) S 7 42 42 0 -1 4194560 900 0 1 0 150 50 30 20 20 0 1 0 1000 0 0"
	got, err := parseStat([]byte(user))
	if want := (processStat{pid: 42, parent: 7, cpu: 2500 * time.Millisecond}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	kernel, err := parseStat([]byte("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0"))
	if err != nil || !kernel.kernel {
		t.Errorf("kernel thread: %+v, %v", kernel, err)
	}
	for _, bad := range []string{"", "42", "42 (a) S 1", "x (a) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "1 (a) S x 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"} {
		if p, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q read as %+v", bad, p)
		}
	}
}
