// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
)

const (
	prefix   = "soak" // of the names of all lines
	requests = prefix + ".http.server.requests"
	self     = prefix + ".self."
	// ours begins every route of the load; what others on the host do is not kept apart.
	ours = "/soak-"
)

// receiver takes statsd lines of the DogStatsD dialect over TCP and adds up
// the counters. It can be away for a while.
type receiver struct {
	address string
	reading sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
	got      sums
}

// sums are what has arrived.
type sums struct {
	counters map[string]uint64 // by name
	// routes are requests by the first segment of the route, services those of
	// the services of the load.
	routes, services map[string]uint64
	lines, bad       uint64
	flushes          uint64 // intervals that said how many requests there were
	last             uint64 // what the last of them said
}

func newReceiver() (*receiver, error) {
	r := &receiver{
		conns: map[net.Conn]struct{}{},
		got:   sums{counters: map[string]uint64{}, routes: map[string]uint64{}, services: map[string]uint64{}},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open statsd receiver: %w", err)
	}
	r.address = l.Addr().String()
	r.serve(l)
	return r, nil
}

func (r *receiver) target() string { return "tcp://" + r.address }

func (r *receiver) serve(l net.Listener) {
	r.mu.Lock()
	r.listener = l
	r.mu.Unlock()
	r.reading.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			r.mu.Lock()
			r.conns[conn] = struct{}{}
			r.mu.Unlock()
			r.reading.Go(func() { r.read(conn) })
		}
	})
}

func (r *receiver) read(conn net.Conn) {
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		r.mu.Lock()
		r.got.add(lines.Text())
		r.mu.Unlock()
	}
	conn.Close()
	r.mu.Lock()
	delete(r.conns, conn)
	r.mu.Unlock()
}

// down lets the receiver go away; what it has not read is for it to miss.
func (r *receiver) down() {
	r.mu.Lock()
	r.listener.Close()
	for conn := range r.conns {
		conn.Close()
	}
	r.mu.Unlock()
	r.reading.Wait()
}

// up lets it come back at the same address.
func (r *receiver) up() error {
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		return fmt.Errorf("open statsd receiver again: %w", err)
	}
	r.serve(l)
	return nil
}

// sums returns a copy of what has arrived so far.
func (r *receiver) sums() sums {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.got
	s.counters, s.routes, s.services = maps.Clone(s.counters), maps.Clone(s.routes), maps.Clone(s.services)
	return s
}

// end waits for what the ended sender had sent.
func (r *receiver) end() sums {
	r.mu.Lock()
	r.listener.Close()
	r.mu.Unlock()
	r.reading.Wait()
	return r.sums()
}

// add takes one line: name:value|type|#tags.
func (s *sums) add(line string) {
	s.lines++
	name, value, tags, err := parseCounter(line)
	if err != nil {
		s.bad++
		return
	}
	if name == "" {
		return
	}
	s.counters[name] += value
	if name == self+"stats.requests" {
		s.flushes, s.last = s.flushes+1, value
	}
	if name != requests {
		return
	}
	if service := tags["service"]; strings.HasPrefix(service, "soak-") {
		s.services[service] += value
	}
	if route := tags["route"]; strings.HasPrefix(route, ours) {
		first, _, _ := strings.Cut(route[1:], "/")
		s.routes[first] += value
	}
}

var errNotStatsd = errors.New("not a line of statsd")

// parseCounter returns no name for a line that is no counter.
func parseCounter(line string) (name string, value uint64, tags map[string]string, err error) {
	name, rest, ok := strings.Cut(line, ":")
	fields := strings.Split(rest, "|")
	if !ok || name == "" || len(fields) < 2 {
		return "", 0, nil, errNotStatsd
	}
	if fields[1] != "c" {
		return "", 0, nil, nil
	}
	if value, err = strconv.ParseUint(fields[0], 10, 64); err != nil {
		return "", 0, nil, errNotStatsd
	}
	tags = map[string]string{}
	for _, field := range fields[2:] {
		if list, ok := strings.CutPrefix(field, "#"); ok {
			for tag := range strings.SplitSeq(list, ",") {
				key, text, _ := strings.Cut(tag, ":")
				tags[key] = text
			}
		}
	}
	return name, value, tags, nil
}
