// SPDX-License-Identifier: Apache-2.0

package export

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
	"probe/pkg/stats"
)

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	const valid = "{prefix}, {scope}, {metric}, {host}, {service}, {method}, {route}, {status}, {namespace}, {workload}, {container}, {pod}, {container_id}, {env}"
	for in, want := range map[string]string{
		"{metric}.{colour}": `"colour" is unknown; use some of: ` + valid,
		"{prefix}":          "{metric} must be in it once",
		"{metric}.{metric}": "{metric} must be in it once",
		"{metric}..{host}":  "empty segment",
		".{metric}":         "empty segment",
		"{metric}.":         "empty segment",
		"{metric":           "written {name}",
		"{}.{metric}":       "written {name}",
		"a b.{metric}":      "character ' '",
		"a/b.{metric}":      "character '/'",
		"metric}":           "character '}'",
	} {
		_, err := NewEncoder(EncoderOptions{Template: in, Tags: []Tag{{"env", "prod"}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error = %v, want one with %q", in, err, want)
		}
	}
}

// Segments with what a line does not have are left out.
func TestTemplateOfServiceAndSelfLines(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"":                                      "p.h.shop.http.server.in_flight p.self.x",
		"{prefix}.{host}.{metric}":              "p.h.in_flight p.x",
		"a.{route}_{service}.b.{metric}.{host}": "a.b.in_flight.h a.b.x",
		"{service}.{env}.{metric}.{scope}":      "shop.prod.in_flight.http.server prod.x.self",
	} {
		e := newEncoder(t, EncoderOptions{Prefix: "p", Host: "h", Template: template, Tags: map[bool][]Tag{true: {{"env", "prod"}}}[strings.Contains(template, "env")]})
		gauge := parseAll(t, e.AppendInFlight(nil, &stats.InFlight{Service: "shop", Role: events.RoleServer}), Plain)[0]
		self := parseAll(t, e.AppendSelf(nil, &stats.SelfValue{Name: "x", Delta: 1}), Plain)[0]
		if got := gauge.Name + " " + self.Name; got != want {
			t.Errorf("%s: %q, want %q", template, got, want)
		}
	}
}

func TestLongTemplatesStayInTheLimit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("abcdefghi/", 40)
	s := oneSeries(1)
	s.Service, s.Route, s.Method = long, long, long
	for _, template := range []string{
		"", "{prefix}.{metric}.{route}.{service}.{host}", "{route}_{service}_{host}_{method}.{metric}.{scope}.{env}",
	} {
		tags := map[bool][]Tag{true: {{"env", long}}}[strings.Contains(template, "env")]
		e := newEncoder(t, EncoderOptions{Prefix: long, Host: long, Template: template, Tags: tags})
		parseAll(t, e.AppendSeries(nil, s), Plain) // checks the length
		parseAll(t, e.AppendSelf(nil, &stats.SelfValue{Name: long, Delta: 1}), Plain)
	}
}

