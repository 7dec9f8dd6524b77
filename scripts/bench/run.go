// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// loadKind is one way to load the server, and how to judge its runs.
type loadKind struct {
	name string
	run  func() (sample, error)
	// steadiness is the figure in which the bare runs of a pair must agree.
	steadiness figure
	wants      func(variant) bool
}

// result of one variant under one load.
type result struct {
	variant   variant
	counted   []pair
	discarded []pair
}

// campaign measures variants in rounds. Each round runs every variant that
// still needs pairs once, in random order, with a bare run between any two;
// a bare run is the end of one pair and the begin of the next.
type campaign struct {
	bench    *bench
	pairs    int       // counted pairs wanted of each variant
	deadline time.Time // no round starts after it
	// maxForeign is the part of one CPU that other programs may take.
	maxForeign float64
	progress   io.Writer
}

// roundsPerPair bounds the rounds where too few pairs count.
const roundsPerPair = 3

// settle lets the kernel finish what detaching left behind.
const settle = 100 * time.Millisecond

func (c *campaign) measure(ctx context.Context, kind loadKind, variants []variant) ([]*result, error) {
	var results []*result
	for _, v := range variants {
		if kind.wants(v) {
			results = append(results, &result{variant: v})
		}
	}
	if len(results) == 0 {
		return nil, nil
	}
	before, err := kind.run()
	if err != nil {
		return nil, fmt.Errorf("bare run: %w", err)
	}
	for range c.pairs * roundsPerPair {
		open := c.shuffled(results)
		if len(open) == 0 || time.Now().After(c.deadline) {
			break
		}
		for _, r := range open {
			if before, err = c.pair(ctx, kind, r, before); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

// shuffled returns the results that need more pairs, in random order.
func (c *campaign) shuffled(results []*result) []*result {
	var open []*result
	for _, r := range results {
		if len(r.counted) < c.pairs {
			open = append(open, r)
		}
	}
	rand.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	return open
}

// pair measures r once and returns the bare run after it.
func (c *campaign) pair(ctx context.Context, kind loadKind, r *result, before sample) (sample, error) {
	if err := ctx.Err(); err != nil {
		return sample{}, errors.New("interrupted")
	}
	with, err := c.bench.with(r.variant, kind.run, nil)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", r.variant.name, err)
	}
	time.Sleep(settle)
	after, err := kind.run()
	if err != nil {
		return sample{}, fmt.Errorf("bare run: %w", err)
	}
	p := pair{before: before, with: with, after: after}
	verdict := "counted"
	if p.counts(kind.steadiness, c.maxForeign) {
		r.counted = append(r.counted, p)
	} else {
		r.discarded = append(r.discarded, p)
		verdict = "discarded"
	}
	fmt.Fprintf(c.progress, "%s %-8s requests/s %.3f p50 %.3f p99 %.3f cpu/million %.2f foreign %.2f %s\n", kind.name,
		r.variant.name, p.ratio(perSecond), p.ratio(p50), p.ratio(p99), with.cpuPerMillion(),
		max(before.foreign, with.foreign, after.foreign), verdict)
	return after, nil
}

// all pairs, counted or not: each of them was observed and must be complete.
func (r *result) all() []pair { return append(append([]pair(nil), r.counted...), r.discarded...) }

// medianBare is the median speed of all bare runs.
func medianBare(results []*result) float64 {
	var all []float64
	for _, r := range results {
		for _, p := range r.all() {
			all = append(all, p.before.perSecond)
		}
	}
	return quartilesOf(all).median
}

// runTime is a run of one variant with statistics of the BPF programs.
type runTime struct {
	variant  variant
	requests uint64
	programs []programCost
}

// runTimes measures each variant once while the kernel takes the time of every
// run of a program.
func (c *campaign) runTimes(kind loadKind, variants []variant) (all []runTime, err error) {
	stats, err := enableRunTime()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stats.Close()) }()
	for _, v := range variants {
		if !kind.wants(v) {
			continue
		}
		var before, after []programCost
		run, err := c.bench.with(v, kind.run, func(pid int) error {
			before = after
			var err error
			after, err = programsOf(pid)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s with run times: %w", v.name, err)
		}
		all = append(all, runTime{v, run.requests, subtract(after, before)})
	}
	return all, nil
}

// subtract returns what the programs did from before to after.
func subtract(after, before []programCost) []programCost {
	var all []programCost
	for _, a := range after {
		for _, b := range before {
			if a.id == b.id {
				a.runNS -= b.runNS
				a.runCount -= b.runCount
			}
		}
		all = append(all, a)
	}
	return all
}
