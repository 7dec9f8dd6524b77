// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"probe/internal/agent"
	"probe/internal/testutil"
)

// Names in the DogStatsD dialect with the default prefix.
const (
	requests = "probe.http.server.requests"
	failures = "probe.http.server.errors"
	self     = "probe.self."
)

// The requests of many short intervals add up to what was sent.
func TestRunExportsEveryRequest(t *testing.T) {
	const n = 500
	c, s := startChild(t), newSink(t)
	r := start(t, agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, Interval: agent.MinInterval})
	for range 5 {
		c.request(n / 5)
		time.Sleep(agent.MinInterval)
	}
	if got := s.await(requests, n); got != n {
		t.Errorf("%d requests exported while running, want %d", got, n)
	}
	r.stop()
	for name, want := range map[string]int{
		requests: n, requests + " status:200": n - n/10, requests + " status:503": n / 10, requests + " method:GET": n,
		failures: n / 10, "probe.http.client.requests": 0, self + "kernel.requests_seen": n, self + "exchange.finished": n,
		self + "stats.requests": n, self + "records.undecodable": 0,
	} {
		if got := s.await(name, want); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func TestRunBothRoles(t *testing.T) {
	const n = 50
	c, s := startChild(t), newSink(t)
	r := start(t, agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, Role: "both"})
	c.request(n)
	r.stop()
	for _, name := range []string{requests, "probe.http.client.requests"} {
		if got := s.await(name, n); got != n {
			t.Errorf("%s: %d, want %d", name, got, n)
		}
	}
	if got := r.ended(); got != n {
		t.Errorf("totals say %d requests, want each once, %d", got, n)
	}
}

// The end of the program, not the end of an interval, sends the last figures.
func TestRunFlushesAtTheEnd(t *testing.T) {
	const n = 100
	c, s := startChild(t), newSink(t)
	r := start(t, agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}})
	c.request(n)
	if got := s.sum(requests); got != 0 {
		t.Errorf("%d requests exported before the first interval ended", got)
	}
	r.stop()
	if got := s.await(requests, n); got != n {
		t.Errorf("%d requests exported, want %d", got, n)
	}
}

func TestRunStopsByItself(t *testing.T) {
	c, s := startChild(t), newSink(t)
	r := start(t, agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, Duration: 3 * time.Second})
	c.request(10)
	r.wait()
	if got := s.await(requests, 10); got != 10 {
		t.Errorf("%d requests exported, want 10", got)
	}
}

// Nobody listens: the agent goes on, counts, and says so.
func TestRunWithoutReceiver(t *testing.T) {
	const n = 100
	nobody := newSink(t)
	target := nobody.target()
	nobody.conn.Close()
	c := startChild(t)
	r := start(t, agent.Options{Statsd: target, PIDs: []uint32{c.pid}, Interval: agent.MinInterval})
	for range 4 {
		c.request(n / 4)
		time.Sleep(2 * agent.MinInterval)
	}
	select {
	case err := <-r.result:
		t.Fatalf("agent ended: %v", err)
	default:
	}
	r.cancel()
	<-r.result // the last interval cannot be delivered, whatever it says about that
	if got := r.ended(); got != n {
		t.Errorf("totals say %d requests, want %d", got, n)
	}
}

// A ring that is too small loses requests, and the exported lines say how many.
func TestRunCountsWhatItLoses(t *testing.T) {
	const n = 4000
	c, s := startChild(t), newSink(t)
	r := start(t, agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, RingBytes: 4096, Role: "both"})
	c.request(n)
	r.stop()
	taken := s.await(self+"kernel.requests_seen", 2*n)
	if taken != 2*n {
		t.Errorf("the kernel side took %d requests, want %d", taken, 2*n)
	}
	lost := s.sum(self + "kernel.dropped.ring_full_requests")
	if lost == 0 {
		t.Error("nothing lost: the test overloads nothing")
	}
	told := s.sum(self+"exchange.started") + s.sum(self+"exchange.inside_body")
	if taken != told+lost {
		t.Errorf("%d requests taken, but %d told + %d lost", taken, told, lost)
	}
	if got, want := s.sum(requests)+s.sum("probe.http.client.requests"), s.sum(self+"stats.requests"); got != want {
		t.Errorf("%d requests in the series, %d recorded", got, want)
	}
	if _, listed := r.totals()["not_seen"]; !listed {
		t.Error("the log does not name the loss")
	}
}

