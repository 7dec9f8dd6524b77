// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"net"
	"sync"
)

// limited is a listener with a limited number of connections at a time. One
// more closes the one that has been without a request for longest: a process of
// this host that holds as many as there may be keeps nobody out.
type limited struct {
	net.Listener
	places  chan struct{}
	closed  chan struct{}
	once    sync.Once
	evicted func()

	mu    sync.Mutex
	conns map[*placed]struct{}
	uses  uint64
}

// placed is a connection that has one of the places, until it is closed.
type placed struct {
	net.Conn
	of   *limited
	once sync.Once
	// What follows is guarded by of.mu.
	answering bool
	usedAt    uint64 // when it was accepted, or had its last request
}

func limitConns(l net.Listener, n int, evicted func()) *limited {
	return &limited{
		Listener: l, places: make(chan struct{}, n), closed: make(chan struct{}), evicted: evicted,
		conns: make(map[*placed]struct{}, n),
	}
}

func (l *limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.places <- struct{}{}:
	default:
		l.evict()
		select { // at the latest when one that is being answered is done
		case l.places <- struct{}{}:
		case <-l.closed:
			conn.Close()
			return nil, net.ErrClosed
		}
	}
	p := &placed{Conn: conn, of: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uses++
	p.usedAt = l.uses
	l.conns[p] = struct{}{}
	return p, nil
}

// evict closes the connection that has been without a request for longest.
func (l *limited) evict() {
	l.mu.Lock()
	var oldest *placed
	for p := range l.conns {
		if !p.answering && (oldest == nil || p.usedAt < oldest.usedAt) {
			oldest = p
		}
	}
	l.mu.Unlock()
	if oldest != nil {
		l.evicted()
		oldest.Close()
	}
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (p *placed) Close() error {
	err := p.Conn.Close()
	p.once.Do(func() {
		p.of.mu.Lock()
		delete(p.of.conns, p)
		p.of.mu.Unlock()
		<-p.of.places
	})
	return err
}

// placeKey is that of the connection in the context of its requests.
type placeKey struct{}

func withPlace(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, placeKey{}, c)
}

// hold keeps the connection of a request until release.
func hold(ctx context.Context) (release func()) {
	p, placed := ctx.Value(placeKey{}).(*placed)
	if !placed {
		return func() {}
	}
	p.set(true)
	return func() { p.set(false) }
}

func (p *placed) set(answering bool) {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.of.uses++
	p.answering, p.usedAt = answering, p.of.uses
}
