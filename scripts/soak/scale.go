// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"probe/scripts/cgroup"
	"probe/scripts/process"
)

const (
	scaleTitle = "Scale"
	mostStart  = 3 * time.Second
	mostMemory = 80 << 20
	// scaleSettle is for probe to flush, and to give back what it does not need.
	scaleSettle = 15 * time.Second
)

// size is how much of everything the host has.
type size struct {
	connections, processes, routes int
	settle                         time.Duration
}

func (s settings) size() size {
	if s.small {
		return size{connections: 3_000, processes: 100, routes: 500, settle: 2 * time.Second}
	}
	return size{connections: 100_000, processes: 5_000, routes: 10_000, settle: scaleSettle}
}

// moment is probe's memory at one time.
type moment struct {
	what   string
	count  int // of what came since the moment before
	rss    uint64
	kernel int
}

// crowd is the host of the experiment.
type crowd struct {
	settings
	size
	group   *cgroup.Group
	peers   peers
	moments []moment
	checks  checks
	starts  []string
}

// scale gives probe a host with very many connections and processes.
func scale(_ context.Context, s settings) (one section, err error) {
	c := &crowd{settings: s, size: s.size()}
	if c.group, err = cgroup.New("memory", "scale"); err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, c.group.Remove()) }()
	if err := c.start("nothing", nil); err != nil {
		return one, err
	}
	end, err := c.populate()
	if err != nil {
		return one, err
	}
	defer end()
	full := fmt.Sprintf("%d idle connections, %d processes", c.connections, c.processes)
	if err := c.start(full+"; `--container`, which looks at every process", nil, "--container", "soak"); err != nil {
		return one, err
	}
	if err := c.start(full, c.grow); err != nil {
		return one, err
	}
	return section{title: scaleTitle, text: c.markdown(), checks: c.checks}, nil
}

// populate starts the processes and opens the connections.
func (c *crowd) populate() (end func(), err error) {
	idle := exec.Command("sh", "-c", `i=0; while [ $i -lt `+strconv.Itoa(c.processes)+` ]; do sleep 3600 & i=$((i+1)); done; echo; wait`)
	idle.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := idle.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := idle.Start(); err != nil {
		return nil, fmt.Errorf("start processes: %w", err)
	}
	stopIdle := func() {
		_ = syscall.Kill(-idle.Process.Pid, syscall.SIGKILL)
		_ = idle.Wait() // killed
	}
	if _, err := bufio.NewReader(out).ReadByte(); err != nil {
		stopIdle()
		return nil, fmt.Errorf("start processes: %w", err)
	}
	if c.peers, err = startPeers(c.dir, c.connections+c.connections/5); err != nil {
		stopIdle()
		return nil, err
	}
	end = func() { c.peers.end(); stopIdle() }
	if err := c.peers.inTurn("open", c.connections); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// start starts an agent, checks how long that takes and what it needs, and
// hands it on.
func (c *crowd) start(what string, then func(*agent) error, args ...string) (err error) {
	r, err := newReceiver()
	if err != nil {
		return err
	}
	defer r.end()
	name := fmt.Sprint("scale", len(c.starts))
	plain := len(args) == 0
	if plain { // what others on the host do is not for the comparison
		args = []string{"--comm", commOf(kindPeer)}
	}
	a, err := startAgent(c.dir, c.probe, agentOptions{name: name, statsd: r.target(), wrap: inGroup(c.group), args: args})
	if err != nil {
		return err
	}
	defer func() {
		_, e := a.finish()
		err = errors.Join(err, e)
	}()
	c.starts = append(c.starts, fmt.Sprintf("| %s | %.2f s |", what, a.StartUp.Seconds()))
	c.checks.that(c.small || a.StartUp < mostStart, "start-up below 3 s with: "+what, "%.2f s", a.StartUp.Seconds())
	if !plain {
		return nil
	}
	if err := c.note(a, "attached; "+what, 0); err != nil || then == nil {
		return err
	}
	return then(a)
}

// grow lets connections and routes come, and notes what each costs.
func (c *crowd) grow(a *agent) error {
	for _, step := range []struct {
		what, order string
		n           int // of the order
		count       int
	}{
		{"one request over each connection", "ask", 0, c.connections},
		{"another request over each", "again", 0, 0},
		{"more connections, opened while attached, idle", "open", c.connections / 5, c.connections / 5},
		{"different routes", "routes", c.routes / 8, c.routes / 8},
		{"more of them, beyond the limit of 2,000 routes", "routes", c.routes - c.routes/8, c.routes - c.routes/8},
	} {
		who := c.peers
		if step.order == "routes" {
			who = who[:1] // others would ask for the same
		}
		if err := who.inTurn(step.order, step.n); err != nil {
			return err
		}
		if err := c.note(a, step.what, step.count); err != nil {
			return err
		}
	}
	return c.compare(a)
}

// compare checks that nothing was lost on the way.
func (c *crowd) compare(a *agent) error {
	in, err := a.insight()
	if err != nil {
		return err
	}
	seen := in.Counters["exchange.finished"]
	made := uint64(2*c.connections + c.routes)
	c.checks.same("requests: made = counted by probe", made, seen)
	c.checks.that(len(lossesOf(in.Counters)) == 0, "nothing lost", "%s", lossText(in.Counters))
	return nil
}

// note notes its memory after a while.
func (c *crowd) note(a *agent, what string, count int) error {
	time.Sleep(c.settle)
	m := moment{what: what, count: count}
	var err error
	if m.rss, err = a.memory(); err != nil {
		return err
	}
	if m.kernel, err = c.group.KernelMemory(); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "scale: %s: %s, kernel %s\n", what, mib(m.rss), mib(uint64(m.kernel)))
	c.moments = append(c.moments, m)
	c.checks.that(m.rss <= mostMemory, "RSS at most 80 MiB: "+what, "%s", mib(m.rss))
	return nil
}

func (c *crowd) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, `
Measured %s on Linux %s. Both ends of every connection are on this host. Memory is read %v after each step. That of the kernel is what the memory group of the agent has beyond the process: the maps, with the state of each connection.

| on the host at the start | from exec to attached |
|---|---|
%s

| then | resident | each | kernel | each |
|---|---|---|---|---|
`, time.Now().UTC().Format(time.DateOnly), process.KernelRelease(), c.settle, strings.Join(c.starts, "\n"))
	for i, m := range c.moments {
		each, eachKernel := "", ""
		if m.count > 0 {
			before := c.moments[i-1]
			each = fmt.Sprintf("%d bytes", (int(m.rss)-int(before.rss))/m.count)
			eachKernel = fmt.Sprintf("%d bytes", (m.kernel-before.kernel)/m.count)
			m.what = fmt.Sprintf("%s (%d)", m.what, m.count)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", m.what, mib(m.rss), each, mib(uint64(m.kernel)), eachKernel)
	}
	b.WriteString("\n")
	b.WriteString(c.checks.list())
	return b.String()
}

// inGroup runs a command in a control group.
func inGroup(g *cgroup.Group) []string {
	return []string{"sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, g.Dir}
}
