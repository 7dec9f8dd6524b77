// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// ErrPublic: the address can be reached from other hosts.
var ErrPublic = errors.New("not a loopback address")

// CheckAddress checks HOST:PORT, where the host is an IP address or localhost.
// ErrPublic says that it is valid and not on the loopback interface.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address %q: want HOST:PORT", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("address %q: port %q: want 0 to 65535", address, port)
	}
	if host == "localhost" {
		return nil
	}
	if host == "" { // every interface
		return fmt.Errorf("address %q: %w", address, ErrPublic)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("address %q: host %q: want an IP address or localhost", address, host)
	}
	if !ip.Unmap().IsLoopback() {
		return fmt.Errorf("address %q: %w", address, ErrPublic)
	}
	return nil
}

// limitConns accepts at most n connections at a time; more wait in the kernel's
// queue, which is bounded too.
func limitConns(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placed{Conn: conn, free: func() { <-l.places }}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// placed frees its place when it is closed.
type placed struct {
	net.Conn
	once sync.Once
	free func()
}

func (c *placed) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.free)
	return err
}
