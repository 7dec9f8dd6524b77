// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// Behaviours that send whole requests one after the other.

const (
	keepAliveRequests  = 20
	perConnRequests    = 20
	concurrentConns    = 64
	concurrentRequests = 4 // on each connection
)

func openedBefore(r *run) error {
	for range 3 {
		if _, err := r.do(r.early, r.get("/hello")); err != nil {
			return err
		}
	}
	return r.expectStatus(200)
}

// mixed returns the i-th request of a sequence in which kinds alternate.
func (r *run) mixed(i int) request {
	switch i % 6 {
	case 1:
		return r.request("HEAD", "/hello")
	case 2:
		q := r.request("POST", "/post")
		q.body = bytes.Repeat([]byte("m"), 1000)
		return q
	case 3:
		return r.get("/status/404")
	case 4:
		return r.get("/status/204")
	case 5:
		return r.get("/chunked")
	}
	return r.get("/hello")
}

// keepAlive fails when the server closes the connection early, unless it said
// so: some close after certain answers. Then the sequence goes on with the next
// connection, but at least half of the requests must have shared one.
func keepAlive(r *run) error {
	dials := 0
	var c *conn
	for i := range keepAliveRequests {
		if c == nil || c.closed {
			var err error
			if c, err = r.dial(); err != nil {
				return err
			}
			defer c.Close()
			dials++
		}
		if _, err := r.do(c, r.mixed(i)); err != nil {
			return err
		}
	}
	if dials > keepAliveRequests/2 {
		return fmt.Errorf("%d connections for %d requests", dials, keepAliveRequests)
	}
	return nil
}

func perConnection(r *run) error {
	for i := range perConnRequests {
		q := r.mixed(i)
		q.headers = []string{"Connection: close"}
		if err := r.alone(q); err != nil {
			return err
		}
	}
	return nil
}

func http10(r *run) error {
	for _, path := range []string{"/hello", "/stream"} {
		q := r.get(path)
		q.proto = "HTTP/1.0"
		if err := r.alone(q); err != nil {
			return err
		}
	}
	return r.expectStatus(200)
}

func concurrent(r *run) error {
	errs := make(chan error, concurrentConns)
	var ready sync.WaitGroup
	ready.Add(concurrentConns)
	for range concurrentConns {
		go func() {
			c, err := r.dial()
			ready.Done()
			if err != nil {
				errs <- err
				return
			}
			ready.Wait() // all connections are open before the first request
			errs <- r.several(c, concurrentRequests)
		}()
	}
	var first error
	for range concurrentConns {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// several sends n requests, on c as long as the server keeps it open.
func (r *run) several(c *conn, n int) error {
	for i := range n {
		if c.closed {
			var err error
			if c, err = r.dial(); err != nil {
				return err
			}
		}
		if _, err := r.do(c, r.mixed(i)); err != nil {
			return err
		}
	}
	c.Close()
	return nil
}

// method sends two requests and expects the given status.
func method(name, path string, status int) func(*run) error {
	return func(r *run) error {
		for range 2 {
			if err := r.alone(r.request(name, path)); err != nil {
				return err
			}
			if err := r.expectStatus(status); err != nil {
				return err
			}
		}
		return nil
	}
}

// anyStatus sends one request with an odd method: whatever the server answers
// must be recorded, a close without a word included.
func anyStatus(name string) func(*run) error {
	return func(r *run) error {
		c, err := r.dial()
		if err != nil {
			return err
		}
		defer c.Close()
		q := r.request(name, "/hello")
		x, err := c.do(q)
		if errors.Is(err, io.ErrUnexpectedEOF) && x.responseBytes == 0 {
			x.outcome, x.unlogged, err = outcomeUnanswered, true, nil
		}
		r.record(x)
		return err
	}
}

func bigFile(r *run) error {
	if err := r.alone(r.get("/big")); err != nil {
		return err
	}
	if got := r.seen[0].bodyBytes; got != bigFileBytes {
		return fmt.Errorf("the file came with %d bytes", got)
	}
	return nil
}

func overIPv6(r *run) error {
	_, port, err := net.SplitHostPort(r.address)
	if err != nil {
		return err
	}
	r.address = net.JoinHostPort("::1", port)
	return r.alone(r.get("/hello"), r.request("HEAD", "/hello"), r.get("/chunked"))
}

func overUnix(r *run) error {
	post := r.request("POST", "/post")
	post.body = bytes.Repeat([]byte("u"), 1000)
	return r.alone(r.get("/hello"), r.request("HEAD", "/hello"), post, r.get("/chunked"), r.get("/status/404"))
}

func absoluteForm(r *run) error {
	q := r.get("/hello")
	q.host = r.address
	q.target = "http://" + q.host + q.target
	return r.alone(q)
}

// optionsStar has no tag: it is recognised by its connection.
func optionsStar(r *run) error {
	return r.alone(request{method: "OPTIONS", target: "*"})
}

func earlyHints(r *run) error {
	if err := method("GET", "/hints", 200)(r); err != nil {
		return err
	}
	if len(r.seen[0].interim) == 0 {
		return fmt.Errorf("no interim response came: %s", strings.TrimSpace(fmt.Sprint(r.seen[0])))
	}
	return nil
}
