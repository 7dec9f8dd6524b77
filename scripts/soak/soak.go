// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	soakTitle = "Soak"
	// warmUp is when memory must have become flat; of a shorter run a sixth.
	warmUp      = 5 * time.Minute
	warmUpShare = 6
	// mostDrift is how far memory may be from what it was then.
	mostDrift   = 0.10
	sampleEvery = 10 * time.Second
	// restTime lets the servers notice that the last clients have gone.
	restTime = time.Second
)

// soaking is the soak under way.
type soaking struct {
	settings
	site     *site
	load     *load
	agent    *agent
	receiver *receiver
	samples  []sample
	checks   checks
	sums     sums
	totals   totals
	logged   map[string]uint64
	cpus     float64 // that probe used, of one
	busy     float64 // share of all CPUs that the host used
	length   time.Duration
}

// soak lets probe run under mixed load and compares what it says with what
// servers and clients have counted.
func soak(ctx context.Context, s settings) (one section, err error) {
	k := &soaking{settings: s}
	dir := filepath.Join(s.dir, "soak")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return one, err
	}
	if k.site, err = startSite(dir); err != nil {
		return one, err
	}
	defer k.site.stop()
	if k.receiver, err = newReceiver(); err != nil {
		return one, err
	}
	defer k.receiver.down()
	k.load = newLoad(k.site)
	if err := k.attach(dir); err != nil {
		return one, err
	}
	defer k.agent.Kill()
	if err := k.play(ctx); err != nil {
		return one, err
	}
	if err := k.end(); err != nil {
		return one, err
	}
	k.judge()
	return section{title: soakTitle, text: k.markdown(), checks: k.checks}, nil
}

// attach starts the agent. What others on the host do is filtered out by the
// names of the programs, or no count could be compared exactly.
func (k *soaking) attach(dir string) error {
	var err error
	k.agent, err = startAgent(dir, k.probe, agentOptions{
		name: "agent", statsd: k.receiver.target(), state: filepath.Join(dir, "state"),
		// A route beyond the limits is counted under another name: that part of
		// the load is known by its service.
		args: []string{"--interval", k.interval(), "--comm", comms(), "--service", fmt.Sprintf("port:%d=%s", k.site.freshPort, partNew)},
	})
	return err
}

// interval of the flushes: the default, or less for a soak of seconds.
func (s settings) interval() string {
	if s.duration < time.Minute {
		return "1s"
	}
	return "10s"
}

// play makes the load for as long as it is to last, and takes samples.
func (k *soaking) play(ctx context.Context) error {
	playing, stop := context.WithTimeout(ctx, k.duration)
	defer stop()
	begin := time.Now()
	over := make(chan error, 1)
	go func() { over <- k.load.run(playing, k.rate) }()
	err := k.watch(begin, over)
	k.length = time.Since(begin)
	return errors.Join(err, ctx.Err())
}

// watch takes samples until the load is over.
func (k *soaking) watch(begin time.Time, over <-chan error) error {
	ticks := time.NewTicker(min(sampleEvery, k.duration/30))
	defer ticks.Stop()
	first, err := takeSample(k.agent, 0)
	if err != nil {
		return err
	}
	for {
		select {
		case err := <-over:
			last := k.samples[len(k.samples)-1]
			took := (last.at - first.at).Seconds()
			k.cpus, k.busy = (last.cpu-first.cpu)/took, last.host.busySince(first.host)
			return err
		case <-ticks.C:
		}
		one, err := takeSample(k.agent, time.Since(begin))
		if err != nil {
			return err
		}
		k.samples = append(k.samples, one)
		if len(k.samples)%6 == 1 {
			fmt.Fprintln(os.Stderr, "soak:", one)
		}
	}
}

// end stops everything in order, and collects what each has counted.
func (k *soaking) end() (err error) {
	time.Sleep(restTime)
	if k.totals, err = k.agent.finish(); err != nil {
		return err
	}
	k.sums = k.receiver.end()
	if k.logged, err = k.site.logged(); err != nil {
		return err
	}
	k.logged[partBrief] = k.load.brief.Load()
	return nil
}

// judge says what must be so.
func (k *soaking) judge() {
	if !k.small { // seconds say nothing about it
		k.judgeMemory()
	}
	counters := k.sums.selfCounters()
	k.checks.that(len(lossesOf(counters)) == 0, "no event lost", "%s", lossText(counters))
	for _, p := range k.load.parts {
		made, logged, seen := p.done.Load(), k.logged[p.name], k.seen(p)
		k.checks.that(made > 0 && made == logged && logged == seen, p.about+": clients = server's log = probe", "%d, %d, %d", made, logged, seen)
	}
	k.checks.balance(k.sums, k.totals)
	saved, err := k.agent.kept()
	k.checks.that(err == nil, "totals on disk can be read", "%v", err)
	k.checks.same("totals on disk = finished + failed of the log", saved.requests(), k.totals.Finished+k.totals.Failed)
	worst := k.agent.worst()
	k.checks.that(len(worst) == 0, "no complaint in the log", "%s", first(worst))
	restarts, problems := 0, 0
	for _, one := range k.samples {
		restarts, problems = max(restarts, one.restarts), problems+len(one.problems)
	}
	k.checks.that(restarts == 0 && problems == 0, "no part restarted or stuck, always ready", "%d restarts, %d problems", restarts, problems)
}

// seen is what probe has counted of a part.
func (k *soaking) seen(p *part) uint64 {
	if p.name == partNew {
		return k.sums.services[partNew]
	}
	return k.sums.routes[p.name]
}

// judgeMemory compares every sample after the warm-up with the mean of those in
// the time after it that is as long: memory goes up and down by 5 % within minutes.
func (k *soaking) judgeMemory() {
	after := min(warmUp, k.duration/warmUpShare)
	var later []sample
	var sum uint64
	base := 0
	for _, one := range k.samples {
		if one.at >= after {
			later = append(later, one)
		}
		if one.at >= after && one.at < 2*after {
			sum += one.rss
			base++
		}
	}
	if base == 0 || len(later) == base {
		k.checks.that(false, "resident memory is flat", "only %d samples", len(later))
		return
	}
	middle := float64(sum) / float64(base)
	low, high := later[0].rss, later[0].rss
	for _, one := range later {
		low, high = min(low, one.rss), max(high, one.rss)
	}
	ok := float64(low) >= middle*(1-mostDrift) && float64(high) <= middle*(1+mostDrift)
	k.checks.that(ok, fmt.Sprintf("resident memory after %v within %.0f %% of its mean in the next %v", after, 100*mostDrift, after),
		"%s, and %s to %s", mib(uint64(middle)), mib(low), mib(high))
}

// first of several lines, and how many more.
func first(lines []string) string {
	switch len(lines) {
	case 0:
		return "none"
	case 1:
		return lines[0]
	}
	return fmt.Sprintf("%s, and %d more", lines[0], len(lines)-1)
}