func TestRunTraces(t *testing.T) {
	const n = 40
	c := startChild(t)
	var out lockedBuffer
	r := start(t, agent.Options{Trace: true, JSON: true, Stdout: &out, PIDs: []uint32{c.pid}})
	c.request(n)
	r.stop()
	lines := 0
	for line := range strings.Lines(out.String()) {
		var request struct {
			Target string `json:"target"`
			PID    uint32 `json:"pid"`
			Status int    `json:"status"`
		}
		if err := json.Unmarshal([]byte(line), &request); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if request.PID != c.pid || !strings.HasPrefix(request.Target, "/items/") || request.Status < 200 {
			t.Errorf("line %q", line)
		}
		lines++
	}
	if lines != n {
		t.Errorf("%d lines, want %d", lines, n)
	}
}

func TestRunStandardOutput(t *testing.T) {
	c := startChild(t)
	var out lockedBuffer
	r := start(t, agent.Options{Stdout: &out, PIDs: []uint32{c.pid}})
	c.request(1)
	r.stop()
	if !strings.Contains(out.String(), requests+":1|c") {
		t.Errorf("no %s:1|c in\n%s", requests, out.String())
	}
}

func TestRunLeaksNothing(t *testing.T) {
	testutil.CheckFDs(t)
	c := startChild(t)
	r := start(t, agent.Options{PIDs: []uint32{c.pid}})
	c.request(1)
	r.stop()
}

// plainOptions fills in what every agent needs.
func plainOptions(o agent.Options) agent.Options {
	o.Role, o.Interval, o.ShutdownTimeout = "server", time.Second, time.Second
	o.Log, o.Stdout = slog.New(slog.DiscardHandler), io.Discard
	return o
}

func TestRunRefuses(t *testing.T) {
	good := plainOptions(agent.Options{})
	if err := good.Validate(); err != nil {
		t.Fatalf("good options: %v", err)
	}
	for name, change := range map[string]func(o *agent.Options){
		"role":     func(o *agent.Options) { o.Role = "proxy" },
		"source":   func(o *agent.Options) { o.Source = "kprobe" },
		"interval": func(o *agent.Options) { o.Interval = agent.MinInterval - 1 },
		"duration": func(o *agent.Options) { o.Duration = -1 },
		"shutdown": func(o *agent.Options) { o.ShutdownTimeout = 0 },
		"listen":   func(o *agent.Options) { o.Listen = "9102" },
		"public":   func(o *agent.Options) { o.Listen = "0.0.0.0:9102" },
		"pprof":    func(o *agent.Options) { o.Pprof = true },
		"log":      func(o *agent.Options) { o.LogInterval = -1 },
		"slow":     func(o *agent.Options) { o.Slow = -1 },
		"target":   func(o *agent.Options) { o.Statsd = "carrier-pigeon://coop" },
		"dialect":  func(o *agent.Options) { o.Dialect = "klingon" },
		"ring":     func(o *agent.Options) { o.RingBytes = 4097 },
		"route":    func(o *agent.Options) { o.Routes = []string{"no slash"} },
	} {
		o := good
		change(&o)
		if err := agent.Run(t.Context(), o); !errors.Is(err, agent.ErrUsage) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want bad usage that names it", name, err)
		}
	}
}

// A ready file that cannot be written is an error, and nothing stays attached.
func TestRunWithoutReadyFile(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	testutil.CheckFDs(t)
	err := agent.Run(t.Context(), plainOptions(agent.Options{
		ReadyFile: filepath.Join(t.TempDir(), "no", "such", "directory"),
	}))
	var pathErr *fs.PathError
	if !errors.As(err, &pathErr) {
		t.Errorf("%v, want an error about the ready file", err)
	}
}
