// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"probe/pkg/stats"
)

// numbered is a Snapshot of lines that carry their numbers, from first on.
func numbered(first, n int) *stats.Snapshot {
	s := new(stats.Snapshot)
	for i := range n {
		s.Self = append(s.Self, stats.SelfValue{Name: "n", Delta: uint64(first + i)})
	}
	return s
}

// checkNumbers checks that the numbers 1 to n all arrived, in order but for
// lines sent twice, of which it returns the number.
func checkNumbers(t *testing.T, lines []string, n int) (twice int) {
	t.Helper()
	next := 1
	for _, line := range lines {
		var number int
		if _, err := fmt.Sscanf(line, "probe.self.n:%d|c", &number); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		switch {
		case number == next:
			next++
		case number > next:
			t.Fatalf("%d came after %d: lost or out of order", number, next-1)
		default:
			// Sent again: what follows must be in order from here.
			twice += next - number
			next = number + 1
		}
	}
	if next != n+1 {
		t.Errorf("the last one is %d, want %d", next-1, n)
	}
	return twice
}

func streamOptions(target Target) Options {
	return Options{Target: target, Now: since(), MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond}
}

func closeNow(t *testing.T, x *Exporter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := x.Close(ctx); err != nil {
		t.Error(err)
	}
}

func streamSchemes() []Scheme { return []Scheme{TCP, Unix, UnixDD} }

func TestStreamDelivers(t *testing.T) {
	t.Parallel()
	for _, scheme := range streamSchemes() {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, scheme)
			x, err := New(streamOptions(p.target))
			if err != nil {
				t.Fatal(err)
			}
			const n = 20_000
			for first := 1; first <= n; first += 1000 {
				if err := x.Export(context.Background(), numbered(first, 1000)); err != nil {
					t.Error(err)
				}
			}
			closeNow(t, x)
			c := x.Counters()
			if c.LinesSent != n || c.BytesSent == 0 || c.PacketsSent == 0 {
				t.Errorf("counters = %+v", c)
			}
			st := x.Status()
			if st.QueueBytes != 0 || st.QueueLines != 0 || st.LastSuccess == 0 || st.Connected {
				t.Errorf("status = %+v", st)
			}
			p.finish()
			if twice := checkNumbers(t, p.got(), n); twice > 0 {
				t.Errorf("%d lines twice", twice)
			}
		})
	}
}

// A receiver that reads all it is sent and closes in order loses nothing and
// gets nothing twice, however often it comes back.
func TestStreamSurvivesRestarts(t *testing.T) {
	t.Parallel()
	for _, scheme := range streamSchemes() {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, scheme)
			x, err := New(streamOptions(p.target))
			if err != nil {
				t.Fatal(err)
			}
			var sending sync.WaitGroup
			const n = 20_000
			sending.Go(func() {
				for first := 1; first <= n; first += 100 {
					err := x.Export(context.Background(), numbered(first, 100))
					if err != nil && !errors.Is(err, errDown) {
						t.Error(err)
					}
					time.Sleep(time.Millisecond)
				}
			})
			rnd := rand.New(rand.NewPCG(1, 2))
			for range 6 {
				time.Sleep(time.Duration(5+rnd.IntN(30)) * time.Millisecond)
				p.stop()
				time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
				p.start()
			}
			sending.Wait()
			closeNow(t, x)
			p.finish()
			twice := checkNumbers(t, p.got(), n)
			c := x.Counters()
			if c.LinesSent != n || c.Reconnects == 0 {
				t.Errorf("counters = %+v", c)
			}
			t.Logf("%d lines twice, %d replayed, %d connections", twice, c.LinesReplayed, c.Reconnects)
		})
	}
}

