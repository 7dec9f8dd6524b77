// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

const healthz = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

// isClosed: the other side has closed it, within a while.
func isClosed(t *testing.T, c net.Conn, within time.Duration) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, c)
	return err == nil || errors.Is(err, syscall.ECONNRESET)
}

func asked(t *testing.T, c net.Conn) {
	t.Helper()
	fmt.Fprint(c, healthz)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %d", response.StatusCode)
	}
}

// Whoever holds all connections, silent, slow or idle, keeps nobody out: the
// one without a request for longest goes.
func TestConnectionsAreBounded(t *testing.T) {
	s, address := served(t, &fakeSource{})
	used := dial(t, address)
	asked(t, used)
	var slow []net.Conn
	for i := range maxConns - 1 {
		c := dial(t, address)
		if i%2 == 0 {
			fmt.Fprint(c, "GET /healthz HT")
		}
		slow = append(slow, c)
	}
	asked(t, used) // now the youngest
	for range 2 * maxConns {
		asked(t, dial(t, address))
	}
	if got := s.Evicted(); got < 2*maxConns-1 || got > 2*maxConns {
		t.Errorf("%d connections evicted, want %d", got, 2*maxConns)
	}
	for i, c := range slow {
		if !isClosed(t, c, 5*time.Second) {
			t.Fatalf("slow connection %d is still there", i)
		}
	}
}

// A connection whose request is being answered is not closed for another.
func TestAnsweringConnectionsStay(t *testing.T) {
	f := &fakeSource{hold: make(chan struct{}), held: make(chan struct{}, maxRequests)}
	_, address := served(t, f)
	var working []net.Conn
	for range maxRequests - 1 {
		c := dial(t, address)
		fmt.Fprint(c, "GET /debug/state HTTP/1.1\r\nHost: localhost\r\n\r\n")
		<-f.held
		working = append(working, c)
	}
	for range 2 * maxConns {
		asked(t, dial(t, address))
	}
	close(f.hold)
	for i, c := range working {
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("request %d that was being answered: %v", i, err)
		}
		response.Body.Close()
	}
}

// A head that never ends is waited for as long as that is allowed.
func TestSlowHead(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a head may")
	}
	_, address := served(t, &fakeSource{})
	c := dial(t, address)
	began := time.Now()
	for {
		if _, err := io.WriteString(c, "G"); err != nil {
			break
		}
		if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if time.Since(began) > headTimeout+10*time.Second {
			t.Fatal("still open")
		}
	}
	if took := time.Since(began); took < headTimeout/2 {
		t.Errorf("closed after %v already", took)
	}
}

// Who goes: not one that is being answered; of the others the one that was
// accepted, or had its last request, before all others.
func TestOldestGoes(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var evicted int
	l := limitConns(inner, 4, func() { evicted++ })
	defer l.Close()
	accept := func() *placed {
		dial(t, inner.Addr().String())
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c.(*placed)
	}
	busy, used, first, second := accept(), accept(), accept(), accept()
	busy.set(true)
	used.set(true)
	used.set(false)
	for i, goes := range []*placed{first, second, used} {
		added := accept()
		if _, stays := l.conns[goes]; stays || evicted != i+1 || len(l.conns) != 4 {
			t.Errorf("connection %d: the oldest stays: %v; %d evicted, %d there", i, stays, evicted, len(l.conns))
		}
		if _, stays := l.conns[busy]; !stays {
			t.Error("one that is being answered was closed")
		}
		defer added.Close()
	}
	busy.Close()
}
