// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"syscall"
	"time"

	"probe/scripts/cgroup"
)

// killed kills the agent while requests go on, and starts another.
func killed(t *stand, f *fault) error {
	f.done = "the agent killed by SIGKILL under 800 requests per second, another one started with the same `--state-dir`"
	return t.endsAndGoesOn(f, agentOptions{state: t.state()}, func(a *agent) error {
		t.pause(4 * time.Second)
		a.Kill()
		return nil
	})
}

// outOfMemory lets the agent have no more memory than it has, while it needs more.
func outOfMemory(t *stand, f *fault) (err error) {
	f.done = "the memory group of the agent limited to 1 MiB more than it used, under load, with new connections all the time; another one started outside"
	g, err := cgroup.New("memory", "oom")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Remove()) }()
	err = t.endsAndGoesOn(f, agentOptions{state: t.state(), wrap: inGroup(g)}, func(a *agent) error {
		t.pause(3 * time.Second)
		return t.starve(a, g)
	})
	if err != nil {
		return err
	}
	kills, err := g.OOMKills()
	f.that(kills > 0, "the kernel killed it", "%d kills in the group", kills)
	f.says("nothing: it is killed; kernel: `oom_kill` %d", kills)
	return err
}

// starve limits the group and lets the agent need more, by kept connections,
// whose state in the kernel counts for the group.
func (t *stand) starve(a *agent, g *cgroup.Group) error {
	const headroom, connections = 1 << 20, 1500
	if err := g.Tighten(headroom); err != nil {
		return err
	}
	var open []*wire
	defer func() {
		for _, w := range open {
			w.Close()
		}
	}()
	for range connections {
		if a.Ended() {
			return nil
		}
		w, err := dial("tcp", t.nginx.address())
		if err != nil {
			return err
		}
		open = append(open, w)
		if err := w.ask("/" + partFault + "/y"); err != nil {
			return err
		}
		t.made.Add(1)
	}
	if !a.Wait(20 * time.Second) {
		return errors.New("the agent lives without memory")
	}
	return nil
}

// endsAndGoesOn lets an agent be ended under load, starts another outside of
// whatever ended the first, and compares what was kept.
func (t *stand) endsAndGoesOn(f *fault, o agentOptions, ends func(*agent) error) error {
	a, err := t.agent("first", o)
	if err != nil {
		return err
	}
	defer a.Kill()
	if err := t.during(func() error { return ends(a) }); err != nil {
		return err
	}
	status, ok := a.Cmd.ProcessState.Sys().(syscall.WaitStatus)
	f.that(ok && status.Signal() == syscall.SIGKILL, "it ended by SIGKILL", "%v", a.Cmd.ProcessState)
	time.Sleep(restTime) // what it had sent is being read
	sent := t.receiver.sums()
	exported := sent.counters[requests]
	saved, err := a.kept()
	f.that(err == nil && saved.Starts == 1, "its totals can be read", "%d starts, error %v", saved.Starts, err)
	f.that(saved.requests() > 0 && saved.requests() <= t.made.Load(), "kept is what was seen, and no more than was made",
		"%d of %d", saved.requests(), t.made.Load())
	f.that(saved.requests()+sent.last >= exported, "kept is at most one flush behind what was sent", "%d kept, %d sent", saved.requests(), exported)
	return t.goesOn(f, saved, exported)
}

// goesOn starts the second agent and checks that nothing of it is missing.
func (t *stand) goesOn(f *fault, before kept, exported uint64) error {
	b, err := t.agent("second", agentOptions{state: t.state()})
	if err != nil {
		return err
	}
	defer b.Kill()
	from := t.made.Load()
	if err := t.rest(2 * time.Second); err != nil {
		return err
	}
	end, err := b.finish()
	if err != nil {
		return err
	}
	made := t.made.Load() - from
	after, err := b.kept()
	if err != nil {
		return err
	}
	f.that(after.Starts == before.Starts+1, "the second goes on where the first was", "start %d", after.Starts)
	f.same("requests since the restart = added to the totals", made, after.requests()-before.requests())
	// What it logs at its end are the totals of both.
	f.same("totals of the log = totals on disk", end.Finished+end.Failed, after.requests())
	got := t.receiver.end()
	f.same("requests since the restart = lines of the second", made, got.counters[requests]-exported)
	f.that(len(b.said("set aside")) == 0, "no file was damaged", "%d set aside", len(b.said("set aside")))
	f.says("start %d; %d requests of the first kept, of %d made until it had ended", after.Starts, before.requests(), from)
	return nil
}
