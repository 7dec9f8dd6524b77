// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
	"probe/pkg/stats"
)

// The rules that let one line mean the same to every receiver, one test each.

// hostile is a series whose every field has what some receiver stumbles over.
func hostile() *stats.Series {
	s := oneSeries(4)
	s.Service = "my svc:8080|x,y;z#[a]=\n\té"
	s.Route = "/a.b/{id}:x,y;z=1#[2]|@0.1\n"
	s.Method = "GE T"
	return s
}

// everyLine renders everything an Encoder can, in each dialect.
func everyLine(t *testing.T, check func(dialect Dialect, line string, p parsedLine)) {
	t.Helper()
	for _, dialect := range dialects() {
		e := newEncoder(t, EncoderOptions{Dialect: dialect, Host: "10.0.0.1", Tags: []Tag{{"env", "prod|x y"}}})
		var lines []byte
		for _, s := range []*stats.Series{oneSeries(1), hostile()} {
			lines = e.AppendSeries(lines, s)
		}
		lines = e.AppendInFlight(lines, &stats.InFlight{Service: "shop", N: -5})
		lines = e.AppendSelf(lines, &stats.SelfValue{Name: "a b..c/d.", Delta: 3})
		parsed := parseAll(t, lines, dialect)
		for i, line := range strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n") {
			check(dialect, line, parsed[i])
		}
	}
}

func TestRule1CountersAreIntegers(t *testing.T) {
	t.Parallel()
	everyLine(t, func(dialect Dialect, line string, p parsedLine) {
		if p.Type == "c" && (strings.Trim(p.Raw, "0123456789") != "" || p.Rate != 1) {
			t.Errorf("%s: %s", dialect, line)
		}
	})
}

func TestRule2RatesArePlainAndSectionsInOrder(t *testing.T) {
	t.Parallel()
	order := regexp.MustCompile(`^[^|]+\|(c|g|ms)(\|@0\.[0-9]+)?(\|#[^|]+)?$`)
	rates := 0
	everyLine(t, func(dialect Dialect, line string, p parsedLine) {
		if !order.MatchString(line) {
			t.Errorf("%s: %s", dialect, line)
		}
		if p.Rate != 1 {
			rates++
		}
	})
	if rates == 0 {
		t.Error("no line has a rate")
	}
}

func TestRule3TimingsAreMilliseconds(t *testing.T) {
	t.Parallel()
	decimal := regexp.MustCompile(`^[0-9]+(\.[0-9]{1,6})?(:[0-9]+(\.[0-9]{1,6})?)*$`)
	everyLine(t, func(dialect Dialect, line string, p parsedLine) {
		if p.Type == "d" || p.Type == "h" || p.Type == "s" {
			t.Errorf("%s: type of %s", dialect, line)
		}
		if p.Type == "ms" && !decimal.MatchString(p.Raw) {
			t.Errorf("%s: value of %s", dialect, line)
		}
	})
}

func TestRule4NoPackingAndNoExtensions(t *testing.T) {
	t.Parallel()
	packed := 0
	everyLine(t, func(dialect Dialect, line string, p parsedLine) {
		if len(p.Packed) > 1 {
			packed++
			if dialect != DogStatsD11 {
				t.Errorf("%s packs: %s", dialect, line)
			}
		}
		for _, extension := range []string{"|c:", "|T", "|e:", "|card:"} {
			if strings.Contains(line, extension) {
				t.Errorf("%s: %s", dialect, line)
			}
		}
	})
	if packed == 0 {
		t.Error("nothing is packed in the dialect that is for it")
	}
}

func TestRule5NegativeGaugesGoThroughZeroInOnePacket(t *testing.T) {
	t.Parallel()
	for _, dialect := range dialects() {
		server := listen(t, "127.0.0.1", 0)
		x := newExporter(t, Options{
			Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: server.port()}, Dialect: dialect, Now: since(), MaxPayload: 130,
		})
		s := oneLine()
		for i := range 8 {
			s.InFlight = append(s.InFlight, stats.InFlight{Service: fmt.Sprint("s", i), N: -5})
		}
		if err := x.export(s); err != nil {
			t.Error(err)
		}
		server.lines(t, 17)
		for _, packet := range server.packets {
			gauge := 0
			for line := range strings.SplitSeq(packet, "\n") {
				p, err := strictParse(line, dialect)
				if err != nil {
					t.Error(err)
				}
				if p.Type != "g" {
					continue
				}
				if gauge++; p.Raw != []string{"-5", "0"}[gauge%2] {
					t.Errorf("%s: gauges of a packet: %q", dialect, packet)
				}
			}
			if gauge%2 != 0 {
				t.Errorf("%s: a pair is in two packets: %q", dialect, packet)
			}
		}
	}
}

