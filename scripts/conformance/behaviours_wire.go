// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// Behaviours in which it matters how the request's bytes are cut into writes.

const (
	byteDelay         = 5 * time.Millisecond
	continueBodyBytes = 100_000
	// continuePatience is how long the client waits for a 100 before it sends
	// the body anyway (RFC 9110, 10.1.1).
	continuePatience = 300 * time.Millisecond
	earlyBodyBytes   = 5_000_000
	earlyFirstBytes  = 64 << 10 // what of it is sent before the answer
)

func bytewise(delay time.Duration) func(*run) error {
	return func(r *run) error {
		c, err := r.dial()
		if err != nil {
			return err
		}
		defer c.Close()
		q := r.get("/hello")
		for _, b := range q.bytes() {
			if _, err := c.Write([]byte{b}); err != nil {
				return fmt.Errorf("send one byte: %w", err)
			}
			time.Sleep(delay)
		}
		x, err := c.receive(q)
		if err != nil {
			return err
		}
		r.record(x)
		return r.expectStatus(200)
	}
}

// pipelined sends two requests without waiting for the first answer, a few times
// over, since what the server reads at once is a matter of luck.
func pipelined(first string, oneWrite bool, delay time.Duration) func(*run) error {
	return func(r *run) error {
		for range 3 {
			if err := r.pair(first, oneWrite, delay); err != nil {
				return err
			}
		}
		return r.expectStatus(404)
	}
}

func (r *run) pair(first string, oneWrite bool, delay time.Duration) error {
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	pair := []request{r.get(first), r.get("/status/404")}
	writes := [][]byte{pair[0].bytes(), pair[1].bytes()}
	if oneWrite {
		writes = [][]byte{bytes.Join(writes, nil)}
	}
	for i, w := range writes {
		if i > 0 {
			time.Sleep(delay)
		}
		if _, err := c.Write(w); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	for _, q := range pair {
		x, err := c.receive(q)
		if err != nil {
			return err
		}
		r.record(x)
	}
	return nil
}

func chunkedRequest(r *run) error {
	q := r.request("POST", "/post")
	q.chunked = true
	q.body = bytes.Repeat([]byte("c"), 20_000)
	if err := r.alone(q); err != nil {
		return err
	}
	return r.expectStatus(200)
}

// lookalike sends a body whose every write begins like a request.
func lookalike(chunked bool) func(*run) error {
	return func(r *run) error {
		q := r.request("POST", "/post")
		fake := "GET /fake?c=" + r.behaviour + "-99 HTTP/1.1\r\nHost: conformance.test\r\n\r\n"
		writes := []string{"", fake, fake, fake}
		if chunked {
			// A chunk begins with its size, in a write of its own.
			size := fmt.Sprintf("%x\r\n", len(fake))
			writes = []string{"", size, fake, "\r\n" + size, fake, "\r\n0\r\n\r\n"}
			q.headers = []string{"Transfer-Encoding: chunked"}
		} else {
			q.headers = []string{fmt.Sprintf("Content-Length: %d", 3*len(fake))}
		}
		writes[0] = string(q.head())
		c, err := r.dial()
		if err != nil {
			return err
		}
		defer c.Close()
		size := int64(0)
		for _, w := range writes {
			if _, err := c.Write([]byte(w)); err != nil {
				return fmt.Errorf("send piece: %w", err)
			}
			size += int64(len(w))
			time.Sleep(10 * time.Millisecond) // so that each is read on its own
		}
		x, err := c.receive(q)
		if err != nil {
			return err
		}
		x.requestBytes, x.requestMin = size, size
		r.record(x)
		return r.expectStatus(200)
	}
}

// upgrade leaves HTTP; what follows on the connection is nobody's request.
func upgrade(r *run) error {
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	q := r.get("/upgrade")
	q.headers = []string{"Connection: Upgrade", "Upgrade: echo"}
	if err := c.send(q); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	resp, err := c.in.next(q.method, nil)
	if err != nil {
		return fmt.Errorf("read 101: %w", err)
	}
	fake := "GET /fake?c=upgrade-99 HTTP/1.1\r\n\r\n"
	for range 2 {
		if _, err := c.Write([]byte(fake)); err != nil {
			return fmt.Errorf("send after 101: %w", err)
		}
		if _, err := c.in.skip(int64(len(fake))); err != nil {
			return fmt.Errorf("read the echo: %w", err)
		}
	}
	x := c.exchangeOf(q, resp)
	x.outcome = outcomeUpgraded
	// Whether the later bytes count is the probe's choice.
	x.requestBytes += int64(2 * len(fake))
	x.responseMax += int64(2 * len(fake))
	r.record(x)
	return r.expectStatus(101)
}

// expectContinue waits for the 100 before it sends the body, and sends it
// anyway when none comes, as clients do.
func expectContinue(r *run) error {
	q := r.request("POST", "/post")
	q.headers = []string{"Expect: 100-continue"}
	q.body = bytes.Repeat([]byte("e"), continueBodyBytes)
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(q.head()); err != nil {
		return fmt.Errorf("send head: %w", err)
	}
	permitted := make(chan struct{}, 8)
	sent := make(chan error, 1)
	go func() {
		select {
		case <-permitted:
		case <-time.After(continuePatience):
		}
		_, err := c.Write(q.payload())
		sent <- err
	}()
	x, err := c.receiveWith(q, func(int) { permitted <- struct{}{} })
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	r.record(x)
	return r.expectStatus(200)
}

// earlyAnswer sends the beginning of a large body, waits for the answer, and
// only then goes on sending until the server has had enough.
func earlyAnswer(r *run) error {
	q := r.request("POST", "/early")
	q.body = bytes.Repeat([]byte("b"), earlyBodyBytes)
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	all := q.bytes()
	first := len(q.head()) + earlyFirstBytes
	if _, err := c.Write(all[:first]); err != nil {
		return fmt.Errorf("send first part: %w", err)
	}
	resp, err := c.in.next(q.method, nil)
	x := c.exchangeOf(q, resp)
	if err != nil {
		return fmt.Errorf("no early answer: %w", err)
	}
	x.outcome = outcomeOf(x.status)
	x.requestMin = 1
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, _ = c.Write(all[first:]) // fails when the server closes: that is its choice
	r.record(x)
	return nil
}
