// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"probe/scripts/cgroup"
	"probe/scripts/process"
)

// bench is what all cells share.
type bench struct {
	options
	probe, dir     string
	downstream     *process.Process
	downstreamPort int
}

// work is a kind of work and the cause that its time belongs to.
type work struct{ path, cause string }

func works() []work {
	return []work{{"spin", cpu}, {"sleep", sleep}, {"lock", lock}, {"net", network}, {"disk", disk}, {"memory", memory}}
}

func (b *bench) startDownstream() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if b.downstreamPort, err = process.FreePort(); err != nil {
		return err
	}
	port := strconv.Itoa(b.downstreamPort)
	if b.downstream, err = process.Start(b.dir, "downstream", nil, self, downstreamArg, port); err != nil {
		return err
	}
	return process.WaitListening(b.downstream, 10*time.Second, [2]string{"tcp", "127.0.0.1:" + port})
}

// headroom is what a server may use beyond what it uses already: enough to run,
// little enough that written pages push one another out.
const headroom = 24 << 20

// runtime measures all cells of one runtime.
func (b *bench) runtime(r runtime) result {
	if n := r.missing(); n != "" {
		return result{err: fmt.Errorf("%s is not installed", n)}
	}
	dir, err := os.MkdirTemp(b.dir, r.name+"-")
	if err != nil {
		return result{err: err}
	}
	group, err := cgroup.New("memory", r.name)
	if err != nil {
		return result{err: err}
	}
	in, err := r.up(dir, b.downstreamPort)
	if err != nil {
		return result{err: errors.Join(err, group.Remove())}
	}
	res, err := b.cells(r, in, group, dir)
	in.Stop()
	res.err = errors.Join(err, group.Remove())
	return res
}

// concurrencies are the numbers of connections that send at the same time.
func concurrencies() []int { return []int{1, 4} }

func (b *bench) cells(r runtime, in *instance, group *cgroup.Group, dir string) (result, error) {
	var res result
	if err := group.Enter(in.PID()); err != nil {
		return res, err
	}
	for _, clients := range concurrencies() {
		base, err := b.cell(in, dir, "none", clients)
		if err != nil {
			return res, err
		}
		usual := medianSplit(base.splits())
		for _, w := range works() {
			// What all requests together were held up says nothing about one.
			if !wanted(b.work, w.path) || w.cause == memory && clients > 1 {
				continue
			}
			limit, lift := func() error { return group.Tighten(headroom) }, group.Lift
			if w.cause != memory {
				limit, lift = func() error { return nil }, func() error { return nil }
			}
			if err := limit(); err != nil {
				return res, err
			}
			c, err := b.cell(in, dir, w.path, clients)
			if err = errors.Join(err, lift()); err != nil {
				return res, fmt.Errorf("%s, %d clients: %w", w.path, clients, err)
			}
			c.work, c.clients = w, clients
			c.judge(usual, r.name)
			c.print(os.Stderr, r.name, b.verbose)
			res.cells = append(res.cells, c)
		}
	}
	return res, nil
}

// warmUps are the first requests of a connection, which are not compared:
// programs are still compiling, and threads not yet known.
const warmUps = 5

// cell plays one kind of work and pairs what the server and the probe say.
func (b *bench) cell(in *instance, dir, path string, clients int) (*cell, error) {
	probe, err := process.StartProbe(dir, b.probe, "--detail", "full", "--capture-query", "--role", "server", "--port", strconv.Itoa(in.port))
	if err != nil {
		return nil, err
	}
	owns := make([]map[string]own, clients)
	errs := make([]error, clients)
	var g sync.WaitGroup
	for i := range clients {
		g.Go(func() { owns[i], errs[i] = in.send(path, i, b.samples+warmUps) })
	}
	g.Wait()
	if err := errors.Join(append(errs, probe.Finish())...); err != nil {
		return nil, fmt.Errorf("%w: %s", err, process.Tail(in.Stderr))
	}
	c := &cell{}
	byTarget := map[string]*traceLine{}
	var off error
	err = readTrace(probe.Stdout, func(l *traceLine) {
		byTarget[l.Target] = l
		if d := l.adds(); d != 0 {
			off = fmt.Errorf("the parts of %s add up to %v more than its duration", l.Target, d)
		}
	})
	if err := errors.Join(err, off); err != nil {
		return nil, err
	}
	for _, m := range owns {
		for target, o := range m {
			l := byTarget[target]
			if l == nil {
				return nil, fmt.Errorf("the probe has not seen %s", target)
			}
			c.samples = append(c.samples, sample{own: o, line: l})
		}
	}
	return c, nil
}

// send sends n requests on one connection, one after the other, and returns
// what the server measured, by target, without the first ones.
func (i *instance) send(path string, client, n int) (map[string]own, error) {
	c := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: 20 * time.Second}
	defer c.CloseIdleConnections()
	owns := map[string]own{}
	for k := range n {
		if path == "lock" {
			if err := i.askHolder(); err != nil {
				return nil, err
			}
		}
		target := fmt.Sprintf("/%s?n=%d-%d", path, client, k)
		before, err := reclaimDelay(i.PID())
		if err != nil {
			return nil, err
		}
		r, err := c.Get("http://" + i.address() + target)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, fmt.Errorf("read answer to %s: %w", target, err)
		}
		var o own
		if err := json.Unmarshal(body, &o); err != nil {
			return nil, fmt.Errorf("answer to %s: %w: %s", target, err, body)
		}
		after, err := reclaimDelay(i.PID())
		if err != nil {
			return nil, err
		}
		o.Reclaim = after - before
		if k >= warmUps {
			owns[target] = o
		}
	}
	return owns, nil
}

// askHolder makes the server's other thread take the lock, for 50 ms.
func (i *instance) askHolder() error {
	c, err := net.Dial("udp", i.address())
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte{'h'}); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("wait for the lock to be taken: %w", err)
	}
	return nil
}
