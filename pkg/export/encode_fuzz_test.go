// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"probe/pkg/events"
	"probe/pkg/stats"
)

func FuzzEncode(f *testing.F) {
	f.Add("shop", "GET", "/users/{id}", "web-1", "probe", "drops.ring", uint16(200), uint64(7), int64(1500000), uint32(4), int64(3))
	f.Add("", "", "", "", "", "", uint16(0), uint64(0), int64(0), uint32(0), int64(-3))
	f.Add("a\nb:1|c", "G|T", "/x,y=z;[#]", "h\x00\xff", "..p.", "9.é", uint16(999), uint64(math.MaxUint64), int64(math.MaxInt64), uint32(1<<31), int64(math.MinInt64))
	f.Add(strings.Repeat("s", 300), strings.Repeat("M", 300), strings.Repeat("/é", 300), strings.Repeat("h.", 300), strings.Repeat("p.", 300), strings.Repeat("n.", 300), uint16(65535), uint64(1), int64(-1), uint32(3), int64(1))
	f.Fuzz(func(t *testing.T, service, method, route, host, prefix, self string, status uint16, count uint64, ns int64, every uint32, inFlight int64) {
		for _, dialect := range dialects() {
			e := newEncoder(t, EncoderOptions{Prefix: prefix, Host: host, Dialect: dialect})
			for role := range events.Role(stats.NumRoles) {
				fuzzOneRole(t, e, dialect, &stats.Series{
					Key:      stats.Key{Service: service, Method: method, Route: route, Role: role, Status: status},
					Counters: stats.Counters{Requests: count},
					Samples:  stats.Samples{Duration: []time.Duration{time.Duration(ns), 0}, Every: every},
				})
				gauge := &stats.InFlight{Service: service, Role: role, N: int(inFlight)}
				lines := parseAll(t, e.AppendInFlight(nil, gauge), dialect)
				if last := lines[len(lines)-1]; last.Raw != fmt.Sprint(inFlight) || (len(lines) == 2) != (inFlight < 0) {
					t.Errorf("gauge %d came out as %+v", inFlight, lines)
				}
			}
			parseAll(t, e.AppendSelf(nil, &stats.SelfValue{Name: self, Delta: 1}), dialect)
		}
	})
}

func fuzzOneRole(t *testing.T, e *Encoder, dialect Dialect, s *stats.Series) {
	lines := parseAll(t, e.AppendSeries(nil, s), dialect)
	if s.Requests > 0 {
		if lines[0].Raw != fmt.Sprint(s.Requests) {
			t.Errorf("count %d came out as %s", s.Requests, lines[0].Raw)
		}
		lines = lines[1:]
	}
	if dialect == DogStatsD11 {
		if len(lines) != 1 || len(lines[0].Packed) != 2 {
			t.Fatalf("packed timings: %+v, want one line of two", lines)
		}
	} else if len(lines) != 2 {
		t.Fatalf("%d timings, want 2", len(lines))
	}
	want := float64(max(s.Samples.Duration[0], 0)) / 1e6
	if math.Abs(lines[0].Value-want) > 1e-9*max(want, 1) {
		t.Errorf("timing %v ms came out as %v", want, lines[0].Value)
	}
	if rate := 1 / float64(max(s.Samples.Every, 1)); lines[0].Rate != rate {
		t.Errorf("rate %v came out as %v", rate, lines[0].Rate)
	}
	if dialect != Plain && lines[0].Tags["status"] != fmt.Sprint(s.Status) {
		t.Errorf("status %d came out as %v", s.Status, lines[0].Tags)
	}
}

// A name template is refused or makes good names, whatever it and the values are.
func FuzzTemplate(f *testing.F) {
	f.Add(DefaultTemplate, "shop", "/users/{id}", "prod")
	f.Add("{host}_{env}.{metric}.{route}", "", "\n", "é|x")
	f.Add("{prefix}.{prefix}.{scope}.{metric}", strings.Repeat("s", 300), "/", ".")
	f.Add("x.{metric}.{{}}..", "a", "b", "c")
	f.Fuzz(func(t *testing.T, template, service, route, env string) {
		var tags []Tag
		if env != "" {
			tags = []Tag{{"env", env}}
		}
		e, err := NewEncoder(EncoderOptions{Template: template, Host: "10.0.0.1", Tags: tags})
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("error of two lines: %v", err)
			}
			return
		}
		if len(template) > 100 {
			return // a template that is too long by itself makes names that are
		}
		s := oneSeries(2)
		s.Service, s.Route = service, route
		parseAll(t, e.AppendSeries(nil, s), Plain)
		parseAll(t, e.AppendSelf(nil, &stats.SelfValue{Name: service, Delta: 1}), Plain)
		parseAll(t, e.AppendInFlight(nil, &stats.InFlight{Service: service}), Plain)
	})
}

// benchSnapshot has full samples in each of n series.
func benchSnapshot(n int) *stats.Snapshot {
	now := time.Duration(0)
	r := stats.New(stats.Options{Now: func() time.Duration { return now }})
	q := &events.Request{
		Role: events.RoleServer, Method: []byte("GET"), Service: "checkout", Status: 200, RequestBytes: 300, ResponseBytes: 2000,
		Wait: events.Wait{Accept: 0, Socket: 23 * time.Microsecond, Known: true},
	}
	for i := range n {
		q.Route = fmt.Sprintf("/api/v1/users/{id}/orders/%d", i)
		for j := range 100 {
			q.Duration = time.Duration(1_234_567 + 54321*j)
			q.TTFB = q.Duration - 3000
			r.Record(q)
		}
	}
	return r.Flush()
}

func BenchmarkAppendLines(b *testing.B) {
	snapshot := benchSnapshot(1000)
	for _, dialect := range dialects() {
		b.Run(string(dialect), func(b *testing.B) {
			b.ReportAllocs()
			lines, bytes := 0, 0
			x := &Exporter{
				encoder: newEncoder(b, EncoderOptions{Dialect: dialect, Host: "node-17"}),
				sender:  &sender{packer: NewPacker(DefaultMaxPayload, Datagram, func(p []byte, n int) { lines += n; bytes += len(p) })},
			}
			x.encode(snapshot) // the fixed parts of each series, once
			lines, bytes = 0, 0
			for b.Loop() {
				x.encode(snapshot)
			}
			b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(float64(bytes)/float64(lines), "B/line")
		})
	}
}
