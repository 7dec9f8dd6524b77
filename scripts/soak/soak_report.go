// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"probe/scripts/process"
)

func (k *soaking) markdown() string {
	var b strings.Builder
	last := k.samples[len(k.samples)-1]
	fmt.Fprintf(&b, `
Measured %s on Linux %s with %d CPUs: %v of mixed load. All CPUs were %.0f %% busy, other work on the host included, probe's process with %.1f %% of one of them. It counted %d requests, %.0f per second; what others did is filtered out by command names.

| load | per second | clients | server's log | probe |
|---|---|---|---|---|
`, time.Now().UTC().Format(time.DateOnly), process.KernelRelease(), runtime.NumCPU(), k.length.Round(time.Second), 100*k.busy, 100*k.cpus,
		last.requests, float64(last.requests)/k.length.Seconds())
	for _, p := range k.load.parts {
		made := p.done.Load()
		fmt.Fprintf(&b, "| %s | %.0f | %d | %d | %d |\n", p.about, float64(made)/k.length.Seconds(), made, k.logged[p.name], k.seen(p))
	}
	b.WriteString("\n")
	b.WriteString(k.checks.list())
	fmt.Fprintf(&b, "\nThe kernel left out %d runs of hooks that were interrupted on their CPU (`%s`, of any socket of the host); the end of a connection has two hooks. %d did not wait any longer for another one on the same connection (`%s`).\n",
		k.sums.selfCounters()[recursion], recursion, k.sums.selfCounters()[raced], raced)
	b.WriteString(`
Every minute; *open* are requests under way, *events lost* since the start:

| minute | resident | heap | requests | events lost | goroutines | open files | series | open |
|---|---|---|---|---|---|---|---|---|
`)
	minute := 0
	for i, s := range k.samples {
		if now := int(s.at / time.Minute); i > 0 && now == minute && i < len(k.samples)-1 {
			continue
		} else {
			minute = now
		}
		fmt.Fprintf(&b, "| %.1f | %s | %s | %d | %s | %.0f | %.0f | %d | %d |\n",
			s.at.Minutes(), mib(s.rss), mib(uint64(s.heap)), s.requests, lossText(s.lost), s.goroutines, s.files, s.series, s.open)
	}
	return b.String()
}
