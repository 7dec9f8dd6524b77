// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// hostileTimeout bounds every connection of a siege.
const hostileTimeout = 30 * time.Second

// serveRaw serves each connection by fn, which reads and writes what it likes,
// on several addresses: each has its own ports for clients.
func serveRaw(t *testing.T, fn func(net.Conn)) (addresses []string) {
	t.Helper()
	var conns sync.WaitGroup
	t.Cleanup(conns.Wait)
	for range 4 {
		listener, err := net.Listen("tcp", loopback)
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, listener.Addr().String())
		conns.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return // closed
				}
				conns.Go(func() {
					defer conn.Close()
					conn.SetDeadline(time.Now().Add(hostileTimeout))
					fn(conn)
				})
			}
		})
		t.Cleanup(func() { listener.Close() })
	}
	return addresses
}

// attack runs fn n times with a connection each, as many at once as said, and
// returns once all have ended.
func attack(t *testing.T, n, atOnce int, addresses []string, fn func(i int, c *net.TCPConn)) {
	t.Helper()
	next := make(chan int)
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for i := range next {
				c, err := net.Dial("tcp", addresses[i%len(addresses)])
				if err != nil {
					t.Error(err)
					continue
				}
				c.SetDeadline(time.Now().Add(hostileTimeout))
				fn(i, c.(*net.TCPConn))
				c.Close()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// drain reads until the other side has closed.
func drain(c net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// write ignores a peer that has gone: that is what they do here.
func write(c net.Conn, text string) {
	_, _ = io.WriteString(c, text)
}

// readHead reads up to the end of a head and returns what it has read.
func readHead(c net.Conn) ([]byte, error) {
	var head []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		head = append(head, buf[:n]...)
		if len(head) >= 4 && string(head[len(head)-4:]) == "\r\n\r\n" {
			return head, nil
		}
		if err != nil {
			return head, err
		}
		if len(head) > 4<<20 {
			return head, errors.New("no end")
		}
	}
}
