// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
	"probe/pkg/stats"
)

// TestUDPDeliversTheTruth records a known load, exports it over a real socket
// and adds up what arrived.
func TestUDPDeliversTheTruth(t *testing.T) {
	t.Parallel()
	for _, dialect := range dialects() {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			const requests, routes = 20_000, 40
			r := stats.New(stats.Options{})
			var sumMs float64
			for i := range requests {
				q := &events.Request{
					Role: events.RoleServer, Method: []byte("POST"), Service: "shop", Route: fmt.Sprintf("/r/%d", i%routes),
					Status: 200, Duration: time.Duration(i+1) * time.Microsecond, RequestBytes: 10, ResponseBytes: 1000,
				}
				if i%10 == 0 {
					q.Status, q.Outcome = 503, events.OutcomeError
				}
				sumMs += float64(i+1) / 1000
				r.Record(q)
			}
			r.SetInFlight("shop", events.RoleServer, 3)
			server := listen(t, "127.0.0.1", 0)
			clock := &testClock{}
			x := newExporter(t, Options{
				Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: server.port()}, Dialect: dialect, Host: "h", Now: clock.Now,
				// The reader shares two processors with all other tests.
				BurstPackets: 8, BurstPause: 4 * time.Millisecond,
			})
			if err := x.Export(context.Background(), r.Flush()); err != nil {
				t.Fatal(err)
			}
			sent := x.Counters()
			if sent.LinesDropped+sent.LinesTooLong != 0 {
				t.Errorf("lines lost: %+v", sent)
			}
			sums := make(map[string]float64)
			for _, line := range server.lines(t, int(sent.LinesSent)) {
				p, err := strictParse(line, dialect)
				if err != nil {
					t.Fatalf("%v in %q", err, line)
				}
				if strings.Contains(p.Name, ".self.") {
					continue
				}
				for _, value := range p.values() {
					sums[metricOf(p.Name)] += value / p.Rate
					if p.Type == "ms" {
						sums["timings"] += 1 / p.Rate
					}
				}
			}
			want := map[string]float64{
				"requests": requests, "errors": requests / 10, "request_bytes": 10 * requests, "response_bytes": 1000 * requests,
				"in_flight": 3,
			}
			for name, n := range want {
				if sums[name] != n {
					t.Errorf("%s add up to %v, want %v", name, sums[name], n)
				}
			}
			// Sampled: 40 series of 500 requests, every 8th kept.
			if math.Abs(sums["timings"]/requests-1) > 0.02 || math.Abs(sums["duration"]/sumMs-1) > 0.05 {
				t.Errorf("timings: count %v of %d, sum %v of %v", sums["timings"], requests, sums["duration"], sumMs)
			}
		})
	}
}

func metricOf(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

func TestReceiverRestart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	clock := &testClock{}
	server := listen(t, "127.0.0.1", 0)
	port := server.port()
	x := newExporter(t, Options{Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: port}, Now: clock.Now})
	if err := x.Export(ctx, many()); err != nil {
		t.Fatal(err)
	}
	server.lines(t, 300)
	server.stop()

	clock.now += time.Second
	err := x.Export(ctx, many())
	if !errors.Is(err, errDown) {
		t.Errorf("export without a receiver: %v, want errDown", err)
	}
	down := x.Counters()
	if down.ErrorsRefused == 0 || down.LinesDropped == 0 || down.LinesRefused == 0 {
		t.Errorf("nothing counted: %+v", down)
	}
	checkBooks(t, x, 600)
	// In the back-off nothing is tried.
	if err := x.Export(ctx, many()); !errors.Is(err, errDown) {
		t.Errorf("export during back-off: %v", err)
	}
	if c := x.Counters(); c.PacketsSent != down.PacketsSent || c.LinesDropped != down.LinesDropped+300 {
		t.Errorf("packets went out during back-off: %+v", c)
	}
	checkBooks(t, x, 900)

	again := listen(t, "127.0.0.1", port)
	clock.now += 2 * DefaultMinBackoff
	if err := x.Export(ctx, many()); err != nil {
		t.Errorf("export to the restarted receiver: %v", err)
	}
	again.lines(t, 300)
	checkBooks(t, x, 1200)
}

// After a good Export the next failure waits the shortest time again.
func TestBackoffStartsAfresh(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	clock := &testClock{}
	server := listen(t, "127.0.0.1", 0)
	port := server.port()
	server.stop()
	x := newExporter(t, Options{Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: port}, Now: clock.Now})
	u := x.transport.(*udp)
	fail := func() time.Duration {
		t.Helper()
		clock.now += 2 * DefaultMaxBackoff
		if err := x.Export(ctx, many()); !errors.Is(err, errDown) {
			t.Fatalf("export without a receiver: %v", err)
		}
		return u.retryAt - clock.now
	}
	var longest time.Duration
	for range 12 {
		longest = fail()
	}
	if longest < DefaultMaxBackoff/2 {
		t.Errorf("the wait grew to %v only", longest)
	}
	again := listen(t, "127.0.0.1", port)
	clock.now += 2 * DefaultMaxBackoff
	if err := x.Export(ctx, many()); err != nil {
		t.Fatal(err)
	}
	again.stop()
	if got := fail(); got > DefaultMinBackoff*3/2+time.Millisecond {
		t.Errorf("the first wait after a good export is %v", got)
	}
}

