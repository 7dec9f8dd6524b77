// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"time"
)

// Behaviours in which one end goes away.

// clientLeaves closes the connection after the head and at least n body bytes.
func clientLeaves(path string, n int64) func(*run) error {
	return func(r *run) error {
		c, err := r.dial()
		if err != nil {
			return err
		}
		x, err := r.readPart(c, path, n)
		c.Close()
		if err != nil {
			return err
		}
		x.responseMax = math.MaxInt64
		r.record(x)
		time.Sleep(time.Second) // the server notices at its next writes
		return nil
	}
}

// serverKilled ends the server with SIGKILL in the middle of a response.
func serverKilled(r *run) error {
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	x, err := r.readPart(c, "/stream", 2500)
	if err != nil {
		return err
	}
	r.inst.kill()
	more, err := c.in.rest(math.MaxInt64 / 2)
	if err == nil {
		return errors.New("the response does not end")
	}
	x.responseBytes += more
	x.responseMax = x.responseBytes
	x.unlogged = true
	if x.untilClose {
		x.outcome = "" // a kill looks like the regular end of such a body
	}
	r.record(x)
	return nil
}

// readPart sends a request and reads the head and n bytes of the response.
func (r *run) readPart(c *conn, path string, n int64) (exchange, error) {
	q := r.get(path)
	if err := c.send(q); err != nil {
		return exchange{}, fmt.Errorf("send: %w", err)
	}
	head, err := c.in.head()
	if err != nil {
		return exchange{}, fmt.Errorf("read head: %w", err)
	}
	if _, err := c.in.rest(n); err != nil {
		return exchange{}, fmt.Errorf("read first part: %w", err)
	}
	x := c.exchangeOf(q, response{status: head.status, wire: c.in.taken})
	x.outcome = outcomeAborted
	x.untilClose = head.length < 0 && !head.chunked
	return x, nil
}

// resetBeforeAnswer resets the connection while the server still thinks: there
// is a request, and never a response.
func resetBeforeAnswer(r *run) error {
	c, err := r.dial()
	if err != nil {
		return err
	}
	q := r.get("/sleep/300")
	if err := c.send(q); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	time.Sleep(100 * time.Millisecond)
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok {
		return errors.New("not a TCP connection")
	}
	if err := tcp.SetLinger(0); err != nil {
		return fmt.Errorf("set linger: %w", err)
	}
	c.Close()
	x := c.exchangeOf(q, response{})
	x.outcome = outcomeUnanswered
	x.unlogged = true
	r.record(x)
	time.Sleep(500 * time.Millisecond)
	return nil
}
