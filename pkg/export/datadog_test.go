// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
	"probe/pkg/stats"
)

// Datadog's own client says what a line of its dialects looks like.

// lineBuffer collects the payloads of a client.
type lineBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lineBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all.Write(p)
	if !bytes.HasSuffix(p, []byte{'\n'}) {
		b.all.WriteByte('\n')
	}
	return len(p), nil
}

func (b *lineBuffer) Close() error { return nil }

func (b *lineBuffer) lines(t *testing.T, dialect Dialect) []parsedLine {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	return parseAll(t, b.all.Bytes(), dialect)
}

// theirs returns a client of Datadog that sends one line per call.
func theirs(t *testing.T, to *lineBuffer, options ...statsd.Option) *statsd.Client {
	t.Helper()
	c, err := statsd.NewWithWriter(to, append([]statsd.Option{
		statsd.WithoutTelemetry(), statsd.WithoutOriginDetection(), statsd.WithWorkersCount(1), statsd.WithNamespace("shop."),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDatadogClientSendsTheSameLines(t *testing.T) {
	var ours, their lineBuffer
	dd := theirs(t, &their, statsd.WithoutClientSideAggregation(), statsd.WithTags([]string{"env:prod"}))
	c := newClient(t, Options{Stdout: &ours, Prefix: "shop", Dialect: DogStatsD, Tags: []Tag{{"env", "prod"}}})
	tags := []string{"route:/users/{id}", "method:GET", "peer:10.0.0.1:80"}
	tagged := c.With(Tag{"route", "/users/{id}"}, Tag{"method", "GET"}, Tag{"peer", "10.0.0.1:80"})
	for _, n := range []int64{0, 1, 17, 1 << 60} {
		must(t, dd.Count("orders", n, tags, 1), tagged.Incr("orders", n))
	}
	for _, v := range []float64{0, 1, 21.5, 1e20, 0.000001234} {
		must(t, dd.Gauge("temp", v, nil, 1), c.Gauge("temp", v))
	}
	for _, d := range []time.Duration{0, 1, 1500 * time.Microsecond, time.Hour} {
		must(t, dd.Timing("db.query", d, tags, 1), tagged.Timing("db.query", d))
	}
	must(t, dd.Set("users", "ann-7", tags, 1), tagged.Inject("users", "ann-7", "s"))
	must(t, dd.Close(), c.Flush())
	got, want := strings.Split(ours.all.String(), "\n"), strings.Split(their.all.String(), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d lines, theirs are %d", len(got), len(want))
	}
	for i := range want {
		if !sameLine(got[i], want[i]) {
			t.Errorf("ours  %q\ntheirs %q", got[i], want[i])
		}
	}
}

// sameLine: equal but for zeros at the end of a timing.
func sameLine(a, b string) bool {
	if a == b {
		return true
	}
	trim := func(line string) string {
		name, rest, _ := strings.Cut(line, ":")
		value, rest, _ := strings.Cut(rest, "|")
		if strings.Contains(value, ".") {
			value = strings.TrimRight(strings.TrimRight(value, "0"), ".")
		}
		return name + ":" + value + "|" + rest
	}
	return trim(a) == trim(b)
}

// Packed timings: the same values under the same name and tags.
func TestDatadogClientPacksTheSameWay(t *testing.T) {
	var their lineBuffer
	dd := theirs(t, &their, statsd.WithExtendedClientSideAggregation(), statsd.WithMaxBytesPerPayload(DefaultMaxPayload))
	s := &stats.Series{
		Key:     stats.Key{Service: "s", Route: "/r", Method: "GET", Role: events.RoleServer, Status: 200},
		Samples: stats.Samples{Every: 1},
	}
	for i := range 500 {
		d := time.Duration(i*i) * time.Microsecond
		s.Samples.Duration = append(s.Samples.Duration, d)
		must(t, dd.Timing("http.server.duration", d, []string{"host:h", "service:s", "method:GET", "route:/r", "status:200"}, 1))
	}
	must(t, dd.Close())
	e := newEncoder(t, EncoderOptions{Prefix: "shop", Host: "h", Dialect: DogStatsD11})
	var ours lineBuffer
	if _, err := ours.Write(e.AppendTimings(nil, s)); err != nil {
		t.Fatal(err)
	}
	collect := func(b *lineBuffer) (values []float64, heads map[string]bool) {
		heads = map[string]bool{}
		for _, p := range b.lines(t, DogStatsD11) {
			heads[fmt.Sprint(p.Name, p.Type, p.Rate, p.Tags)] = true
			values = append(values, p.Packed...)
		}
		slices.Sort(values)
		return values, heads
	}
	values, heads := collect(&ours)
	theirValues, theirHeads := collect(&their)
	if diff := cmp.Diff(theirHeads, heads); diff != "" || len(heads) != 1 {
		t.Error(diff)
	}
	if diff := cmp.Diff(theirValues, values); diff != "" {
		t.Error(diff)
	}
}

// The variables of Datadog's clients lead to the same place with the same tags.
func TestDatadogClientReadsTheSameVariables(t *testing.T) {
	server := listen(t, "127.0.0.1", 0)
	env := map[string]string{
		"DD_AGENT_HOST": "127.0.0.1", "DD_DOGSTATSD_PORT": fmt.Sprint(server.port()),
		"DD_ENV": "prod", "DD_SERVICE": "agent", "DD_VERSION": "1.2", "DD_ENTITY_ID": "pod-7",
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	dd, err := statsd.New("", statsd.WithoutTelemetry(), statsd.WithoutClientSideAggregation(), statsd.WithoutOriginDetection())
	if err != nil {
		t.Fatal(err)
	}
	must(t, dd.Count("probe.self.n", 1, nil, 1), dd.Close())
	ours, err := FromEnv(DogStatsD, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	x := newExporter(t, Options{
		Target: ours.Target, Now: since(), Dialect: DogStatsD, Fields: []Field{}, Tags: ours.Tags, SelfTags: ours.SelfTags,
	})
	must(t, x.export(numbered(1, 1)))
	var tags []map[string]string
	for _, line := range server.lines(t, 3) { // their packets end in '\n'
		if line == "" {
			continue
		}
		p, err := strictParse(line, DogStatsD)
		if err != nil || p.Name != "probe.self.n" {
			t.Errorf("line %q: %v", line, err)
		}
		tags = append(tags, maps.Clone(p.Tags))
	}
	if diff := cmp.Diff(tags[0], tags[1]); diff != "" || len(tags[0]) != 4 {
		t.Errorf("tags %v: %s", tags[0], diff)
	}
}
