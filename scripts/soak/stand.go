// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// partFault is what the clients of the faults ask nginx for.
const partFault = "soak-fault"

// stand is what an experiment works with: one nginx that only probe's filter
// lets through, so that every count can be compared exactly.
type stand struct {
	settings
	dir      string
	nginx    *nginx
	receiver *receiver
	made     atomic.Uint64 // requests that were answered
}

func newStand(s settings, name string) (*stand, error) {
	t := &stand{settings: s, dir: filepath.Join(s.dir, name)}
	if err := os.Mkdir(t.dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	if t.receiver, err = newReceiver(); err != nil {
		return nil, err
	}
	if t.nginx, err = startNginx(t.dir, kindFault, partFault); err != nil {
		t.receiver.down()
		return nil, err
	}
	return t, nil
}

func (t *stand) end() {
	t.nginx.Stop()
	t.receiver.down()
}

// agent starts one that sees only the requests of nginx.
func (t *stand) agent(name string, o agentOptions) (*agent, error) {
	o.name = name
	if o.statsd == "" {
		o.statsd = t.receiver.target()
	}
	o.args = append([]string{"--interval", "500ms", "--port", strconv.Itoa(t.nginx.port)}, o.args...)
	return startAgent(t.dir, t.probe, o)
}

func (t *stand) state() string { return filepath.Join(t.dir, "state") }

// ask makes n requests, one after another, each part of them on a connection.
func (t *stand) ask(n int) error {
	const perConn = 50
	for n > 0 {
		w, err := dial("tcp", t.nginx.address())
		if err != nil {
			return err
		}
		for range min(n, perConn) {
			if err := w.ask("/" + partFault + "/x"); err != nil {
				w.Close()
				return err
			}
			t.made.Add(1)
			n--
		}
		w.Close()
	}
	return nil
}

// askRoutes makes n requests for as many routes.
func (t *stand) askRoutes(n int) error {
	w, err := dial("tcp", t.nginx.address())
	if err != nil {
		return err
	}
	defer w.Close()
	for i := range n {
		if err := w.ask(fmt.Sprintf("/%s/%s/%s", partFault, word(i/50), word(i%50))); err != nil {
			return err
		}
		t.made.Add(1)
	}
	return nil
}

// usualRate is of the load under which something breaks, per second and client.
const usualRate = 400

// load makes requests until it is stopped; perSecond 0 means as many as go.
func (t *stand) load(clients int, perSecond float64) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, clients)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() { errs <- t.client(ctx, perSecond) })
	}
	return func() error {
		cancel()
		all.Wait()
		for range clients {
			if err := <-errs; err != nil {
				return fmt.Errorf("client: %w", err)
			}
		}
		return nil
	}
}

func (t *stand) client(ctx context.Context, perSecond float64) error {
	if perSecond > 0 {
		return pace(ctx, perSecond/10, func() error { return t.ask(10) })
	}
	for ctx.Err() == nil {
		if err := t.ask(50); err != nil {
			return err
		}
	}
	return nil
}

// rest makes the usual load for a while.
func (t *stand) rest(d time.Duration) error {
	return t.during(func() error { t.pause(d); return nil })
}

// during makes the usual load while something happens.
func (t *stand) during(happens func() error) error {
	stop := t.load(2, usualRate)
	err := happens()
	if e := stop(); err == nil {
		err = e
	}
	return err
}

// pause is a while of load, shorter in the tests.
func (t *stand) pause(d time.Duration) {
	if t.small {
		d /= 3
	}
	time.Sleep(d)
}

// await waits until something is so.
func await(limit time.Duration, is func() (bool, error)) (bool, error) {
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		ok, err := is()
		if ok || err != nil || time.Now().After(deadline) {
			return ok, err
		}
	}
}

// finish ends an agent and checks that it saw what was made, that nothing was
// lost, and that its books balance.
func (t *stand) finish(a *agent, f *fault) error {
	end, err := a.finish()
	if err != nil {
		return err
	}
	got := t.receiver.end()
	f.same("requests: made = counted by probe", t.made.Load(), end.Finished+end.Failed)
	f.that(len(lossesOf(got.selfCounters())) == 0, "no event lost", "%s", lossText(got.selfCounters()))
	f.balance(got, end)
	return nil
}