func TestRule6NamesAreSafe(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z0-9_]+)*$`)
	everyLine(t, func(dialect Dialect, line string, p parsedLine) {
		if !name.MatchString(p.Name) || len(p.Name) > 200 {
			t.Errorf("%s: name %q", dialect, p.Name)
		}
	})
}

func TestRule7TagValuesAreSafe(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é x", 100)
	for _, dialect := range dialects()[1:] {
		e := newEncoder(t, EncoderOptions{Dialect: dialect, Host: "h"})
		s := hostile()
		p := parseAll(t, e.AppendCounts(nil, s), dialect)[0] // checks what is never in a value
		want := map[Dialect]string{
			DogStatsD: "/a.b/{id}:x_y_z_1__2__@0.1_", DogStatsD11: "/a.b/{id}:x_y_z_1__2__@0.1_",
			Graphite: "-a.b-_id__x_y_z_1__2___0.1_",
		}[dialect]
		if want == "" {
			want = "/a.b/{id}_x_y_z_1__2__@0.1_"
		}
		if p.Tags["route"] != want {
			t.Errorf("%s: route %q, want %q", dialect, p.Tags["route"], want)
		}
		s.Route = long
		p = parseAll(t, e.AppendCounts(nil, s), dialect)[0]
		if got := p.Tags["route"]; len("route:")+len(got) > 200 || !strings.HasPrefix(got, "__x") {
			t.Errorf("%s: long route became %q", dialect, got)
		}
	}
}

func TestRule8PlainFoldsFieldsInAFixedOrder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opt  EncoderOptions
		want string
	}{
		"all":       {EncoderOptions{}, "probe.10_0_0_1.shop.http.server.users_id.GET.200.requests"},
		"some":      {EncoderOptions{Fields: []Field{FieldService, FieldStatus}}, "probe.shop.http.server.200.requests"},
		"none":      {EncoderOptions{Fields: []Field{}}, "probe.http.server.requests"},
		"constants": {EncoderOptions{Tags: []Tag{{"env", "pr.od"}, {"zone", "a b"}}}, "probe.pr_od.a_b.10_0_0_1.shop.http.server.users_id.GET.200.requests"},
		"template":  {EncoderOptions{Template: "stats.{service}.{method}_{status}.{scope}.{metric}"}, "stats.shop.GET_200.http.server.requests"},
		"metric in the middle": {
			EncoderOptions{Template: "{prefix}.x_{metric}_y.{route}.{env}", Tags: []Tag{{"env", "prod"}}}, "probe.x_requests_y.users_id.prod",
		},
		"begins with a digit": {EncoderOptions{Template: "{host}.{metric}"}, "x10_0_0_1.requests"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.opt.Host = "10.0.0.1"
			e := newEncoder(t, tt.opt)
			if p := parseAll(t, e.AppendCounts(nil, oneSeries(1)), Plain)[0]; p.Name != tt.want {
				t.Errorf("name %q, want %q", p.Name, tt.want)
			}
		})
	}
}

// Receivers keep the last value of a gauge: a service that has gone is sent as
// 0 once more (stats.Recorder does it), and 0 is not left out.
func TestRule9GaugesEndAtZero(t *testing.T) {
	t.Parallel()
	r := stats.New(stats.Options{})
	e := newEncoder(t, EncoderOptions{Host: "h"})
	r.SetInFlight("shop", events.RoleServer, 3)
	var got []string
	for range 3 {
		for _, g := range r.Flush().InFlight {
			got = append(got, string(e.AppendInFlight(nil, &g)))
		}
	}
	const name = "probe.h.shop.http.server.in_flight"
	if diff := cmp.Diff([]string{name + ":3|g\n", name + ":0|g\n"}, got); diff != "" {
		t.Error(diff)
	}
}

// Sets are not understood everywhere; nothing the program sends is one.
func TestRule10NoSets(t *testing.T) {
	t.Parallel()
	for _, m := range Metrics() {
		if m.Type != Counter && m.Type != Gauge && m.Type != Timer {
			t.Errorf("%s is of type %s", m.Name, m.Type)
		}
	}
}

func TestRule11NewlinesEndLinesOnStreamsOnly(t *testing.T) {
	t.Parallel()
	server := listen(t, "127.0.0.1", 0)
	x := newExporter(t, Options{Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: server.port()}, Now: since()})
	if err := x.export(many()); err != nil {
		t.Error(err)
	}
	server.lines(t, 300)
	for _, packet := range server.packets {
		if strings.HasSuffix(packet, "\n") || strings.Contains(packet, "\n\n") {
			t.Errorf("packet %q", packet)
		}
	}
	// On streams every line has one; TestStreamDelivers would find another.
}

// Timings are raw, with the exact rate of the sample; nothing averages
// percentiles.
func TestRule12TimingsAreRawWithTheirRate(t *testing.T) {
	t.Parallel()
	r := stats.New(stats.Options{})
	for i := range 1000 {
		r.Record(&events.Request{Role: events.RoleServer, Duration: time.Duration(i+1) * time.Millisecond})
	}
	e := newEncoder(t, EncoderOptions{})
	series := r.Flush().Series[0]
	n := 0.0
	for _, p := range parseAll(t, e.AppendTimings(nil, &series), Plain) {
		if p.Value != float64(int(p.Value)) || p.Value < 1 || p.Value > 1000 {
			t.Errorf("%v ms was never measured", p.Value)
		}
		n += 1 / p.Rate
	}
	if n < 984 || n > 1016 { // one of 16 is kept
		t.Errorf("timings of %v requests, recorded 1000", n)
	}
}
