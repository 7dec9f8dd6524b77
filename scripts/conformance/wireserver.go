// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"probe/scripts/process"
)

// wireServer answers foreign clients and counts the bytes of both messages: the
// oracle for the client role, as the raw client is for the server role.
type wireServer struct {
	listeners []net.Listener
	port      int

	mu   sync.Mutex
	seen []exchange
}

func newWireServer() (*wireServer, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	s := &wireServer{port: port}
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			s.close()
			return nil, fmt.Errorf("listen: %w", err)
		}
		s.listeners = append(s.listeners, l)
		go s.accept(l)
	}
	return s, nil
}

func (s *wireServer) close() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// exchanges returns what was seen so far.
func (s *wireServer) exchanges() []exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]exchange(nil), s.seen...)
}

func (s *wireServer) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go s.serve(c)
	}
}

func (s *wireServer) serve(c net.Conn) {
	defer c.Close()
	in := newWireReader(c)
	for {
		begin := in.taken
		q, err := in.request()
		if err != nil {
			return // the client is done
		}
		out := &countingConn{Conn: c}
		if q.expects {
			io.WriteString(out, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		if err := in.requestBody(q); err != nil {
			return
		}
		x := exchange{tag: tagOf(q.target), method: q.method, target: q.target, requestBytes: in.taken - begin, local: c.RemoteAddr().String()}
		x.requestMin = x.requestBytes
		w := bufio.NewWriter(out)
		var again bool
		x.status, again = answerWire(w, q)
		if w.Flush() != nil {
			return
		}
		x.outcome = outcomeOf(x.status)
		x.responseBytes, x.responseMax = out.n, out.n
		s.mu.Lock()
		s.seen = append(s.seen, x)
		s.mu.Unlock()
		if !again {
			return
		}
	}
}

type countingConn struct {
	net.Conn
	n int64
}

func (c *countingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.n += int64(n)
	return n, err
}

// answerWire writes the response to q and reports its status and whether the
// connection stays open.
func answerWire(w *bufio.Writer, q wireRequest) (status int, again bool) {
	path, _, _ := strings.Cut(q.target, "?")
	text, again := "hello\n", !q.closes
	status = 200
	switch {
	case path == "/chunked", path == "/trailers", path == "/stream":
		answerChunks(w, path)
		return status, again
	case path == "/close":
		fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s", strings.Repeat("c", 5000))
		return status, false
	case path == "/hints":
		fmt.Fprintf(w, "HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n")
		w.Flush()
	case path == "/big":
		text = strings.Repeat("b", bigFileBytes)
	case strings.HasPrefix(path, "/status/"):
		status, _ = strconv.Atoi(path[len("/status/"):])
	}
	fmt.Fprintf(w, "HTTP/1.1 %d Test\r\n", status)
	if status == 204 || status == 304 {
		io.WriteString(w, "\r\n")
		return status, again
	}
	fmt.Fprintf(w, "Content-Length: %d\r\n\r\n", len(text))
	if q.method != "HEAD" {
		io.WriteString(w, text)
	}
	return status, again
}

func answerChunks(w *bufio.Writer, path string) {
	io.WriteString(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n")
	if path == "/trailers" {
		io.WriteString(w, "Trailer: X-Sum\r\n")
	}
	io.WriteString(w, "\r\n")
	n, size := 3, 7
	if path == "/stream" {
		n, size = 10, 1000
	}
	for i := range n {
		if path == "/stream" && i > 0 {
			w.Flush()
			time.Sleep(20 * time.Millisecond)
		}
		fmt.Fprintf(w, "%x\r\n%s\r\n", size, strings.Repeat("s", size))
	}
	io.WriteString(w, "0\r\n")
	if path == "/trailers" {
		io.WriteString(w, "X-Sum: abc\r\n")
	}
	io.WriteString(w, "\r\n")
}

// wireRequest is a request head.
type wireRequest struct {
	method, target           string
	length                   int64
	chunked, expects, closes bool
}

// request reads a request head.
func (w *wireReader) request() (wireRequest, error) {
	line, err := w.line()
	if err != nil {
		return wireRequest{}, err
	}
	var q wireRequest
	q.method, q.target = splitRequestLine(line)
	if q.target == "" {
		return q, errors.New("not a request line")
	}
	q.closes = strings.HasSuffix(line, "HTTP/1.0")
	for {
		line, err := w.line()
		if err != nil || line == "" {
			return q, err
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.ToLower(strings.TrimSpace(value))
		switch strings.ToLower(name) {
		case "content-length":
			if q.length, err = strconv.ParseInt(value, 10, 64); err != nil {
				return q, err
			}
		case "transfer-encoding":
			q.chunked = strings.HasSuffix(value, "chunked")
		case "expect":
			q.expects = value == "100-continue"
		case "connection":
			q.closes = strings.Contains(value, "close") || q.closes && !strings.Contains(value, "keep-alive")
		}
	}
}

func (w *wireReader) requestBody(q wireRequest) error {
	var err error
	if q.chunked {
		_, err = w.chunks()
	} else {
		_, err = w.skip(q.length)
	}
	return err
}
