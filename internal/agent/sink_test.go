// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bufio"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink receives statsd lines on loopback, or on a Unix stream, and adds up
// counters.
type sink struct {
	conn *net.UDPConn
	path string // of the Unix stream
	done sync.WaitGroup

	mu   sync.Mutex
	sums map[string]int // name → sum of the values of its counter lines
	bad  []string       // lines that are none
	// flushes holds the requests of each flush.
	flushes []int
}

func newSink(t *testing.T) *sink {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	s := &sink{conn: conn, sums: map[string]int{}}
	s.done.Go(s.receive)
	t.Cleanup(func() {
		conn.Close()
		s.done.Wait()
		if len(s.bad) > 0 {
			t.Errorf("lines that are not statsd: %q", s.bad)
		}
	})
	return s
}

// newStreamSink loses no line, whatever their number.
func newStreamSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{path: filepath.Join(t.TempDir(), "statsd"), sums: map[string]int{}}
	listener, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			s.done.Go(func() { s.receiveStream(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.done.Wait()
		if len(s.bad) > 0 {
			t.Errorf("%d lines that are not statsd: %.500q", len(s.bad), s.bad)
		}
	})
	return s
}

func (s *sink) receiveStream(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		s.mu.Lock()
		s.add(lines.Text())
		s.mu.Unlock()
	}
}

func (s *sink) target() string {
	if s.path != "" {
		return "unix://" + s.path
	}
	return "udp://" + s.conn.LocalAddr().String()
}

func (s *sink) receive() {
	packet := make([]byte, 1<<16)
	for {
		n, err := s.conn.Read(packet)
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		for line := range strings.Lines(string(packet[:n])) {
			s.add(strings.TrimSuffix(line, "\n"))
		}
		s.mu.Unlock()
	}
}

// add takes a line of the DogStatsD dialect: name:value|type|#tags.
func (s *sink) add(line string) {
	name, rest, found := strings.Cut(line, ":")
	parts := strings.Split(rest, "|")
	if !found || len(parts) < 2 {
		s.bad = append(s.bad, line)
		return
	}
	if parts[1] != "c" {
		return
	}
	value, err := strconv.Atoi(parts[0])
	if err != nil {
		s.bad = append(s.bad, line)
		return
	}
	s.sums[name] += value
	if name == self+"stats.requests" { // once per flush
		s.flushes = append(s.flushes, value)
	}
	for _, part := range parts[2:] {
		if tags, isTags := strings.CutPrefix(part, "#"); isTags {
			for tag := range strings.SplitSeq(tags, ",") {
				s.sums[name+" "+tag] += value
			}
		}
	}
}

// values are those that a tag of a counter has had.
func (s *sink) values(name, tag string) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.sums {
		if value, found := strings.CutPrefix(key, name+" "+tag+":"); found {
			all = append(all, value)
		}
	}
	return all
}

// sum of the counter so far.
func (s *sink) sum(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sums[name]
}

// await waits until the counter has reached at least want, then a little more
// for what is too much, and returns it.
func (s *sink) await(name string, want int) int {
	for range 500 {
		if s.sum(name) >= want {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	return s.sum(name)
}

// takeFlushes returns the requests of each flush since the last call.
func (s *sink) takeFlushes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flushes
	s.flushes = nil
	return f
}
