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
	const backlog, clients = 4, 8
	const pace, slack = 50 * time.Millisecond, 2 * time.Millisecond
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
		mu   sync.Mutex
		sent = map[string]sending{}
		read = map[string]interval{}
		g    sync.WaitGroup
	)
	for i := range clients {
		g.Go(func() {
			target := fmt.Sprintf("/accept?n=%d", i)
			s, err := askOnce(port, target)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			sent[target] = s
			mu.Unlock()
		})
	}
	for range clients {
		time.Sleep(pace)
		target, at, err := acceptOnce(l)
		if err != nil {
			t.Fatal(err)
		}
		read[target] = at
	}
	g.Wait()
	if overflows(t) == before {
		t.Error("the queue was never full: the kernel counted no overflow")
	}
	longest := time.Duration(0)
	for target, l := range lines(t, p) {
		least, most := read[target].since(sent[target].at)
		if sent[target].again {
			// Sent into a queue that had no room for the connection, and once more
			// when it had: the kernel knows of the connection from then on only.
			least = 0
		}
		if l.Wait.Accept < least-slack || l.Wait.Accept > most+slack {
			t.Errorf("%s: wait.accept %v, client and server say %v to %v", target, l.Wait.Accept, least, most)
		}
		longest = max(longest, l.Wait.Accept)
		delete(read, target)
	}
	if len(read) > 0 {
		t.Errorf("not seen: %v", read)
	}
	if longest < (backlog-1)*pace {
		t.Errorf("the longest wait.accept is %v, with %d connections in the queue", longest, backlog)
	}
}

// interval is when a call began and when it had returned: what it did happened
// in between, however long its thread waited for a CPU.
type interval struct{ from, to time.Time }

// since bounds the time from something in e to something in i.
func (i interval) since(e interval) (least, most time.Duration) {
	return max(0, i.from.Sub(e.to)), max(0, i.to.Sub(e.from))
}

// sending is the write of a request, and whether TCP had to repeat it.
type sending struct {
	at    interval
	again bool
}

// askOnce sends a request on a connection of its own.
func askOnce(port int, target string) (sending, error) {
	var s sending
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 10*time.Second)
	if err != nil {
		return s, err
	}
	defer c.Close()
	s.at.from = time.Now()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target); err != nil {
		return s, err
	}
	s.at.to = time.Now()
	if _, err := c.Read(make([]byte, 100)); err != nil {
		return s, err
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return s, err
	}
	var info *unix.TCPInfo
	if e := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); e != nil {
		return s, e
	}
	if err == nil {
		s.again = info.Total_retrans > 0
	}
	return s, err
}

// acceptOnce answers the next connection and returns its target and when that
// was read.
func acceptOnce(l int) (string, interval, error) {
	var at interval
	c, _, err := unix.Accept(l)
	if err != nil {
		return "", at, err
	}
	defer unix.Close(c)
	b := make([]byte, 1000)
	at.from = time.Now()
	n, err := unix.Read(c, b)
	at.to = time.Now()
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
