// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"probe/scripts/cgroup"
)

// ringFull gives the agent a ring of one page, and both CPUs work.
func ringFull(t *stand, f *fault) error {
	f.done = "`--ring-bytes 4096`, and as many requests as both CPUs can make; then 200 per second"
	a, err := t.agent("agent", agentOptions{args: []string{"--ring-bytes", "4096"}})
	if err != nil {
		return err
	}
	defer a.Kill()
	stop := t.load(8, 0)
	t.pause(5 * time.Second)
	if err := stop(); err != nil {
		return err
	}
	if err := t.recovers(a, f); err != nil {
		return err
	}
	end, err := a.finish()
	if err != nil {
		return err
	}
	got := t.receiver.end()
	own := got.selfCounters()
	f.that(own["kernel.dropped.ring_full"] > 0, "the ring was full", "%d records refused", own["kernel.dropped.ring_full"])
	f.same("requests: made = seen by the kernel side", t.made.Load(), own["kernel.requests_seen"])
	f.balance(got, end)
	f.counter(own, "kernel.requests_seen", "kernel.dropped.ring_full", "kernel.dropped.ring_full_requests", "exchange.orphan_responses")
	return nil
}

// recovers: once there is room, everything is seen again.
func (t *stand) recovers(a *agent, f *fault) error {
	const after = 200
	time.Sleep(restTime)
	before, err := a.insight()
	if err != nil {
		return err
	}
	for range after {
		time.Sleep(5 * time.Millisecond)
		if err := t.ask(1); err != nil {
			return err
		}
	}
	time.Sleep(restTime)
	now, err := a.insight()
	if err != nil {
		return err
	}
	f.same("requests afterwards: made = finished", after, now.Counters["exchange.finished"]-before.Counters["exchange.finished"])
	return nil
}

// A storm is many processes that live for a moment, so many of them at a time.
const (
	stormSize, stormSmall = 20_000, 600
	stormAlive            = 200
	// partMoment is the first segment of what the processes serve.
	partMoment = "soak-moment"
)

// storm starts very many processes; some make a request, some serve one.
func storm(t *stand, f *fault) error {
	size := stormSize
	if t.small {
		size = stormSmall
	}
	f.done = fmt.Sprintf("%d processes, up to %d at a time, each ends after 50 ms; one in twenty makes a request, one in twenty serves one", size, stormAlive)
	a, err := startAgent(t.dir, t.probe, agentOptions{name: "agent", statsd: t.receiver.target(), args: []string{"--interval", "500ms"}})
	if err != nil {
		return err
	}
	defer a.Kill()
	before, err := a.memory()
	if err != nil {
		return err
	}
	served, err := t.storm(size)
	if err != nil {
		return err
	}
	after, err := a.memory()
	if err != nil {
		return err
	}
	time.Sleep(restTime)
	end, err := a.finish()
	if err != nil {
		return err
	}
	got := t.receiver.end()
	own := got.selfCounters()
	f.same("requests of processes of a moment: made = counted", t.made.Load(), got.routes[partFault])
	f.same("requests served by processes of a moment: served = counted", served, got.routes[partMoment])
	f.that(len(lossesOf(own)) == 0, "no event lost", "%s", lossText(own))
	f.that(after < before+20<<20, "resident memory grows by less than 20 MiB", "%s, then %s", mib(before), mib(after))
	f.balance(got, end)
	f.counter(own, "workload.fallback_comm", "workload.evicted", "workload.held", "workload.provisional")
	return nil
}

// storm returns how many requests the brief servers have served.
func (t *stand) storm(size int) (uint64, error) {
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	var served atomic.Uint64
	var left atomic.Int64
	left.Store(int64(size))
	errs := make([]error, stormAlive)
	var all sync.WaitGroup
	for i := range stormAlive {
		all.Go(func() {
			for n := left.Add(-1); n >= 0 && errs[i] == nil; n = left.Add(-1) {
				switch n % 20 {
				case 0:
					if errs[i] = askBrief(program, partMoment, 1); errs[i] == nil {
						served.Add(1)
					}
				case 10:
					errs[i] = t.askByShell()
				default:
					errs[i] = exec.Command("sleep", "0.05").Run()
				}
			}
		})
	}
	all.Wait()
	return served.Load(), errors.Join(errs...)
}

// askByShell lets a process make one request and end.
func (t *stand) askByShell() error {
	script := fmt.Sprintf(`exec 3<>/dev/tcp/127.0.0.1/%d
printf 'GET /%s/x HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n' >&3
read -r -t 20 line <&3 && cat <&3 >/dev/null && echo "$line"`, t.nginx.port, partFault)
	out, err := exec.Command("bash", "-c", script).Output()
	if err != nil || !strings.Contains(string(out), " 200 ") {
		return fmt.Errorf("request by a shell: %w: %q", err, out)
	}
	t.made.Add(1)
	return nil
}

// groupRemoved moves the busy server into control groups and removes them.
func groupRemoved(t *stand, f *fault) error {
	rounds := 30
	if t.small {
		rounds = 4
	}
	f.done = fmt.Sprintf("%d times, under load: the server moved into new groups (memory, cpu), out again 300 ms later, and the groups removed", rounds)
	a, err := t.agent("agent", agentOptions{args: []string{"--snapshot-interval", "100ms"}})
	if err != nil {
		return err
	}
	defer a.Kill()
	err = t.during(func() error {
		for range rounds {
			if err := t.regroup(300 * time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	in, err := a.insight()
	if err != nil {
		return err
	}
	restarts := uint64(0)
	for _, p := range in.Parts {
		restarts += p.Restarts
	}
	f.that(restarts == 0 && len(in.Problems) == 0, "no part restarted or stuck", "%d restarts, problems: %s", restarts, first(in.Problems))
	f.counter(in.Counters, "host.read_failed", "host.samples", "workload.corrected")
	return t.finish(a, f)
}

// regroup lets the server be in groups of its own for a while.
func (t *stand) regroup(d time.Duration) (err error) {
	pids, err := t.nginx.pids()
	if err != nil {
		return err
	}
	for _, controller := range []string{"memory", "cpu"} {
		g, err := cgroup.New(controller, "soak")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, leave(g, pids)) }()
		for _, pid := range pids {
			if err := g.Enter(pid); err != nil {
				return err
			}
		}
	}
	time.Sleep(d)
	return nil
}

func leave(g *cgroup.Group, pids []int) error {
	var err error
	for _, pid := range pids {
		err = errors.Join(err, g.Leave(pid))
	}
	return errors.Join(err, g.Remove())
}
