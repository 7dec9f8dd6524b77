// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"
)

func TestNextAddressIsTried(t *testing.T) {
	t.Parallel()
	server := listen(t, "127.0.0.1", 0)
	resolver := &fakeResolver{answer: []string{"::1", "127.0.0.2", "127.0.0.3", "127.0.0.1"}}
	x := newExporter(t, Options{
		Target: Target{Scheme: UDP, Host: "localhost", Port: server.port()}, Now: (&testClock{}).Now, Resolver: resolver,
	})
	if err := x.Export(context.Background(), many()); err != nil {
		t.Fatal(err)
	}
	c := x.Counters()
	// One packet each was lost at the two addresses before.
	if c.ErrorsRefused != 2 || c.LinesRefused == 0 || resolver.calls != 1 {
		t.Errorf("counters = %+v, %d look-ups", c, resolver.calls)
	}
	server.lines(t, 300-int(c.LinesRefused))
	checkBooks(t, x, 300)
}

func TestUnresolvedName(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	clock := &testClock{}
	server := listen(t, "127.0.0.1", 0)
	resolver := &fakeResolver{err: errors.New("no such host")}
	x := newExporter(t, Options{
		Target: Target{Scheme: UDP, Host: "statsd.example", Port: server.port()}, Now: clock.Now, Resolver: resolver,
	})
	for range 3 {
		if err := x.Export(ctx, oneLine()); !errors.Is(err, errUnresolved) {
			t.Errorf("error = %v, want errUnresolved", err)
		}
	}
	if c := x.Counters(); c.ErrorsUnresolved != 1 || c.LinesDropped != 3 || resolver.calls != 1 {
		t.Errorf("%+v, %d look-ups: want one and then a back-off", c, resolver.calls)
	}
	resolver.err, resolver.answer = nil, []string{"127.0.0.1"}
	clock.now += DefaultMaxBackoff
	if err := x.Export(ctx, oneLine()); err != nil {
		t.Error(err)
	}
	server.lines(t, 1)
	checkBooks(t, x, 4)
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	t.Parallel()
	clock := &testClock{}
	resolver := &fakeResolver{err: errors.New("no such host")}
	x := newExporter(t, Options{Target: Target{Scheme: UDP, Host: "statsd.example", Port: 1}, Now: clock.Now, Resolver: resolver})
	var tries []time.Duration
	for ; clock.now < 10*time.Minute; clock.now += 10 * time.Millisecond {
		before := resolver.calls
		_ = x.Export(context.Background(), oneLine())
		if resolver.calls > before {
			tries = append(tries, clock.now)
		}
	}
	for i := 1; i < len(tries); i++ {
		wait := tries[i] - tries[i-1]
		if wait < DefaultMinBackoff/2 || wait > DefaultMaxBackoff*3/2+20*time.Millisecond {
			t.Errorf("try %d came after %v", i, wait)
		}
	}
	if n := len(tries); n < 80 || n > 250 {
		t.Errorf("%d tries in 10 minutes", n)
	}
}

func TestReceiverMoves(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	clock := &testClock{}
	before := listen(t, "127.0.0.1", 0)
	after := listen(t, "127.0.0.2", before.port())
	resolver := &fakeResolver{answer: []string{"127.0.0.1"}}
	x := newExporter(t, Options{
		Target: Target{Scheme: UDP, Host: "statsd.example", Port: before.port()}, Now: clock.Now, Resolver: resolver,
	})
	export := func() {
		t.Helper()
		if err := x.Export(ctx, oneLine()); err != nil {
			t.Error(err)
		}
	}
	export()
	resolver.answer = []string{"127.0.0.2"}
	export() // not looked up yet
	clock.now += DefaultResolveInterval
	export()
	export()
	// A failed look-up changes nothing while an address is in use.
	resolver.err = errors.New("timeout")
	clock.now += DefaultResolveInterval
	export()
	export()
	before.lines(t, 2)
	after.lines(t, 4)
	if c := x.Counters(); c.ErrorsUnresolved != 1 || resolver.calls != 3 {
		t.Errorf("%+v, %d look-ups", c, resolver.calls)
	}
}

// hangingResolver answers only when its time is over.
type hangingResolver struct{}

func (hangingResolver) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestExportIsBoundedInTime(t *testing.T) {
	t.Parallel()
	x := newExporter(t, Options{
		Target: Target{Scheme: UDP, Host: "statsd.example", Port: 1}, Now: (&testClock{}).Now,
		Resolver: hangingResolver{}, ResolveTimeout: 20 * time.Millisecond,
	})
	start := time.Now()
	if err := x.Export(context.Background(), oneLine()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want the deadline", err)
	}

	server := listen(t, "127.0.0.1", 0)
	slow := newExporter(t, Options{
		Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: server.port()}, Now: (&testClock{}).Now,
		BurstPackets: 1, BurstPause: time.Hour, Timeout: 20 * time.Millisecond,
	})
	if err := slow.Export(context.Background(), many()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want the deadline", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("both exports took %v", took)
	}
	if c := slow.Counters(); c.PacketsSent != 1 || c.LinesDropped == 0 {
		t.Errorf("counters = %+v", c)
	}
	checkBooks(t, slow, 300)
	// The time is over for that Export only.
	if err := slow.Export(context.Background(), oneLine()); err != nil {
		t.Errorf("the next export: %v", err)
	}
}
