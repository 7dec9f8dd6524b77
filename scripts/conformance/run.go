// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sync"
)

// run collects what one behaviour saw on one server.
type run struct {
	behaviour string
	network   string // tcp or unix
	address   string
	inst      *instance
	early     *conn // opened, and used once, before the probe was started

	mu   sync.Mutex
	seq  int
	seen []exchange
}

// get builds a GET request for path with a tag of its own.
func (r *run) get(path string) request { return r.request("GET", path) }

func (r *run) request(method, path string) request {
	tag := r.nextTag()
	return request{method: method, target: path + "?c=" + tag, tag: tag}
}

func (r *run) nextTag() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	return fmt.Sprintf("%s-%d", r.behaviour, r.seq)
}

func (r *run) dial() (*conn, error) { return dial(r.network, r.address) }

func (r *run) record(x exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, x)
}

// do sends q on c and records the exchange.
func (r *run) do(c *conn, q request) (exchange, error) {
	x, err := c.do(q)
	if err == nil {
		r.record(x)
	}
	return x, err
}

// alone sends each request on a connection of its own, one after the other.
func (r *run) alone(qs ...request) error {
	for _, q := range qs {
		c, err := r.dial()
		if err != nil {
			return err
		}
		_, err = r.do(c, q)
		c.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// expectStatus fails unless the last recorded exchange has that status: it
// keeps a misconfigured server from passing for a conforming one.
func (r *run) expectStatus(want int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.seen); n == 0 || r.seen[n-1].status != want {
		return fmt.Errorf("the server did not answer %d: %+v", want, r.seen)
	}
	return nil
}
