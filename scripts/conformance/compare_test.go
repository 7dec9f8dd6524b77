// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func wanted(n string) want {
	return want{
		behaviour: "b", role: "server", tag: "b-" + n, method: "GET", target: "/x?c=b-" + n,
		status: 200, outcome: outcomeOK, request: exactly(50), response: span{100, 110}, remote: "127.0.0.1:100" + n,
	}
}

func line(n string, change func(*traceLine)) traceLine {
	l := traceLine{
		Role: "server", PID: 7, Remote: "127.0.0.1:100" + n, Method: "GET", Target: "/x?c=b-" + n,
		Status: 200, Outcome: outcomeOK, Duration: 9, TTFB: 8, RequestBytes: 50, ResponseBytes: 105,
	}
	if change != nil {
		change(&l)
	}
	return l
}

func TestCompare(t *testing.T) {
	tests := []struct {
		name  string
		wants []want
		lines []traceLine
		want  string
	}{
		{"equal", []want{wanted("1"), wanted("2")}, []traceLine{line("2", nil), line("1", nil)}, "exact"},
		{"missing", []want{wanted("1"), wanted("2")}, []traceLine{line("1", nil)}, "1 missing"},
		{"all missing", []want{wanted("1")}, nil, "1 missing"},
		{"extra", []want{wanted("1")}, []traceLine{line("1", nil), line("3", nil)}, "1 extra"},
		{"twice", []want{wanted("1")}, []traceLine{line("1", nil), line("1", nil)}, "1 extra"},
		{"role", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.Role = "client" })}, "1× role"},
		{"method", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.Method = "get" })}, "1× method"},
		{"status", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.Status = 404 })}, "1× status"},
		{"outcome", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.Outcome = outcomeAborted })}, "1× outcome"},
		{"request bytes", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.RequestBytes = 49 })}, "1× request_bytes"},
		{"too few bytes", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.ResponseBytes = 99 })}, "1× response_bytes"},
		{"too many bytes", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.ResponseBytes = 111 })}, "1× response_bytes"},
		{"remote", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.Remote = "127.0.0.1:9" })}, "1× remote"},
		{"uncertain", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.Flags = []string{"bytes_uncertain"} })}, "1× flags"},
		{"no process", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.PID = 0 })}, "1× pid"},
		{"first byte after last", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.TTFB = 10 })}, "1× ttfb_ns"},
		{"no first byte", []want{wanted("1")}, []traceLine{line("1", func(l *traceLine) { l.TTFB = 0 })}, "1× ttfb_ns"},
		{
			"damaged target is one difference", []want{wanted("1")},
			[]traceLine{line("1", func(l *traceLine) { l.Target = "/x" })}, "1× target",
		},
		{
			"the same over a v4-mapped socket", []want{wanted("1")},
			[]traceLine{line("1", func(l *traceLine) { l.Remote = "[::ffff:127.0.0.1]:1001" })}, "exact",
		},
		{"nothing", nil, nil, "nothing compared"},
		{
			"everything at once", []want{wanted("1"), wanted("2")},
			[]traceLine{line("3", nil), line("2", func(l *traceLine) { l.Status, l.ResponseBytes = 500, 1 })},
			"1 missing, 1 extra, 1× response_bytes, 1× status",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.lines {
				tt.lines[i].number = i
			}
			got := compare(tt.wants, tt.lines)["b"]
			if got == nil {
				got = &verdict{}
			}
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("verdict (-want +got):\n%s\n%+v", diff, got)
			}
			if got.exact() != (tt.want == "exact") {
				t.Errorf("exact() = %v for %q", got.exact(), got)
			}
		})
	}
}

func TestCompareWithoutTag(t *testing.T) {
	star := want{behaviour: "star", role: "client", method: "OPTIONS", target: "*", status: 400, outcome: outcomeOK, response: anyBytes(), request: anyBytes()}
	l := traceLine{Role: "client", PID: 1, Remote: "127.0.0.1:80", Method: "OPTIONS", Target: "*", Status: 400, Outcome: outcomeOK, Duration: 2, TTFB: 1}
	if got := compare([]want{star}, []traceLine{l})["star"]; !got.exact() {
		t.Errorf("by method and target: %v", got)
	}
	stray := l
	stray.number, stray.Target = 1, "/other"
	if got := compare([]want{star}, []traceLine{l, stray})[""]; got == nil || len(got.extra) != 1 {
		t.Errorf("a line of no behaviour must be reported as extra, got %v", got)
	}
}

func TestCompareLog(t *testing.T) {
	seen := []exchange{
		{tag: "b-1", method: "GET", target: "/x?c=b-1", status: 200, outcome: outcomeOK, requestBytes: 50, requestMin: 50, responseBytes: 100, responseMax: 100},
		{tag: "b-2", method: "GET", target: "/x?c=b-2", status: 200, outcome: outcomeAborted, responseBytes: 10, responseMax: 90},
	}
	logged := func(change func([]logLine) []logLine) []logLine {
		return change([]logLine{
			{method: "GET", target: "/x?c=b-1", status: 200, total: 100, body: -1, received: 50},
			{method: "GET", target: "/x?c=b-2", status: 200, total: 60, body: -1, received: -1},
		})
	}
	trust := logTrust{total: true, received: true}
	tests := []struct {
		name   string
		change func([]logLine) []logLine
		agrees bool
	}{
		{"equal", func(l []logLine) []logLine { return l }, true},
		{"missing", func(l []logLine) []logLine { return l[:1] }, false},
		{"extra", func(l []logLine) []logLine { return append(l, l[0]) }, false},
		{"status", func(l []logLine) []logLine { l[0].status = 500; return l }, false},
		{"total", func(l []logLine) []logLine { l[0].total = 101; return l }, false},
		{"received", func(l []logLine) []logLine { l[0].received = 51; return l }, false},
		{"more than the rest could be", func(l []logLine) []logLine { l[1].total = 91; return l }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := compareLog(trust, seen, logged(tt.change)); got.agrees() != tt.agrees {
				t.Errorf("agrees() = %v: %+v", got.agrees(), got)
			}
		})
	}
}

func TestGapExcusesOnlyItsFields(t *testing.T) {
	g := gap{fields: []string{"response_bytes"}}
	bytes := verdict{matched: 1, differ: []difference{{field: "response_bytes"}}}
	status := verdict{matched: 1, differ: []difference{{field: "response_bytes"}, {field: "status"}}}
	missing := verdict{missing: []want{wanted("1")}}
	for _, tt := range []struct {
		v    verdict
		want bool
	}{{bytes, true}, {status, false}, {missing, false}} {
		if got := g.excuses(&tt.v); got != tt.want {
			t.Errorf("excuses(%v) = %v", &tt.v, got)
		}
	}
}