func TestFieldsAndTags(t *testing.T) {
	t.Parallel()
	fields, err := ParseFields("status, host")
	if diff := cmp.Diff([]Field{FieldHost, FieldStatus}, fields); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if fields, err := ParseFields("none"); fields == nil || len(fields) != 0 || err != nil {
		t.Errorf("none = %v, %v", fields, err)
	}
	if _, err := ParseFields("host,"); err == nil {
		t.Error("an empty field passes")
	}
	for in, want := range map[string]string{
		"env": "want key=value", "=x": "a key begins", "1a=x": "a key begins", "a b=x": "a key begins", "é=x": "a key begins", "a=": "no value",
	} {
		if _, err := ParseTag(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error = %v, want one with %q", in, err, want)
		}
	}
	tag, err := ParseTag("url:http://x=y")
	if diff := cmp.Diff(Tag{"url", "http://x=y"}, tag); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	many := make([]Tag, maxTags+1)
	for i := range many {
		many[i] = Tag{"k" + strings.Repeat("x", i), "v"}
	}
	for name, opt := range map[string]EncoderOptions{
		"shadowed":           {Dialect: Influx, Tags: []Tag{{"route", "x"}}},
		"shadowed in plain":  {Fields: []Field{FieldHost}, Tags: []Tag{{"route", "x"}}},
		"twice":              {Tags: []Tag{{"a", "x"}, {"a", "y"}}},
		"twice on self":      {Dialect: DogStatsD, SelfTags: []Tag{{"a", "x"}, {"a", "y"}}},
		"too many":           {Tags: many},
		"template and tags":  {Template: "{metric}", Fields: []Field{FieldHost}},
		"template elsewhere": {Dialect: Influx, Template: "{metric}"},
	} {
		if _, err := NewEncoder(opt); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	e := newEncoder(t, EncoderOptions{Dialect: Influx, Fields: []Field{}, Tags: []Tag{{"a", "x"}}, SelfTags: []Tag{{"a", "y"}, {"b", "z"}}})
	if got := string(e.AppendSelf(nil, &stats.SelfValue{Name: "n", Delta: 1})); got != "probe.self.n,a=x,b=z:1|c\n" {
		t.Errorf("self line %q", got)
	}
	if _, err := NewEncoder(EncoderOptions{Dialect: Influx, Fields: []Field{FieldHost}, Tags: []Tag{{"route", "x"}}}); err != nil {
		t.Errorf("a tag in place of a field that is not selected: %v", err)
	}
}

// One real line of each dialect, which are those in the table of the README.
func TestDialectLines(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for dialect, want := range map[Dialect]string{
		Plain:       "probe.prod.vm.shop.http.server.users_id.GET.200.duration:12.345678|ms|@0.5",
		DogStatsD:   "probe.http.server.duration:12.345678|ms|@0.5|#host:vm,service:shop,method:GET,route:/users/{id},status:200,env:prod",
		DogStatsD11: "probe.http.server.wait.socket:0.000001:2000|ms|@0.5|#host:vm,service:shop,method:GET,route:/users/{id},status:200,env:prod",
		Influx:      "probe.http.server.duration,host=vm,service=shop,method=GET,route=/users/{id},status=200,env=prod:12.345678|ms|@0.5",
		Graphite:    "probe.http.server.duration;host=vm;service=shop;method=GET;route=-users-_id_;status=200;env=prod:12.345678|ms|@0.5",
		SignalFx:    "probe.http.server.duration[host=vm,service=shop,method=GET,route=/users/{id},status=200,env=prod]:12.345678|ms|@0.5",
		Librato:     "probe.http.server.duration#host=vm,service=shop,method=GET,route=/users/{id},status=200,env=prod:12.345678|ms|@0.5",
	} {
		e := newEncoder(t, EncoderOptions{Dialect: dialect, Host: "vm", Tags: []Tag{{"env", "prod"}}})
		lines := strings.Split(string(e.AppendTimings(nil, oneSeries(2))), "\n")
		i := 0
		if dialect == DogStatsD11 {
			i = 3
		}
		if lines[i] != want {
			t.Errorf("%s: %q, want %q", dialect, lines[i], want)
		}
		if row := "| `" + string(dialect) + "` | `" + strings.ReplaceAll(want, "|", `\|`) + "` |"; !strings.Contains(string(readme), row) {
			t.Errorf("the README lacks %s", row)
		}
	}
}

// Gauges whose lines look the same are added up: a receiver keeps the last.
func TestGaugesOfOneNameAreAddedUp(t *testing.T) {
	t.Parallel()
	in := []stats.InFlight{
		{Service: "a", Role: events.RoleServer, N: 1}, {Service: "b", Role: events.RoleServer, N: 2},
		{Service: "a", Role: events.RoleClient, N: 4}, {Service: "a/", Role: events.RoleServer, N: 8},
	}
	for name, tt := range map[string]struct {
		opt  EncoderOptions
		want []int
	}{
		"all fields":            {EncoderOptions{Dialect: DogStatsD}, []int{1, 2, 4, 8}},
		"sanitized to the same": {EncoderOptions{}, []int{9, 2, 4}},
		"no service":            {EncoderOptions{Dialect: Influx, Fields: []Field{FieldHost}}, []int{11, 4}},
		"no role either":        {EncoderOptions{Template: "{metric}"}, []int{15}},
	} {
		e := newEncoder(t, tt.opt)
		for range 2 {
			var got []int
			for _, g := range e.MergeInFlight(in) {
				got = append(got, g.N)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

func TestPackedLinesFitIntoAPacket(t *testing.T) {
	t.Parallel()
	e := newEncoder(t, EncoderOptions{Dialect: DogStatsD11, MaxLine: 300})
	s := benchSnapshot(1).Series[0]
	n := 0
	lines := e.AppendTimings(nil, &s)
	for _, p := range parseAll(t, lines, DogStatsD11) {
		n += len(p.Packed)
	}
	longest := 0
	for line := range strings.Lines(string(lines)) {
		longest = max(longest, len(line))
	}
	all := len(s.Samples.Duration) + len(s.Samples.TTFB) + len(s.Samples.WaitAccept) + len(s.Samples.WaitSocket)
	if n != all || longest > 300 || longest < 270 {
		t.Errorf("%d values of %d, the longest line has %d bytes", n, all, longest)
	}
}

// A constant tag may have the key of a variable that every name has, and takes
// no metric's name away.
func TestTagsWithKeysOfVariables(t *testing.T) {
	t.Parallel()
	for _, key := range []string{varPrefix, varScope, varMetric} {
		e := newEncoder(t, EncoderOptions{Prefix: "p", Host: "h", Tags: []Tag{{key, "x"}}})
		for role, scope := range map[events.Role]string{events.RoleServer: "server", events.RoleClient: "client"} {
			got := string(e.AppendInFlight(nil, &stats.InFlight{Service: "shop", Role: role, N: 1}))
			if want := "p.x.h.shop.http." + scope + ".in_flight:1|g\n"; got != want {
				t.Errorf("%s: %q, want %q", key, got, want)
			}
		}
	}
}