// Lines wait for a receiver that is not there yet.
func TestStreamWaitsForTheReceiver(t *testing.T) {
	t.Parallel()
	p := newPeer(t, Unix)
	p.stop()
	x, err := New(streamOptions(p.target))
	if err != nil {
		t.Fatal(err)
	}
	var said []error
	for first := 1; first <= 100; first += 10 {
		if err := x.Export(context.Background(), numbered(first, 10)); err != nil {
			said = append(said, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if len(said) != 1 || !errors.Is(said[0], errDown) {
		t.Errorf("Export said %v, want once that the receiver is down", said)
	}
	if st := x.Status(); st.Connected || st.QueueLines != 100 || st.QueueBytes == 0 || !strings.Contains(st.Err, "connect") {
		t.Errorf("status = %+v", st)
	}
	p.start()
	closeNow(t, x)
	p.finish()
	checkNumbers(t, p.got(), 100)
}

// A receiver that accepts and does not read is told of long before the queue is
// full; one that reads again is not.
func TestStreamStalled(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			conns := make(chan net.Conn, 1)
			target, _ := badListener(t, network, func(c net.Conn) { conns <- c })
			var now atomic.Int64
			opt := streamOptions(target)
			opt.Now = func() time.Duration { return time.Duration(now.Load()) }
			x, err := New(opt)
			if err != nil {
				t.Fatal(err)
			}
			export := func(lines int) error {
				now.Add(int64(10 * time.Second))
				return x.Export(context.Background(), numbered(1, lines))
			}
			lines := map[string]int{"unix": 1, "tcp": 30_000}[network] // more than fits into its socket
			must(t, export(lines))
			peer := <-conns
			waitFor(t, "stop", func() bool {
				before := x.Status()
				time.Sleep(300 * time.Millisecond) // more than ackedFirst
				return before.QueueBytes > 0 && x.Status() == before
			})
			for i, want := range []bool{false, false, true, false, false, false, false, false, true} {
				if err := export(1); errors.Is(err, errStalled) != want {
					t.Errorf("%d s after the first line: %v, want told: %v", 10*(i+1), err, want)
				}
			}
			go func() { _, _ = io.Copy(io.Discard, peer) }()
			waitFor(t, "delivery", func() bool { return x.Status().QueueLines == 0 })
			for range 7 {
				must(t, export(0))
			}
			closeNow(t, x)
		})
	}
}

func TestStreamQueueIsBoundedOldestFirst(t *testing.T) {
	t.Parallel()
	p := newPeer(t, Unix)
	p.stop()
	opt := streamOptions(p.target)
	opt.QueueBytes = MinQueueBytes
	x, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	const n = 30_000 // 20 bytes each
	for first := 1; first <= n; first += 1000 {
		err := x.Export(context.Background(), numbered(first, 1000))
		if err != nil && !errors.Is(err, errDown) && !errors.Is(err, errFull) {
			t.Error(err)
		}
	}
	st, c := x.Status(), x.Counters()
	if st.QueueBytes > MinQueueBytes || c.DroppedFull == 0 || int(c.DroppedFull)+st.QueueLines != n {
		t.Errorf("status = %+v, counters = %+v", st, c)
	}
	p.start()
	closeNow(t, x)
	p.finish()
	lines := p.got()
	if len(lines) != st.QueueLines || lines[len(lines)-1] != fmt.Sprintf("probe.self.n:%d|c", n) {
		t.Errorf("%d lines arrived, %d waited; the last is %q", len(lines), st.QueueLines, lines[len(lines)-1])
	}
}

func TestStreamQueueForgetsWhatIsTooOld(t *testing.T) {
	t.Parallel()
	p := newPeer(t, Unix)
	p.stop()
	clock := &lockedClock{}
	opt := streamOptions(p.target)
	opt.Now, opt.QueueAge = clock.now, time.Minute
	x, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	export := func(first, n int) {
		if err := x.Export(context.Background(), numbered(first, n)); err != nil && !errors.Is(err, errDown) && !errors.Is(err, errFull) {
			t.Error(err)
		}
	}
	export(1, 2000)
	clock.advance(61 * time.Second)
	export(2001, 10)
	if c, st := x.Counters(), x.Status(); c.DroppedAge != 2000 || st.QueueLines != 10 {
		t.Errorf("counters = %+v, status = %+v", c, st)
	}
	p.start()
	closeNow(t, x)
	p.finish()
	if lines := p.got(); len(lines) != 10 || lines[0] != "probe.self.n:2001|c" {
		t.Errorf("arrived: %q", lines)
	}
}

