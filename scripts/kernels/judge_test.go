// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"probe/scripts/kernels/result"
)

func TestJudge(t *testing.T) {
	program := []result.Program{{Name: "http_sys_exit", Instructions: 7}}
	task := []string{"task storage"}
	for _, tt := range []struct {
		name, release string
		check         result.Check
		want          string // part of a problem, or "" for none
	}{
		{"loads", "6.12.1", result.Check{Kind: "load", Source: "socket", Detail: "full", Got: "full", Programs: program}, ""},
		{"refused", "6.12.1", result.Check{Kind: "load", Source: "socket", Detail: "full", Problems: []string{"verifier"}}, "verifier"},
		{"older than the socket source", "6.1.0", result.Check{Kind: "load", Source: "socket", Detail: "off", Unsupported: true, Problems: []string{"no"}}, ""},
		{"not old enough for that", "6.3.0", result.Check{Kind: "load", Source: "socket", Detail: "off", Unsupported: true}, "failed"},
		{"the other source is always there", "5.10.0", result.Check{Kind: "load", Source: "syscall", Detail: "off", Unsupported: true}, "failed"},
		{"falls back", "5.10.0", result.Check{Kind: "load", Source: "syscall", Detail: "full", Got: "off", Missing: task, Programs: program}, ""},
		{"falls back in silence", "5.10.0", result.Check{Kind: "load", Source: "syscall", Detail: "full", Got: "off", Programs: program}, "missing"},
		{"falls back for nothing", "6.12.1", result.Check{Kind: "load", Source: "syscall", Detail: "full", Got: "off", Programs: program}, "want full"},
		{"complains for nothing", "6.12.1", result.Check{Kind: "load", Source: "syscall", Detail: "full", Got: "full", Missing: task, Programs: program}, "missing"},
		{"reads user memory", "6.9.0", result.Check{Kind: "load", Source: "socket", Detail: "off", Got: "off", UserMemory: "why", Programs: program}, "why"},
		{"no statistics", "6.12.1", result.Check{Kind: "load", Source: "syscall", Detail: "off", Got: "off", Programs: []result.Program{{Name: "p"}}}, "no statistics of p"},
		{"traces", "6.12.1", result.Check{Kind: "trace", Source: "syscall", Detail: "basic", Requests: 200, Timed: 200}, ""},
		{"traces nothing", "6.12.1", result.Check{Kind: "trace", Source: "syscall", Detail: "basic"}, "no requests"},
		{"times are missing", "6.12.1", result.Check{Kind: "trace", Source: "syscall", Detail: "basic", Requests: 200, Timed: 199}, "199 of 200"},
		{"a call was left out", "6.12.1", result.Check{Kind: "trace", Source: "syscall", Detail: "basic", Requests: 200, Timed: 199, LeftOut: 1, Untold: 1}, ""},
		{"times without detail", "5.10.0", result.Check{Kind: "trace", Source: "syscall", Detail: "basic", Requests: 200, Timed: 200, Missing: task}, "200 of 200"},
		{"two warnings", "5.10.0", result.Check{Kind: "run", Source: "auto", Detail: "basic", Requests: 200, Missing: []string{"a", "b"}}, "want one"},
		{"one warning", "5.10.0", result.Check{Kind: "run", Source: "auto", Detail: "basic", Requests: 200, Missing: task}, ""},
		{"misses that are counted", "7.3.4", result.Check{Kind: "trace", Source: "socket", Detail: "off", Requests: 200, Missed: 3, Problems: []string{"want x"}}, ""},
		{"not before 7.0", "6.12.1", result.Check{Kind: "trace", Source: "socket", Detail: "off", Requests: 200, Missed: 3, Problems: []string{"want x"}}, "want x"},
		{"misses that are not counted", "7.3.4", result.Check{Kind: "trace", Source: "socket", Detail: "off", Requests: 200, Problems: []string{"want x"}}, "want x"},
		{"no version", "unknown", result.Check{Kind: "run"}, "unknown kernel release"},
	} {
		problems := judge(guest{release: tt.release, checks: []result.Check{tt.check}})
		text := ""
		for _, p := range problems {
			text += p.Error() + "\n"
		}
		if (tt.want == "") != (text == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: problems %q, want %q", tt.name, text, tt.want)
		}
	}
}

func TestReadGuest(t *testing.T) {
	const hello = "@kernels {\"release\":\"6.1.0\"}\r\n"
	const check = "[ 1.0] noise\r\n@kernels {\"check\":{\"kind\":\"load\",\"source\":\"syscall\",\"detail\":\"off\"}}\r\n"
	for _, tt := range []struct {
		name, console string
		checks        int
		fails         bool
	}{
		{"whole", hello + check + check + "@kernels {\"end\":true}\r\n", 2, false},
		{"no end: a panic", hello + check + "Kernel panic - not syncing\r\n", 0, true},
		{"nothing", "", 0, true},
		{"the kernel wrote into a line", hello + "@kernels {\"check\":[ 2.0] oops\r\n@kernels {\"end\":true}\r\n", 0, true},
		{"end alone", "@kernels {\"end\":true}\r\n", 0, true},
	} {
		g, err := readGuest(tt.console)
		if (err != nil) != tt.fails || len(g.checks) != tt.checks {
			t.Errorf("%s: %d checks, %v", tt.name, len(g.checks), err)
		}
	}
}
