// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// header is a field of n bytes.
func header(n int) string { return "X-Long: " + strings.Repeat("x", n-len("X-Long: \r\n")) + "\r\n" }

// answerHeads answers each request of a connection with a head as long as its
// target says: /head/BYTES. Heads of 0 bytes leave it byte by byte.
func answerHeads(c net.Conn) {
	for {
		head, err := readHead(c)
		if err != nil {
			return
		}
		target, _, _ := bytes.Cut(head[len("GET "):], []byte(" "))
		var n int
		if _, err := fmt.Sscanf(string(target), "/head/%d", &n); err != nil {
			return
		}
		if n > 0 {
			write(c, "HTTP/1.1 200 OK\r\n"+header(n)+"Content-Length: 2\r\n\r\nok")
			continue
		}
		writeSlowly(c, "HTTP/1.1 200 OK\r\nServer: slow\r\nContent-Length: 2\r\n\r\nok")
	}
}

// writeSlowly makes a packet of every byte.
func writeSlowly(c net.Conn, text string) {
	for i := range len(text) {
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return
		}
	}
}

// readAnswer reads a head and the two bytes behind it.
func readAnswer(t *testing.T, c net.Conn) {
	t.Helper()
	var all []byte
	buf := make([]byte, 64<<10)
	for !bytes.HasSuffix(all, []byte("\r\n\r\nok")) {
		n, err := c.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			t.Errorf("answer after %d bytes: %v", len(all), err)
			return
		}
	}
}

// Heads of 64 KiB and 1 MiB both ways, and a thousand connections at once whose
// heads come byte by byte both ways. All of them are HTTP, so all are counted.
func TestSiegeHeads(t *testing.T) {
	s := besiege(t)
	addresses := serveRaw(t, answerHeads)
	const large, slow = 200, 1000
	attack(t, large, 16, addresses, func(i int, c *net.TCPConn) {
		n := 64 << 10
		if i%4 == 0 {
			n = 1 << 20
		}
		for range 2 {
			write(c, fmt.Sprintf("GET /head/%d HTTP/1.1\r\n%s\r\n", n, header(n)))
			readAnswer(t, c)
		}
	})
	attack(t, slow, slow, addresses, func(_ int, c *net.TCPConn) {
		for range 2 {
			writeSlowly(c, "GET /head/0 HTTP/1.1\r\nHost: slow.example\r\nAccept: */*\r\n\r\n")
			readAnswer(t, c)
		}
	})
	s.end()
	const want = 2 * (large + slow)
	if got := s.sink.sum(requests + " route:/head/{id}"); got != want {
		t.Errorf("%d requests with heads out of the ordinary, want %d", got, want)
	}
}
