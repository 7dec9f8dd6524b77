// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"probe/pkg/export"
)

const (
	peerQueue = 1 << 20
	// watchTime is how long the exporter is watched with a bad peer and nothing
	// new to send.
	watchTime = 2 * time.Second
)

// badPeers are one that accepts and never reads, and one that resets.
func badPeers(s settings, r *report) error {
	dir, err := os.MkdirTemp("", "reliability")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, network := range []string{"tcp", "unix"} {
		for _, resets := range []bool{false, true} {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(dir, fmt.Sprint(resets))
			}
			one, err := withPeer(s, network, address, resets)
			if err != nil {
				return err
			}
			r.add(one)
		}
	}
	return nil
}

func withPeer(s settings, network, address string, resets bool) (row, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return row{}, err
	}
	defer l.Close()
	go serveBadly(l, resets)
	target := export.Target{Scheme: export.Unix, Path: address}
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		target = export.Target{Scheme: export.TCP, Host: "127.0.0.1", Port: a.AddrPort().Port()}
	}
	x, err := newExporterSink(export.Options{Target: target, QueueBytes: peerQueue, Timeout: 10 * time.Millisecond})
	if err != nil {
		return row{}, err
	}
	most := 0
	for first := 1; first <= s.lines; first += batch {
		if err := x.send(first, min(batch, s.lines-first+1)); err != nil {
			return row{}, err
		}
		most = max(most, x.Status().QueueBytes)
	}
	cpu := cpuTime()
	time.Sleep(watchTime)
	cpu = cpuTime() - cpu
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_ = x.Close(ctx) // it says how many were not delivered; so do the books
	c := x.Counters()
	one := row{
		name: "peer never reads, " + network, lines: s.lines, counters: c, connections: c.Reconnects, most: most,
		limit: peerQueue, books: true, idle: cpu / (watchTime / time.Second),
	}
	if resets {
		one.name = "peer resets each connection, " + network
	}
	return one, nil
}

func serveBadly(l net.Listener, resets bool) {
	var open []net.Conn // kept from the garbage collector, which would close them
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		if !resets {
			open = append(open, conn)
			continue
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	for _, conn := range open {
		_ = conn.Close()
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
