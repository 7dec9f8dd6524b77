// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Parts of the load, each the first segment of the paths it asks for.
const (
	partKept    = "soak-kept"    // nginx, connections that stay
	partEach    = "soak-each"    // nginx, a connection for each request
	partPipe    = "soak-pipe"    // nginx, several requests in one piece
	partUnix    = "soak-unix"    // a Unix socket
	partNode    = "soak-node"    // Node
	partChunked = "soak-chunked" // bodies in chunks, both ways
	partAborted = "soak-aborted" // clients that leave
	partNew     = "soak-new"     // a route nobody has asked for before
	partBrief   = "soak-brief"   // servers that end after a few requests
)

// part is one kind of load.
type part struct {
	name    string
	about   string
	rate    float64 // requests per second, or calls of do
	workers int
	// worker returns what a worker does again and again, and what ends it.
	worker func() (do func() error, end func(), err error)
	// done are the requests that were made: answered, or left on purpose.
	done atomic.Uint64
}

// pipelined is how many requests go out in one piece.
const pipelined = 4

// load is all of it.
type load struct {
	parts []*part
	// brief is what the brief servers have served.
	brief atomic.Uint64
	// fresh numbers the new routes.
	fresh atomic.Uint64
}

func newLoad(s *site) *load {
	l := &load{}
	web, app := s.nginx.address(), loopback(s.appPort)
	l.parts = []*part{
		{name: partKept, about: "nginx, kept connections", rate: 9000, workers: 8, worker: l.kept(partKept, "tcp", web)},
		{name: partEach, about: "nginx, a connection per request", rate: 400, workers: 4, worker: l.each(web)},
		{name: partPipe, about: "nginx, four requests in one piece", rate: 100, workers: 2, worker: l.pipe(web)},
		{name: partUnix, about: "Go, Unix socket", rate: 800, workers: 2, worker: l.kept(partUnix, "unix", s.socket)},
		{name: partNode, about: "Node, kept connections", rate: 400, workers: 2, worker: l.kept(partNode, "tcp", loopback(s.nodePort))},
		{name: partChunked, about: "Go, bodies in chunks", rate: 150, workers: 2, worker: l.chunked(app)},
		{name: partAborted, about: "Go, clients that leave", rate: 40, workers: 2, worker: l.aborted(app)},
		{name: partNew, about: "Go, new routes", rate: 150, workers: 1, worker: l.kept(partNew, "tcp", loopback(s.freshPort))},
		{name: partBrief, about: "servers that live for ten requests", rate: 2, workers: 1, worker: l.briefly(s.self)},
	}
	return l
}

func (l *load) part(name string) *part {
	for _, p := range l.parts {
		if p.name == name {
			return p
		}
	}
	return nil
}

// run makes the load until ctx ends; every request that was begun is finished.
func (l *load) run(ctx context.Context, factor float64) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	errs := make(chan error, 64)
	for _, p := range l.parts {
		for range p.workers {
			all.Go(func() {
				if err := p.work(ctx, factor*p.rate/float64(p.workers)); err != nil {
					errs <- fmt.Errorf("%s: %w", p.name, err)
					stop() // what is left of the load is not the one that was meant
				}
			})
		}
	}
	all.Wait()
	close(errs)
	var err error
	for one := range errs {
		err = errors.Join(err, one)
	}
	return err
}

func (p *part) work(ctx context.Context, rate float64) error {
	do, end, err := p.worker()
	if err != nil {
		return err
	}
	defer end()
	return pace(ctx, rate, do)
}

// lifetime is how many requests, or pieces, a connection is used for: servers
// end one after some number of requests, and not all of them say so before.
const lifetime = 1000

// again returns what calls do over a connection that is opened anew now and then.
func again(network, address string, do func(w *wire, n int) error) func() (func() error, func(), error) {
	return func() (func() error, func(), error) {
		w, err := dial(network, address)
		n := 0
		return func() error {
			if n++; n%lifetime == 0 {
				w.Close()
				if w, err = dial(network, address); err != nil {
					return err
				}
			}
			return do(w, n)
		}, func() { w.Close() }, err
	}
}