// The end of the context must end a Write that waits for the send buffer; a
// loopback never fills it, so look at what makes it end.
func TestContextEndsTheSocketsTime(t *testing.T) {
	t.Parallel()
	server := listen(t, "127.0.0.1", 0)
	c := new(counters)
	u := newUDP(Options{Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: server.port()}, Now: (&testClock{}).Now}.withDefaults(), c)
	ctx, cancel := context.WithCancel(context.Background())
	if err := u.begin(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	var err error
	for start := time.Now(); err == nil && time.Since(start) < 2*time.Second; {
		err = u.send(ctx, []byte("a:1|c"), 1)
	}
	if !errors.Is(err, errDown) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error = %v, want the deadline as errDown", err)
	}
	u.end()
	if err := u.begin(context.Background()); err != nil {
		t.Errorf("begin after the deadline: %v", err)
	}
	if err := u.send(context.Background(), []byte("a:1|c"), 1); err != nil {
		t.Errorf("send after the deadline: %v", err)
	}
	u.end()
	if err := u.close(context.Background()); err != nil {
		t.Error(err)
	}
}

// A receiver that restarts between two exports costs the second nothing: the
// refusal belongs to an earlier packet.
func TestLateRefusalLosesNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := listen(t, "127.0.0.1", 0)
	port := server.port()
	server.stop()
	x := newExporter(t, Options{Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: port}, Now: (&testClock{}).Now})
	if err := x.Export(ctx, oneLine()); err != nil {
		t.Fatal(err) // a single packet leaves without an answer
	}
	again := listen(t, "127.0.0.1", port)
	if err := x.Export(ctx, many()); err != nil {
		t.Error(err)
	}
	again.lines(t, 300)
	c := x.Counters()
	if c.ErrorsRefused != 1 || c.LinesRefused != 1 || c.LinesDropped != 0 {
		t.Errorf("counters = %+v", c)
	}
}

// Where all of an interval fits into one packet, each is sent by an Export of its
// own, which is told about the one before: that nobody receives them must come out.
func TestSinglePacketsToNobody(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := listen(t, "127.0.0.1", 0)
	port := server.port()
	server.stop()
	clock := &testClock{}
	x := newExporter(t, Options{Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: port}, Now: clock.Now})
	failed := 0
	for range 3 {
		if err := x.Export(ctx, oneLine()); errors.Is(err, errDown) {
			failed++
		}
	}
	if c := x.Counters(); failed != 1 || x.Status().Connected || c.LinesRefused != 2 || c.LinesDropped != 1 {
		t.Errorf("%d of 3 failed, status %+v, counters %+v", failed, x.Status(), c)
	}
	again := listen(t, "127.0.0.1", port)
	clock.now += DefaultMaxBackoff
	for range 3 {
		if err := x.Export(ctx, oneLine()); err != nil {
			t.Error(err)
		}
	}
	again.lines(t, 3)
}

// Of two addresses one is the receiver's. It restarts between two intervals, and
// the other one is tried meanwhile: that is no reason to give up.
func TestSinglePacketsToTwoAddresses(t *testing.T) {
	t.Parallel()
	server := listen(t, "127.0.0.1", 0)
	port := server.port()
	x := newExporter(t, Options{
		Target: Target{Scheme: UDP, Host: "localhost", Port: port}, Now: (&testClock{}).Now,
		Resolver: &fakeResolver{answer: []string{"127.0.0.2", "127.0.0.1"}},
	})
	export := func(n int) {
		t.Helper()
		for range n {
			if err := x.Export(context.Background(), oneLine()); err != nil {
				t.Error(err)
			}
		}
	}
	export(3) // the first is refused by the other one
	server.lines(t, 2)
	server.stop()
	export(1)
	again := listen(t, "127.0.0.1", port)
	export(3) // the first is refused by the other one
	again.lines(t, 2)
	if c := x.Counters(); c.LinesRefused != 3 || c.LinesDropped != 0 {
		t.Errorf("counters = %+v", c)
	}
}

func TestBurstsArePaced(t *testing.T) {
	t.Parallel()
	server := listen(t, "127.0.0.1", 0)
	x := newExporter(t, Options{
		Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: server.port()}, Now: (&testClock{}).Now, BurstPackets: 2, BurstPause: 3 * time.Second,
	})
	// packets holds how many had been sent at each pause.
	var packets []uint64
	x.wait = func(_ context.Context, d time.Duration) {
		packets = append(packets, x.Counters().PacketsSent)
		if d != 3*time.Second {
			t.Errorf("pause of %v", d)
		}
	}
	if err := x.Export(context.Background(), many()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{2, 4}, packets); diff != "" || x.Counters().PacketsSent < 5 {
		t.Errorf("%d packets, pauses: %s", x.Counters().PacketsSent, diff)
	}
	server.lines(t, 300)
}

func TestPacketTooLargeForThePathIsDropped(t *testing.T) {
	t.Parallel()
	server := listen(t, "127.0.0.1", 0)
	u := newUDP(Options{Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: server.port()}, Now: (&testClock{}).Now}.withDefaults(), new(counters))
	if err := u.begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := u.send(context.Background(), make([]byte, 1<<16), 1); err == nil || errors.Is(err, errDown) {
		t.Errorf("error = %v, want one for this packet only", err)
	}
	if err := u.send(context.Background(), []byte("a:1|c"), 1); err != nil {
		t.Error(err)
	}
	u.end()
	if diff := cmp.Diff([]string{"a:1|c"}, server.lines(t, 1)); diff != "" {
		t.Error(diff)
	}
	if err := u.close(context.Background()); err != nil {
		t.Error(err)
	}
}
