// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sink is the statsd receiver of one run. It adds up the counters.
type sink struct {
	conn *net.UDPConn
	done chan error
	totals
}

// totals of the counters that arrived.
type totals struct {
	// server and client requests for benchPath.
	server, client uint64
	// self counters by name.
	self map[string]uint64
}

const sinkBuffer = 16 << 20 // room for the burst of one flush while all CPUs are busy

func newSink() (*sink, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("open statsd receiver: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		err2 := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), syscall.SOL_SOCKET, unix.SO_RCVBUFFORCE, sinkBuffer)
		})
		err = errors.Join(err, err2)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open statsd receiver: set its buffer: %w", err)
	}
	s := &sink{conn: conn, done: make(chan error, 1), totals: totals{self: map[string]uint64{}}}
	go s.receive()
	return s, nil
}

func (s *sink) target() string { return "udp://" + s.conn.LocalAddr().String() }

func (s *sink) receive() {
	buf := make([]byte, 1<<16)
	for {
		n, err := s.conn.Read(buf)
		if os.IsTimeout(err) {
			s.done <- nil
			return
		}
		if err != nil {
			s.done <- fmt.Errorf("receive statsd lines: %w", err)
			return
		}
		for line := range bytes.Lines(buf[:n]) {
			s.add(line)
		}
	}
}

// finish returns the totals of all that arrived, the sender having ended.
func (s *sink) finish() (totals, error) {
	defer s.conn.Close()
	// On the loopback what was sent is here: only reading it is left.
	if err := s.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return totals{}, fmt.Errorf("stop statsd receiver: %w", err)
	}
	err := <-s.done
	return s.totals, err
}

var routeTag = []byte("route:" + benchPath)

// add takes a line of the dogstatsd dialect; timings and gauges are skipped.
func (t *totals) add(line []byte) {
	head, rest, ok := bytes.Cut(line, []byte("|c"))
	if !ok {
		return
	}
	nameBytes, number, ok := bytes.Cut(head, []byte{':'})
	if !ok {
		return
	}
	value, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return
	}
	name := string(nameBytes)
	if self, ok := strings.CutPrefix(name, "probe.self."); ok {
		t.self[self] += value
		return
	}
	if !bytes.Contains(rest, routeTag) {
		return
	}
	switch name {
	case "probe.http.server.requests":
		t.server += value
	case "probe.http.client.requests":
		t.client += value
	}
}

// lost returns the self counters that say that something was seen and is gone.
func (t *totals) lost() map[string]uint64 {
	lost := map[string]uint64{}
	for name, n := range t.self {
		if n > 0 && isLoss(name) {
			lost[name] = n
		}
	}
	return lost
}

// isLoss: bytes of others that turn out not to be HTTP are no loss.
func isLoss(name string) bool {
	if strings.Contains(name, "not_http") {
		return false
	}
	for _, part := range []string{".dropped.", "records.lost", "undecodable", "lines_dropped", "line_too_long"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