// lockedClock may be used by several goroutines.
type lockedClock struct {
	mu sync.Mutex
	t  time.Duration
}

func (c *lockedClock) now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *lockedClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t += d
}

// A peer that accepts and never reads, and one that resets each connection:
// the queue stays bounded, every line is in the books, Close comes back.
func TestStreamWithBadPeers(t *testing.T) {
	t.Parallel()
	behaviours := map[string]func(net.Conn){
		"never reads": func(net.Conn) {},
		"resets": func(c net.Conn) {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		},
	}
	for _, network := range []string{"tcp", "unix"} {
		for name, behave := range behaviours {
			t.Run(network+" "+name, func(t *testing.T) {
				t.Parallel()
				target, l := badListener(t, network, behave)
				opt := streamOptions(target)
				opt.QueueBytes, opt.Timeout = MinQueueBytes, 20*time.Millisecond
				x, err := New(opt)
				if err != nil {
					t.Fatal(err)
				}
				rendered := 0
				for i := 0; i < 40; i++ {
					// The first packets may be in flight for long; ask only for
					// what must hold at any time.
					err := x.Export(context.Background(), numbered(rendered+1, 5000))
					rendered += 5000
					if err != nil && !errors.Is(err, errDown) && !errors.Is(err, errFull) {
						t.Error(err)
					}
					if st := x.Status(); st.QueueBytes > MinQueueBytes {
						t.Errorf("queue of %d bytes", st.QueueBytes)
					}
				}
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				defer cancel()
				if err := x.Close(ctx); err == nil {
					t.Error("Close said nothing about the lines it dropped")
				}
				c, st := x.Counters(), x.Status()
				if sum := c.LinesSent + c.DroppedFull + c.DroppedClosed; int(sum) != rendered || st.QueueLines != 0 {
					t.Errorf("%d lines in the books, rendered %d: %+v %+v", sum, rendered, c, st)
				}
				if c.DroppedFull == 0 {
					t.Errorf("nothing dropped: %+v", c)
				}
				_ = l.Close()
			})
		}
	}
}

// The end of a connection is noticed while nothing is sent.
func TestStreamNoticesTheEndAtOnce(t *testing.T) {
	t.Parallel()
	for _, scheme := range streamSchemes() {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, scheme)
			x, err := New(streamOptions(p.target))
			if err != nil {
				t.Fatal(err)
			}
			defer closeNow(t, x)
			if err := x.Export(context.Background(), numbered(1, 1)); err != nil {
				t.Error(err)
			}
			waitFor(t, "a connection", func() bool { return x.Status().Connected })
			waitFor(t, "the line", func() bool { return len(p.got()) == 1 })
			p.stop()
			waitFor(t, "the end", func() bool { st := x.Status(); return !st.Connected && st.Reconnects == 1 })
			p.start()
			waitFor(t, "a new connection", func() bool { return x.Status().Connected })
		})
	}
}

// An Export that waits for room goes on when the receiver goes away.
func TestStreamWaitEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var conns []net.Conn
	target, l := badListener(t, "unix", func(c net.Conn) { // reads nothing
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, c)
	})
	opt := streamOptions(target)
	opt.QueueBytes, opt.Timeout = MinQueueBytes, time.Minute
	x, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- x.export(numbered(1, 30_000)) }()
	waitFor(t, "full queue", func() bool { return x.Status().QueueBytes > MinQueueBytes-entryBytes })
	_ = l.Close()
	mu.Lock()
	for _, c := range conns {
		_ = c.Close()
	}
	mu.Unlock()
	select {
	case err := <-done:
		if !errors.Is(err, errFull) {
			t.Errorf("error = %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Export still waits")
	}
	if err := closeSoon(x); err == nil {
		t.Error("Close said nothing about the lines it dropped")
	}
}
