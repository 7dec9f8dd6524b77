// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
	"golang.org/x/sys/unix"
)

// udpSink counts the lines that arrive.
type udpSink struct {
	conn  *net.UDPConn
	lines atomic.Uint64
	done  chan struct{}
}

func newUDPSink(b *testing.B) *udpSink {
	b.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	if err := conn.SetReadBuffer(8 << 20); err != nil {
		b.Fatal(err)
	}
	s := &udpSink{conn: conn, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		buf := make([]byte, 1<<16)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			s.lines.Add(uint64(bytes.Count(buf[:n], []byte{'\n'})) + 1)
		}
	}()
	b.Cleanup(func() { _ = conn.Close(); <-s.done })
	return s
}

func (s *udpSink) target() Target {
	return Target{Scheme: UDP, Host: "127.0.0.1", Port: s.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()}
}

// cpuTime is what this process has used, in user and system mode.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// report waits for what is under way and tells what arrived. cpu is the time
// of the process at the start; the sink's share, about the same for all, is
// part of it.
func (s *udpSink) report(b *testing.B, sent int, cpu time.Duration) {
	b.Helper()
	used := cpuTime(b) - cpu
	for last, seen := uint64(1), uint64(0); last != seen; {
		last = seen
		time.Sleep(20 * time.Millisecond)
		seen = s.lines.Load()
	}
	arrived := float64(s.lines.Load())
	b.ReportMetric(100*arrived/float64(sent), "%arrived")
	b.ReportMetric(arrived/b.Elapsed().Seconds(), "arrived/s")
	b.ReportMetric(float64(used.Nanoseconds())/arrived, "cpu-ns/arrived")
}

// One timing with four tags to a receiver on this host, in packets of 1432
// bytes: our Client, our Exporter, and Datadog's client, which sends from a
// goroutine of its own.
func BenchmarkUDP(b *testing.B) {
	now := func() time.Duration { return 0 }
	b.Run("client", func(b *testing.B) {
		sink := newUDPSink(b)
		c := newClient(b, Options{Target: sink.target(), Dialect: DogStatsD, Now: now})
		c = c.With(Tag{"host", "node-17"}, Tag{"service", "checkout"}, Tag{"route", "/api/v1/users/{id}"}, Tag{"status", "200"})
		n, cpu := 0, cpuTime(b)
		b.ReportAllocs()
		for b.Loop() {
			_ = c.Timing("http.server.duration", time.Duration(1_234_567+n))
			n++
		}
		must(b, c.Flush())
		sink.report(b, n, cpu)
	})
	b.Run("exporter", func(b *testing.B) {
		sink := newUDPSink(b)
		x, err := New(Options{
			Target: sink.target(), Dialect: DogStatsD, Host: "node-17", Now: now, BurstPackets: -1,
			Fields: []Field{FieldHost, FieldService, FieldRoute, FieldStatus},
		})
		if err != nil {
			b.Fatal(err)
		}
		s := benchSnapshot(100)
		for i := range s.Series {
			s.Series[i].Requests, s.Series[i].RequestBytes, s.Series[i].ResponseBytes = 0, 0, 0
		}
		s.Self, s.InFlight = nil, nil
		cpu := cpuTime(b)
		b.ReportAllocs()
		for b.Loop() {
			must(b, x.export(s))
		}
		n := int(x.Counters().LinesSent)
		sink.report(b, n, cpu)
		must(b, x.Close(context.Background()))
	})
	b.Run("datadog-go", func(b *testing.B) {
		sink := newUDPSink(b)
		c, err := statsd.New(sink.target().address(), statsd.WithoutTelemetry(), statsd.WithoutClientSideAggregation(), statsd.WithoutOriginDetection())
		if err != nil {
			b.Fatal(err)
		}
		tags := []string{"host:node-17", "service:checkout", "route:/api/v1/users/{id}", "status:200"}
		n, cpu := 0, cpuTime(b)
		b.ReportAllocs()
		for b.Loop() {
			_ = c.Timing("http.server.duration", time.Duration(1_234_567+n), tags, 1)
			n++
		}
		must(b, c.Flush())
		sink.report(b, n, cpu)
		must(b, c.Close())
	})
}
