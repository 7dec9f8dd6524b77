// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/scripts/process"
)

// A connection that the server is slow to accept waits in its queue, also while
// that is full.
func TestAcceptWaitOfFullQueue(t *testing.T) {
	const backlog, clients, pace = 4, 8, 50 * time.Millisecond
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(l, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, backlog); err != nil {
		t.Fatal(err)
	}
	p := startProbe(t, "--port", strconv.Itoa(port))
	before := overflows(t)
	var (
		mu       sync.Mutex
		sent     = map[string]time.Time{}
		accepted = map[string]time.Time{}
		g        sync.WaitGroup
	)
	for i := range clients {
		g.Go(func() {
			target := fmt.Sprintf("/accept?n=%d", i)
			at, err := askOnce(port, target)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			sent[target] = at
			mu.Unlock()
		})
	}
	for range clients {
		time.Sleep(pace)
		target, at, err := acceptOnce(l)
		if err != nil {
			t.Fatal(err)
		}
		accepted[target] = at
	}
	g.Wait()
	if overflows(t) == before {
		t.Error("the queue was never full: the kernel counted no overflow")
	}
	longest := time.Duration(0)
	for target, l := range lines(t, p) {
		want := max(0, accepted[target].Sub(sent[target]))
		if off := (l.Wait.Accept - want).Abs(); off > 5*time.Millisecond {
			t.Errorf("%s: wait.accept %v, client and server say %v", target, l.Wait.Accept, want)
		}
		longest = max(longest, l.Wait.Accept)
		delete(accepted, target)
	}
	if len(accepted) > 0 {
		t.Errorf("not seen: %v", accepted)
	}
	if longest < (backlog-1)*pace {
		t.Errorf("the longest wait.accept is %v, with %d connections in the queue", longest, backlog)
	}
}

// askOnce sends a request on a connection of its own and returns when.
func askOnce(port int, target string) (time.Time, error) {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 10*time.Second)
	if err != nil {
		return time.Time{}, err
	}
	defer c.Close()
	at := time.Now()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target); err != nil {
		return at, err
	}
	_, err = c.Read(make([]byte, 100))
	return at, err
}

// acceptOnce answers the next connection and returns its target and when it was
// accepted.
func acceptOnce(l int) (string, time.Time, error) {
	c, _, err := unix.Accept(l)
	at := time.Now()
	if err != nil {
		return "", at, err
	}
	defer unix.Close(c)
	b := make([]byte, 1000)
	n, err := unix.Read(c, b)
	if err != nil {
		return "", at, err
	}
	if _, err := unix.Write(c, []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")); err != nil {
		return "", at, err
	}
	return strings.Fields(string(b[:n]))[1], at, nil
}

// overflows is the kernel's count of connections that found a queue full.
func overflows(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if f[0] != "TcpExt:" {
			continue
		}
		for i, name := range names {
			if name == "ListenOverflows" {
				return f[i]
			}
		}
		names = f
	}
	t.Fatal("no ListenOverflows in /proc/net/netstat")
	return ""
}
