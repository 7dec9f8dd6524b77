// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Snapshots through the queue, the connection and the confirmation. The rest
// after each burst bounds it to 64 MB/s, some 500,000 lines per second.
func BenchmarkStream(b *testing.B) {
	for _, bench := range []struct {
		name  string
		spool bool
	}{{"tcp", false}, {"unix", false}, {"unix, spool", true}} {
		b.Run(bench.name, func(b *testing.B) {
			target, stop := drain(b, bench.name == "tcp")
			defer stop()
			opt := Options{Target: target, Dialect: DogStatsD, Host: "node-17", Now: since()}
			if bench.spool {
				opt.SpoolDir, opt.Wall, opt.SpoolBytes = b.TempDir(), time.Now, 16<<20
			}
			x, err := New(opt)
			if err != nil {
				b.Fatal(err)
			}
			s := benchSnapshot(10)
			cpu := cpuTime(b)
			b.ReportAllocs()
			for b.Loop() {
				must(b, x.export(s))
			}
			must(b, x.Close(context.Background()))
			n := float64(x.Counters().LinesSent)
			b.ReportMetric(n/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/n, "cpu-ns/line")
		})
	}
}

// drain accepts one connection and reads it to its end.
func drain(b *testing.B, tcp bool) (target Target, stop func()) {
	b.Helper()
	target = Target{Scheme: Unix, Path: filepath.Join(b.TempDir(), "s")}
	network, address := "unix", target.Path
	if tcp {
		network, address = "tcp", "127.0.0.1:0"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		b.Fatal(err)
	}
	if tcp {
		target = Target{Scheme: TCP, Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).AddrPort().Port()}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(io.Discard, conn)
	}()
	return target, func() { _ = l.Close(); <-done }
}
