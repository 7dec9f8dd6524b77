// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// exchange is what the client knows of one request and its response.
type exchange struct {
	tag            string // unique in a run; empty for targets without a query
	method, target string
	status         int
	outcome        string
	interim        []int
	// requestBytes is what the client sent; the server may have read as little
	// as requestMin when it answered without reading the body.
	requestBytes, requestMin int64
	// responseBytes is what the client received; the server may have handed
	// more to its kernel, up to responseMax, when the client went away.
	responseBytes, responseMax int64
	bodyBytes                  int64
	local                      string // our address: the server's remote address
	untilClose                 bool   // only the close ends the body
	unlogged                   bool   // the server had no chance to log it
}

const (
	outcomeOK         = "ok"
	outcomeError      = "error"
	outcomeAborted    = "aborted"
	outcomeUnanswered = "unanswered"
	outcomeUpgraded   = "upgraded"
)

func outcomeOf(status int) string {
	if status >= 500 {
		return outcomeError
	}
	return outcomeOK
}

// request is one request to be sent.
type request struct {
	method, target, tag string
	proto               string   // default HTTP/1.1
	host                string   // default conformance.test
	headers             []string // complete field lines
	body                []byte
	chunked             bool
}

// head returns the request's head, blank line included.
func (q request) head() []byte {
	proto := q.proto
	if proto == "" {
		proto = "HTTP/1.1"
	}
	host := q.host
	if host == "" {
		host = "conformance.test"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", q.method, q.target, proto, host)
	for _, h := range q.headers {
		b.WriteString(h + "\r\n")
	}
	switch {
	case q.chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	case q.body != nil:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(q.body))
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// payload returns the body as it goes over the wire: as it is, or in chunks of
// growing size.
func (q request) payload() []byte {
	if !q.chunked {
		return q.body
	}
	var b bytes.Buffer
	for rest, size := q.body, 100; len(rest) > 0; size *= 3 {
		n := min(size, len(rest))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	b.WriteString("0\r\n\r\n")
	return b.Bytes()
}

func (q request) bytes() []byte { return append(q.head(), q.payload()...) }

// conn is one client connection.
type conn struct {
	net.Conn
	in     *wireReader
	local  string
	closed bool
}

const ioTimeout = 15 * time.Second

func dial(network, address string) (*conn, error) {
	nc, err := net.DialTimeout(network, address, ioTimeout)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := nc.SetDeadline(time.Now().Add(4 * ioTimeout)); err != nil {
		return nil, fmt.Errorf("set deadline: %w", err)
	}
	c := &conn{Conn: nc, in: newWireReader(nc)}
	if network != "unix" {
		c.local = nc.LocalAddr().String()
	}
	return c, nil
}

// send writes the whole request at once.
func (c *conn) send(q request) error {
	_, err := c.Write(q.bytes())
	return err
}

// receive reads the response to q, which has been sent in full.
func (c *conn) receive(q request) (exchange, error) {
	return c.receiveWith(q, nil)
}

func (c *conn) receiveWith(q request, onInterim func(int)) (exchange, error) {
	resp, err := c.in.next(q.method, onInterim)
	x := c.exchangeOf(q, resp)
	if err != nil {
		return x, fmt.Errorf("%s %s: read response after %d bytes: %w", q.method, q.target, resp.wire, err)
	}
	x.outcome = outcomeOf(resp.status)
	if resp.close {
		err = c.expectEnd()
	}
	return x, err
}

func (c *conn) exchangeOf(q request, resp response) exchange {
	size := int64(len(q.head()) + len(q.payload()))
	return exchange{
		tag: q.tag, method: q.method, target: q.target,
		status: resp.status, interim: resp.interim,
		requestBytes: size, requestMin: size,
		responseBytes: resp.wire, responseMax: resp.wire, bodyBytes: resp.body,
		local: c.local,
	}
}

// expectEnd checks that nothing follows the last response, then closes.
// A server that lingers, waiting for us to close first, is fine.
func (c *conn) expectEnd() error {
	c.closed = true
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return err
	}
	err := c.in.atEnd()
	if errors.Is(err, errTrailingBytes) {
		return err
	}
	return nil // end of stream, reset or lingering: the response was complete
}

// do sends q and reads its response.
func (c *conn) do(q request) (exchange, error) {
	if err := c.send(q); err != nil {
		return exchange{}, fmt.Errorf("send %s %s: %w", q.method, q.target, err)
	}
	return c.receive(q)
}

// tagOf returns the value of the c parameter, "" if the target has none.
func tagOf(target string) string {
	_, query, _ := strings.Cut(target, "?")
	if tag, ok := strings.CutPrefix(query, "c="); ok {
		return tag
	}
	return ""
}
