// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"probe/scripts/process"
)

const faultsTitle = "Faults"

// fault is the outcome of one experiment.
type fault struct {
	name string
	done string // what was done
	said []string
	checks
}

// says notes what probe said: a counter and its value, or a line of its log.
func (f *fault) says(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

// counter notes one of probe's own counters.
func (f *fault) counter(counters map[string]uint64, names ...string) {
	for _, name := range names {
		f.says("`%s` %d", name, counters[name])
	}
}

// experiment is one thing that breaks.
type experiment struct {
	name string
	run  func(*stand, *fault) error
	// slow ones are left out of the tests.
	slow bool
}

func (s settings) experiments() []experiment {
	all := []experiment{
		{name: "kill -9 under load, and a restart", run: killed},
		{name: "killed for want of memory, and a restart", run: outOfMemory},
		{name: "disk full", run: diskFull},
		{name: "statsd receiver down and up again", run: receiverAway},
		{name: "ring full", run: ringFull},
		{name: "process storm", run: storm},
		{name: "control group removed while busy", run: groupRemoved},
		{name: "tracefs unmounted", run: noTracefs},
		{name: "second agent started", run: secondAgent, slow: true},
	}
	if s.clockStep {
		all = append(all, experiment{name: "clock set forward by an hour, and back", run: clockStep})
	}
	return all
}

// faults breaks one thing after another.
func faults(ctx context.Context, s settings) (section, error) {
	var all []fault
	one := section{title: faultsTitle}
	for i, e := range s.experiments() {
		if ctx.Err() != nil {
			return one, ctx.Err()
		}
		if e.slow && s.small {
			continue
		}
		f, err := e.try(s, i)
		if err != nil {
			return one, fmt.Errorf("%s: %w", e.name, err)
		}
		for _, c := range f.checks {
			c.name = f.name + ": " + c.name
			one.checks = append(one.checks, c)
		}
		all = append(all, f)
	}
	one.text = faultsMarkdown(all)
	return one, nil
}

func (e experiment) try(s settings, i int) (fault, error) {
	f := fault{name: e.name}
	begin := time.Now()
	t, err := newStand(s, fmt.Sprint("fault", i))
	if err != nil {
		return f, err
	}
	defer t.end()
	if err := e.run(t, &f); err != nil {
		return f, err
	}
	fmt.Fprintf(os.Stderr, "faults: %s: %v, %d checks, failed: %s\n", f.name, time.Since(begin).Round(time.Second), len(f.checks), first(f.failed()))
	return f, nil
}

func faultsMarkdown(all []fault) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
Measured %s on Linux %s. Requests go to an nginx that no one else uses, and each is counted by the client.

| what | done | probe says | |
|---|---|---|---|
`, time.Now().UTC().Format(time.DateOnly), process.KernelRelease())
	for _, f := range all {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.name, f.done, strings.Join(f.said, "; "), passed(len(f.failed()) == 0))
	}
	b.WriteString("\nWhat was checked of each:\n\n| of | must be | is | |\n|---|---|---|---|\n")
	for _, f := range all {
		for _, c := range f.checks {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.name, c.name, c.got, passed(c.ok))
		}
	}
	return b.String()
}
