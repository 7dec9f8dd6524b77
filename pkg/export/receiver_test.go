// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"probe/pkg/stats"
)

func TestMain(m *testing.M) {
	if first, isChild := os.LookupEnv(childEnv); isChild {
		exportForever(first)
	}
	goleak.VerifyTestMain(m)
}

// receiver is a statsd server that keeps the lines it gets.
type receiver struct {
	conn    *net.UDPConn
	done    chan struct{}
	mu      sync.Mutex
	packets []string
}

// listen starts a receiver; port 0 takes a free one.
func listen(t *testing.T, ip string, port uint16) *receiver {
	t.Helper()
	address := netip.AddrPortFrom(netip.MustParseAddr(ip), port)
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{conn: conn, done: make(chan struct{})}
	go r.read()
	t.Cleanup(r.stop)
	return r
}

func (r *receiver) read() {
	defer close(r.done)
	buf := make([]byte, 1<<16)
	for {
		n, err := r.conn.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.packets = append(r.packets, string(buf[:n]))
		r.mu.Unlock()
	}
}

func (r *receiver) port() uint16 { return r.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

func (r *receiver) stop() {
	// A second Close, by Cleanup, fails and means nothing.
	_ = r.conn.Close()
	<-r.done
}

// lines waits until so many lines have arrived and a moment longer, for those
// too many.
func (r *receiver) lines(t *testing.T, want int) []string {
	t.Helper()
	var all []string
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		all = all[:0]
		for _, p := range r.packets {
			if len(p) > DefaultMaxPayload {
				t.Errorf("packet of %d bytes", len(p))
			}
			all = append(all, strings.Split(p, "\n")...)
		}
		r.mu.Unlock()
		if len(all) >= want || time.Now().After(deadline) {
			break
		}
	}
	if len(all) != want {
		t.Errorf("%d lines arrived, want %d", len(all), want)
	}
	return all
}

// testClock is moved by the test.
type testClock struct{ now time.Duration }

func (c *testClock) Now() time.Duration { return c.now }

// fakeResolver answers with what the test set.
type fakeResolver struct {
	answer []string
	err    error
	calls  int
}

func (f *fakeResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	f.calls++
	var all []netip.Addr
	for _, a := range f.answer {
		all = append(all, netip.MustParseAddr(a))
	}
	return all, f.err
}

func newExporter(t *testing.T, opt Options) *Exporter {
	t.Helper()
	x, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return x
}

// oneLine is a Snapshot of a single line; many has several packets of them.
func oneLine() *stats.Snapshot {
	return &stats.Snapshot{Self: []stats.SelfValue{{Name: "x", Delta: 1}}}
}

func many() *stats.Snapshot {
	s := new(stats.Snapshot)
	for i := range 300 {
		s.Self = append(s.Self, stats.SelfValue{Name: fmt.Sprintf("x%d", i), Delta: 1})
	}
	return s
}

func checkBooks(t *testing.T, x *Exporter, rendered uint64) {
	t.Helper()
	c := x.Counters()
	if got := c.LinesSent + c.LinesDropped + c.LinesTooLong; got != rendered {
		t.Errorf("%d lines in the books, rendered %d: %+v", got, rendered, c)
	}
	if c.LinesRefused > c.LinesSent {
		t.Errorf("more lines refused than sent: %+v", c)
	}
}
