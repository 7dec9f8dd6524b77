// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// ioTimeout is how long an answer may take before the client complains.
const ioTimeout = 20 * time.Second

// wire is a connection of a client.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func dial(network, address string) (*wire, error) {
	conn, err := net.DialTimeout(network, address, ioTimeout)
	if err != nil {
		return nil, err
	}
	return &wire{conn, bufio.NewReaderSize(conn, 4096)}, nil
}

// request is a plain one.
func request(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: soak\r\n\r\n" }

// send writes requests in one piece.
func (w *wire) send(text string) error {
	if err := w.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		return err
	}
	_, err := io.WriteString(w, text)
	return err
}

// receive reads one whole answer.
func (w *wire) receive() error {
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}

func (w *wire) ask(target string) error {
	if err := w.send(request(target)); err != nil {
		return err
	}
	return w.receive()
}

// askOnce makes a request on a connection of its own.
func askOnce(network, address, target string) error {
	w, err := dial(network, address)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.send(strings.Replace(request(target), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)); err != nil {
		return err
	}
	return w.receive()
}

// pace calls do so often per second, until ctx ends. What cannot be done in
// time is left out: the rate is the most it may be.
func pace(ctx context.Context, perSecond float64, do func() error) error {
	const tick = 5 * time.Millisecond
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	due := 0.0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
		due = min(due+perSecond*tick.Seconds(), max(2, perSecond*tick.Seconds()*4))
		for ; due >= 1 && ctx.Err() == nil; due-- {
			if err := do(); err != nil {
				return err
			}
		}
	}
}
