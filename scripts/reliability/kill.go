// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"probe/pkg/export"
	"probe/scripts/process"
)

const (
	// An Export of batch lines each pause: about 20,000 lines per second, and
	// after each outage what waits as fast as it goes.
	batch      = 100
	batchPause = 4 * time.Millisecond
	// A receiver lives between minLife and maxLife after its first bytes.
	minLife, maxLife = 5 * time.Millisecond, 80 * time.Millisecond
	// maxAway is the longest it stays away.
	maxAway = 30 * time.Millisecond
	// closeTime bounds the delivery of what waits at the end.
	closeTime = time.Minute
	// lineBytes is the length of a line; a replay is 64 KiB of them, and what
	// was on its way beyond what the kernel had told is another 64 KiB.
	lineBytes = 95
	segment   = 64 << 10
)

// sink sends numbered lines.
type sink interface {
	send(first, n int) error
	close() error
}

// exporterSink is what probe uses.
type exporterSink struct{ *export.Exporter }

func newExporterSink(opt export.Options) (exporterSink, error) {
	opt.Now, opt.Wall = since(), time.Now
	opt.MinBackoff, opt.MaxBackoff = 5*time.Millisecond, 100*time.Millisecond
	x, err := export.New(opt)
	return exporterSink{x}, err
}

func (s exporterSink) send(first, n int) error {
	// What it says, the books say as well.
	_ = s.Export(context.Background(), numbered(first, n))
	return nil
}

func (s exporterSink) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return s.Close(ctx)
}

// naiveSink is what most clients do: write, and after an error connect again
// and write that buffer once more.
type naiveSink struct {
	network, address string
	conn             net.Conn
}

func (s *naiveSink) send(first, n int) error {
	var lines []byte
	for i := range n {
		lines = fmt.Appendf(lines, "probe.self.%s:%d|c\n", name, first+i)
	}
	for {
		if s.conn == nil {
			var err error
			if s.conn, err = net.Dial(s.network, s.address); err != nil {
				time.Sleep(batchPause)
				continue
			}
		}
		if _, err := s.conn.Write(lines); err == nil {
			return nil
		}
		_ = s.conn.Close()
		s.conn = nil
	}
}

func (s *naiveSink) close() error { return s.conn.Close() }

// killReceivers kills the receiver again and again while lines are sent.
func killReceivers(s settings, r *report) error {
	dir, err := os.MkdirTemp("", "reliability")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	tcp := export.Target{Scheme: export.TCP, Host: "127.0.0.1", Port: uint16(port)}
	unix := export.Target{Scheme: export.Unix, Path: filepath.Join(dir, "socket")}
	for _, target := range []export.Target{tcp, unix} {
		for _, speed := range []string{fast, slow} {
			one, err := exporterUnderKills(s, target, speed)
			if err != nil {
				return err
			}
			r.add(one)
		}
	}
	for _, naive := range []*naiveSink{
		{network: "tcp", address: fmt.Sprintf("%s:%d", tcp.Host, tcp.Port)}, {network: "unix", address: unix.Path},
	} {
		target := map[string]export.Target{"tcp": tcp, "unix": unix}[naive.network]
		got, kills, err := underKills(s, target, fast, naive)
		if err != nil {
			return err
		}
		r.add(row{
			name: "the same with a client that writes until an error, " + naive.network, kills: kills, mayLose: true,
			lines: s.lines, tally: count(got, s.lines),
		})
	}
	return nil
}

func exporterUnderKills(s settings, target export.Target, speed string) (row, error) {
	x, err := newExporterSink(export.Options{Target: target})
	if err != nil {
		return row{}, err
	}
	got, kills, err := underKills(s, target, speed, x)
	if err != nil {
		return row{}, err
	}
	c := x.Counters()
	one := row{
		name: "receiver killed, " + string(target.Scheme), kills: kills, lines: s.lines, must: true, tally: count(got, s.lines),
		allowTwice: int(c.Reconnects) * 2 * segment / lineBytes, connections: c.Reconnects, counters: c,
	}
	if speed == slow {
		one.name = "receiver that is behind killed, " + string(target.Scheme)
		// What a TCP peer has confirmed and not read may be more than a segment.
		one.mayLose, one.must = target.Scheme == export.TCP, target.Scheme != export.TCP
	}
	return one, nil
}

// underKills sends all lines while receivers die, and returns what each had
// read, and how many were killed.
func underKills(s settings, target export.Target, speed string, to sink) (got [][]byte, kills int, err error) {
	var sending sync.WaitGroup
	var sent atomic.Bool
	var sendErr error
	sending.Go(func() {
		defer sent.Store(true)
		for first := 1; first <= s.lines && sendErr == nil; first += batch {
			sendErr = to.send(first, min(batch, s.lines-first+1))
			time.Sleep(batchPause)
		}
	})
	rnd := rand.New(rand.NewPCG(uint64(s.lines), uint64(s.kills)))
	between := func(low, high time.Duration) time.Duration {
		return low + time.Duration(rnd.Int64N(int64(high-low)))
	}
	for kills < s.kills && !sent.Load() {
		c, err := startReceiver(target, speed)
		if err != nil {
			return nil, 0, err
		}
		for !c.busy() && !sent.Load() {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(between(minLife, maxLife))
		got = append(got, c.kill())
		kills++
		time.Sleep(between(0, maxAway))
	}
	c, err := startReceiver(target, speed)
	if err != nil {
		return nil, 0, err
	}
	sending.Wait()
	err = errors.Join(sendErr, to.close())
	return append(got, c.wait()), kills, err
}