// kept asks over one connection.
func (l *load) kept(name, network, address string) func() (func() error, func(), error) {
	return again(network, address, func(w *wire, n int) error {
		if err := w.ask(l.target(name, n)); err != nil {
			return err
		}
		l.part(name).done.Add(1)
		return nil
	})
}

// target is the path of the n-th request of a part.
func (l *load) target(name string, n int) string {
	if name == partNew {
		fresh := int(l.fresh.Add(1))
		return fmt.Sprintf("/%s/%s/%s/%s", name, word(fresh/10_000), word(fresh/100%100), word(fresh%100))
	}
	return fmt.Sprintf("/%s/%d", name, n)
}

func nothing() {}

func (l *load) each(address string) func() (func() error, func(), error) {
	return func() (func() error, func(), error) {
		return func() error {
			if err := askOnce("tcp", address, "/"+partEach+"/x"); err != nil {
				return err
			}
			l.part(partEach).done.Add(1)
			return nil
		}, nothing, nil
	}
}

func (l *load) pipe(address string) func() (func() error, func(), error) {
	return again("tcp", address, func(w *wire, _ int) error {
		if err := w.send(strings.Repeat(request("/"+partPipe+"/x"), pipelined)); err != nil {
			return err
		}
		for range pipelined {
			if err := w.receive(); err != nil {
				return err
			}
		}
		l.part(partPipe).done.Add(pipelined)
		return nil
	})
}

func (l *load) chunked(address string) func() (func() error, func(), error) {
	head := "POST /" + partChunked + "/x HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n"
	return again("tcp", address, func(w *wire, _ int) error {
		// The second chunk looks like a request, and is none.
		inner := request("/" + partChunked + "/inside")
		for _, piece := range []string{head, "5\r\nhello\r\n", fmt.Sprintf("%x\r\n%s\r\n", len(inner), inner), "0\r\n\r\n"} {
			if err := w.send(piece); err != nil {
				return err
			}
		}
		if err := w.receive(); err != nil {
			return err
		}
		l.part(partChunked).done.Add(1)
		return nil
	})
}

// aborted leaves once the answer has begun, by turns with a FIN and a reset.
func (l *load) aborted(address string) func() (func() error, func(), error) {
	return func() (func() error, func(), error) {
		n := 0
		return func() error {
			w, err := dial("tcp", address)
			if err != nil {
				return err
			}
			defer w.Close()
			if err := w.send(request("/" + partAborted + "/x")); err != nil {
				return err
			}
			if _, err := w.in.Peek(1); err != nil {
				return err
			}
			if n++; n%2 == 0 {
				if err := w.Conn.(*net.TCPConn).SetLinger(0); err != nil {
					return err
				}
			}
			l.part(partAborted).done.Add(1)
			return nil
		}, nothing, nil
	}
}

// briefly starts a server, asks it until it ends, and starts another.
func (l *load) briefly(program string) func() (func() error, func(), error) {
	return func() (func() error, func(), error) {
		const each = 10
		return func() error {
			if err := askBrief(program, partBrief, each); err != nil {
				return err
			}
			l.brief.Add(each)
			l.part(partBrief).done.Add(each)
			return nil
		}, nothing, nil
	}
}

// askBrief starts a brief server and makes all the requests it is there for.
func askBrief(program, path string, times int) error {
	server := exec.Command(program, briefCommand, fmt.Sprint(times))
	server.Stderr = os.Stderr
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, server.Process.Kill(), server.Wait())
	}
	for range times {
		if err := askOnce("tcp", "127.0.0.1:"+strings.TrimSpace(port), "/"+path+"/x"); err != nil {
			return errors.Join(err, server.Process.Kill(), server.Wait())
		}
	}
	return server.Wait() // it ends well only if it has served them all
}
