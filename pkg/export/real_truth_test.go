// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"probe/pkg/events"
	"probe/pkg/stats"
)

// What was sent to a real receiver, and what it says it got, in one form.

// truth holds figures under names like http_server_requests{host=h,service=s}.
type truth struct {
	Counters, Gauges map[string]float64
	Timers           map[string]timerTruth
}

// timerTruth adds up timings, each with the weight of its rate, in ms. Max is
// the largest one.
type timerTruth struct{ Count, Sum, Max float64 }

func newTruth() truth {
	return truth{map[string]float64{}, map[string]float64{}, map[string]timerTruth{}}
}

func (t truth) timing(key string, ms, weight float64) {
	got := t.Timers[key]
	t.Timers[key] = timerTruth{got.Count + weight, got.Sum + ms*weight, max(got.Max, ms)}
}

// key is the common name of a metric; what a receiver may not keep apart
// ('.' and '_', the characters before a route) is made the same.
func key(metric string, tags map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, name+"="+strings.TrimLeft(tags[name], "/-"))
	}
	return strings.ReplaceAll(metric, ".", "_") + "{" + strings.Join(all, ",") + "}"
}

// plainKey reads the name of the plain dialect without its prefix.
func plainKey(name string) string {
	if strings.HasPrefix(name, "self.") {
		return key(name, nil)
	}
	part := strings.Split(name, ".")
	if len(part) < 5 {
		return "unexpected " + name
	}
	tags := map[string]string{"host": part[0], "service": part[1]}
	scope, rest := strings.Join(part[2:4], "."), part[4:]
	if len(rest) > 1 {
		tags["route"], tags["method"], tags["status"] = rest[0], rest[1], rest[2]
		rest = rest[3:]
	}
	return key(scope+"."+strings.Join(rest, "."), tags)
}

// realSnapshot has one of everything, and the truth about it as r can tell it.
// every is the rate of its sampled series.
func realSnapshot(r realReceiver, plain bool, every uint32) (*stats.Snapshot, truth) {
	s, want := new(stats.Snapshot), newTruth()
	timing := func(key string, d time.Duration, weight uint32) {
		if ms, counts := r.reads(float64(d) / 1e6); counts {
			want.timing(key, ms, float64(weight))
		}
	}
	host := map[string]string{"host": "vm"}
	selfTags := host
	if plain {
		selfTags = nil
	}
	s.Self = []stats.SelfValue{{Name: "records.lost", Delta: 12345678}, {Name: "unchanged"}}
	want.Counters[key("self.records.lost", selfTags)] = 12345678
	for i, n := range []int{7, 0, -5} {
		service := fmt.Sprint("shop", i)
		s.InFlight = append(s.InFlight, stats.InFlight{Service: service, Role: events.RoleServer, N: n})
		want.Gauges[key("http.server.in_flight", map[string]string{"host": "vm", "service": service})] = float64(n)
	}
	for i := range 3 {
		tags := map[string]string{"host": "vm", "service": fmt.Sprint("shop", i), "route": "/cart", "method": "GET", "status": fmt.Sprint(200 + i)}
		one := stats.Series{
			Key: stats.Key{Service: tags["service"], Route: "/cart", Method: "GET", Role: events.RoleServer, Status: uint16(200 + i)},
			Counters: stats.Counters{
				Requests: uint64(1 + i), Errors: uint64(i), RequestBytes: 1 << 20, ResponseBytes: 3_000_000_000,
			},
			Samples: stats.Samples{Every: 1},
		}
		if i == 2 {
			one.Samples.Every = every
		}
		counters := map[string]uint64{"requests": one.Requests, "errors": one.Errors, "request_bytes": one.RequestBytes, "response_bytes": one.ResponseBytes}
		for name, n := range counters {
			if n > 0 {
				want.Counters[key("http.server."+name, tags)] = float64(n)
			}
		}
		for j, d := range []time.Duration{time.Millisecond, 12_345_678, 1, 0, 30 * time.Second, 250 * time.Microsecond} {
			one.Samples.Duration = append(one.Samples.Duration, d)
			timing(key("http.server.duration", tags), d, one.Samples.Every)
			if j < 2 {
				one.Samples.WaitSocket = append(one.Samples.WaitSocket, d)
				timing(key("http.server.wait.socket", tags), d, one.Samples.Every)
			}
		}
		s.Series = append(s.Series, one)
	}
	return s, want
}

// realReceiver is a receiver that runs.
type realReceiver interface {
	// read returns what it has got under names that begin with prefix.
	read(t *testing.T, prefix string) truth
	// knows returns what the receiver can tell of a timer.
	knows(timerTruth) timerTruth
	// reads returns what it makes of a timing, in ms, and whether it counts it.
	reads(ms float64) (float64, bool)
	// precision is how far off its numbers may be: by a fraction or by a margin.
	precision() (fraction, margin float64)
}

// exact is a receiver that takes timings as they are.
type exact struct{}

func (exact) reads(ms float64) (float64, bool)      { return ms, true }
func (exact) knows(want timerTruth) timerTruth      { return want }
func (exact) precision() (fraction, margin float64) { return 1e-12, 1e-9 }

// realRun is one dialect over one transport.
type realRun struct {
	dialect Dialect
	target  Target
	// every is the rate of the sampled series, for receivers that weigh
	// timings.
	every uint32
}

// rounds are the Exports of a run.
const realRounds = 3

// checkReal exports to a receiver and compares what it got.
func checkReal(t *testing.T, r realReceiver, prefix string, run realRun) {
	t.Helper()
	s, once := realSnapshot(r, run.dialect == Plain, run.every)
	want := newTruth()
	maps.Copy(want.Gauges, once.Gauges)
	for name, n := range once.Counters {
		want.Counters[name] = realRounds * n
	}
	for name, timer := range once.Timers {
		want.Timers[name] = r.knows(timerTruth{realRounds * timer.Count, realRounds * timer.Sum, timer.Max})
	}
	x, err := New(Options{Target: run.target, Dialect: run.dialect, Prefix: prefix, Host: "vm", Now: since()})
	if err != nil {
		t.Fatal(err)
	}
	for range realRounds {
		must(t, x.export(s))
	}
	closeNow(t, x)
	var diff string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		diff = cmp.Diff(want, r.read(t, prefix), cmpopts.EquateApprox(r.precision()))
		if diff == "" {
			return
		}
	}
	t.Errorf("sent (-) and arrived (+):\n%s", diff)
}

// checkRuns runs each under a prefix of its own.
func checkRuns(t *testing.T, r realReceiver, runs []realRun) {
	t.Helper()
	for i, run := range runs {
		t.Run(fmt.Sprint(run.dialect, " ", run.target.Scheme), func(t *testing.T) {
			checkReal(t, r, fmt.Sprintf("p%d", i), run)
		})
	}
}

// untilReady waits for a receiver that was just started.
func untilReady(t *testing.T, what string, ready func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not start: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
