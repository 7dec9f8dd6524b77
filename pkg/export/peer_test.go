// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/testutil"
)

// since is a clock for tests that wait for real.
func since() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// peer is a stream receiver that can be stopped and started again. It keeps the
// lines in the order they came.
type peer struct {
	t      *testing.T
	target Target
	mu     sync.Mutex
	lines  []string
	marked bool // by finish
	listen net.Listener
	conns  map[net.Conn]bool
	all    sync.WaitGroup
}

// newPeer listens on loopback or on a Unix socket.
func newPeer(t *testing.T, scheme Scheme) *peer {
	t.Helper()
	p := &peer{t: t, conns: map[net.Conn]bool{}}
	p.target = Target{Scheme: scheme, Path: filepath.Join(t.TempDir(), "s")}
	if scheme == TCP {
		p.target = local(TCP, testutil.FreePort(t)) // it listens there again later
	}
	p.start()
	t.Cleanup(p.stop)
	return p
}

func (p *peer) start() {
	p.t.Helper()
	network, address := "unix", p.target.Path
	if p.target.Scheme == TCP {
		network, address = "tcp", p.target.address()
	}
	l, err := smallBuffers().Listen(context.Background(), network, address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listen, p.marked = l, false
	p.mu.Unlock()
	p.all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			stopped := p.listen != l
			p.conns[conn] = !stopped
			p.mu.Unlock()
			if stopped { // while this one was accepted
				_ = conn.Close()
				continue
			}
			p.all.Go(func() { p.read(conn) })
		}
	})
}

// smallBuffers bounds what a peer on a busy machine has not read when it closes:
// over TCP nobody can tell how much that was, and the sender assumes 64 KiB.
func smallBuffers() *net.ListenConfig {
	return &net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		var set error
		err := c.Control(func(fd uintptr) {
			set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10)
		})
		return errors.Join(err, set)
	}}
}

func (p *peer) read(conn net.Conn) {
	defer conn.Close()
	if p.target.Scheme == UnixDD {
		p.readPrefixed(conn)
		return
	}
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		p.mu.Lock()
		if err == nil {
			p.add(line[:len(line)-1])
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *peer) readPrefixed(conn net.Conn) {
	for {
		var length [4]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		payload := make([]byte, binary.LittleEndian.Uint32(length[:]))
		if _, err := io.ReadFull(conn, payload); err != nil {
			return
		}
		p.mu.Lock()
		if len(payload) > unixPayload {
			p.t.Errorf("payload of %d bytes", len(payload))
		}
		for line := range strings.Lines(string(payload)) {
			p.add(strings.TrimSuffix(line, "\n"))
		}
		p.mu.Unlock()
	}
}

const marker = "marker"

func (p *peer) add(line string) {
	if line == marker {
		p.marked = true
		return
	}
	p.lines = append(p.lines, line)
}

// finish reads everything that was sent to connections that are closed by now,
// and stops.
func (p *peer) finish() {
	p.t.Helper()
	network, address := "unix", p.target.Path
	if p.target.Scheme == TCP {
		network, address = "tcp", p.target.address()
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	line := []byte(marker + "\n")
	if p.target.Scheme == UnixDD {
		line = append(binary.LittleEndian.AppendUint32(nil, uint32(len(line))), line...)
	}
	if _, err := conn.Write(line); err != nil {
		p.t.Fatal(err)
	}
	// Connections are accepted in order: all that came before are by then.
	waitFor(p.t, "marker", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.marked })
	_ = conn.Close()
	_ = p.listen.Close()
	p.all.Wait()
	p.stop()
}

// stop closes everything, with whatever is unread.
func (p *peer) stop() {
	p.mu.Lock()
	if p.listen != nil {
		_ = p.listen.Close()
	}
	p.listen = nil
	for conn := range p.conns {
		_ = conn.Close()
	}
	clear(p.conns)
	p.mu.Unlock()
	p.all.Wait()
}

func (p *peer) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// badListener hands each connection to behave and keeps those it leaves open.
func badListener(t *testing.T, network string, behave func(net.Conn)) (Target, net.Listener) {
	t.Helper()
	target := Target{Scheme: Unix, Path: filepath.Join(t.TempDir(), "s")}
	address := target.Path
	if network == "tcp" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if network == "tcp" {
		target = Target{Scheme: TCP, Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).AddrPort().Port()}
	}
	var all sync.WaitGroup
	all.Go(func() {
		var open []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			behave(conn)
			open = append(open, conn)
		}
		for _, conn := range open {
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return target, l
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
	}
}
