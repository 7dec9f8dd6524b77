// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is what the figures depend on.
type machine struct {
	kernel, cpu, nginx, wrk, compiler string
	cpus                              int
}

func thisMachine() machine {
	m := machine{kernel: "unknown", cpu: runtime.GOARCH, nginx: nginxVersion(), wrk: wrkVersion(), compiler: runtime.Version(), cpus: runtime.NumCPU()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.kernel = unix.ByteSliceToString(u.Release[:])
	}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.cpu = strings.TrimSpace(value)
			break
		}
	}
	return m
}

// wrkVersion reads the first line of wrk -v, which always exits with 1.
func wrkVersion() string {
	out, _ := exec.Command("wrk", "-v").CombinedOutput()
	version, _, _ := strings.Cut(string(out), " [")
	return strings.TrimSpace(version)
}

func (r *report) markdown() string {
	var b strings.Builder
	r.writeHead(&b)
	r.writeGoals(&b)
	r.writeFull(&b)
	r.writeHalf(&b)
	r.writeSwitches(&b)
	r.writeRunTimes(&b)
	r.writeMethod(&b)
	return b.String()
}

func (r *report) writeHead(b *strings.Builder) {
	m := r.machine
	fmt.Fprintf(b, "# Benchmarks\n\nWhat an attached `probe run` costs a busy server. Written by `make bench`; do not edit.\n\n")
	fmt.Fprintf(b, "Measured %s on Linux %s, %d × %s, with %s, %s and %s.\n\n",
		r.date.UTC().Format(time.DateOnly), m.kernel, m.cpus, m.cpu, m.nginx, m.wrk, m.compiler)
	fmt.Fprintf(b, "Figures are medians of up to %d counted pairs, some with their quartiles in brackets. A ratio is the run with the probe to the runs without it just before and after. \"Not decided\": the quartiles of the same ratio without the probe, of a run to the run before, reach beyond the limit and beyond what was measured.\n\n", r.pairs)
}

func (r *report) writeGoals(b *strings.Builder) {
	fmt.Fprintf(b, "## Goals\n\n| figure | measured | goal | must | result |\n|---|---|---|---|---|\n")
	for _, g := range r.goals() {
		limit := func(v float64) string {
			switch {
			case math.IsNaN(v):
				return ""
			case g.atLeast:
				return fmt.Sprintf("≥ %v", v)
			case v == 0:
				return "0"
			}
			return fmt.Sprintf("≤ %v", v)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", g.what, number(g.format, g.value), limit(g.goal), limit(g.must), g.verdict())
	}
	b.WriteByte('\n')
}

func (r *report) writeFull(b *strings.Builder) {
	if len(r.full) == 0 {
		return
	}
	bare := bareOf(r.full, perSecond)
	fmt.Fprintf(b, "## Full load\n\n`wrk -t1 -c%d` as fast as it can. Each row is what one more part costs.\n\n", connections)
	fmt.Fprintf(b, "| attached | requests/s, ratio | p50, ratio | p99, ratio | CPU s per million requests | memory, MB | lost | pairs counted (discarded) |\n|---|---|---|---|---|---|---|---|\n")
	fmt.Fprintf(b, "| nothing: %.0f requests/s, p50 %s, p99 %s | %s | | %s | | | | |\n", bare.rate.median,
		shortTime(bare.p50.median), shortTime(bare.p99.median), ratio(bare.noise), ratio(bare.noiseP99))
	for _, one := range r.full {
		f := one.figures()
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %.1f | %d | %d (%d) |\n", one.variant.title, ratio(f.rate), ratio(f.p50), ratio(f.p99),
			number("%.2f", f.cpu.median), float64(f.rssBytes)/1e6, f.lost, len(one.counted), len(one.discarded))
	}
	fmt.Fprintf(b, "\nThe first row's ratios are a bare run to the bare run before it: the noise of the machine.\n\n")
}

func (r *report) writeHalf(b *strings.Builder) {
	if len(r.half) == 0 {
		return
	}
	bare := bareOf(r.half, p50)
	fmt.Fprintf(b, "## Half load\n\n%.0f requests/s at a constant rate, half of the above, over %d connections. A latency counts from the moment the request was due.\n\n", r.bareRate/2, connections)
	fmt.Fprintf(b, "| attached | p50, ratio | p99, ratio | p99 of %d ms, ratio | CPU s per million requests | memory, MB | lost | pairs counted (discarded) |\n|---|---|---|---|---|---|---|---|\n", partLength.Milliseconds())
	fmt.Fprintf(b, "| nothing: p50 %s, p99 %s, of %d ms %s | %s | %s | %s | | | | |\n", shortTime(bare.p50.median), shortTime(bare.p99.median),
		partLength.Milliseconds(), shortTime(bare.part99.median), ratio(bare.noise), ratio(bare.noiseP99), ratio(bare.noisePart99))
	for _, one := range r.half {
		f := one.figures()
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %.1f | %d | %d (%d) |\n", one.variant.title, ratio(f.p50), ratio(f.p99), ratio(f.part99),
			number("%.2f", f.cpu.median), float64(f.rssBytes)/1e6, f.lost, len(one.counted), len(one.discarded))
	}
	fmt.Fprintf(b, "\n\"p99 of %d ms\" is the median of the 99th percentiles of parts of that length: of what happens most of the time. The one of a whole run says "+
		"how often the machine had a bad moment. Half of what both CPUs do is what one can do: when the scheduler has put server and load generator on one, it takes "+
		"next to nothing more for a queue that grows until they are parted again.\n\n", partLength.Milliseconds())
}

func (r *report) writeSwitches(b *strings.Builder) {
	if len(r.switches) == 0 {
		return
	}
	bare := bareOf(r.switches, perSecond)
	fmt.Fprintf(b, "## Context switches without HTTP\n\nTwo threads on one CPU pass a byte to and fro: two switches and two wake-ups a round, nothing else.\n\n")
	fmt.Fprintf(b, "| attached | rounds/s, ratio | pairs counted (discarded) |\n|---|---|---|\n")
	fmt.Fprintf(b, "| nothing: %.0f rounds/s | %s | |\n", bare.rate.median, ratio(bare.noise))
	for _, one := range r.switches {
		fmt.Fprintf(b, "| %s | %s | %d (%d) |\n", one.variant.title, ratio(one.figures().rate), len(one.counted), len(one.discarded))
	}
	b.WriteByte('\n')
}

func (r *report) writeRunTimes(b *strings.Builder) {
	if len(r.runTimes) == 0 {
		return
	}
	fmt.Fprintf(b, "## BPF programs\n\nA run of its own at full load, in which the kernel takes the time of every run of a program. "+
		"Taking it costs about 50 ns per run, some of them inside the figure. One CPU-second holds 10⁹ ns.\n\n"+
		"| attached | program | runs per request | ns per run | ns per request |\n|---|---|---|---|---|\n")
	for _, t := range r.runTimes {
		n := float64(t.requests)
		for _, p := range t.programs {
			if p.runCount == 0 {
				continue
			}
			fmt.Fprintf(b, "| %s | `%s` | %.3f | %.0f | %.1f |\n", t.variant.title, p.name,
				float64(p.runCount)/n, float64(p.runNS)/float64(p.runCount), float64(p.runNS)/n)
		}
	}
	b.WriteByte('\n')
}

func (r *report) writeMethod(b *strings.Builder) {
	fmt.Fprintf(b, `## Method

- nginx with one worker answers %s with %s; the load generator, the
  worker and the probe share the same two CPUs, so that nothing the probe does is free.
- Every run takes %d s. A run with the probe stands between two without it, and the pair counts only if these agree
  within %.0f %% (requests/s at full load, p50 at half load) and no other program took more than %.0f %% of one CPU.
  Variants are taken in rounds, each round in a new random order; a bare run ends one pair and begins the next.
- The probe is started anew for each run, and attached for %v when the load begins, with a statsd receiver on the loopback and a flush every second (the default
  is ten): its CPU time is that of all its threads during the load, its memory the highest resident set so far, buffers
  shared with the kernel included.
- The requests in the statsd lines must be those that the load generator counts, except for the at most %d that wrk leaves
  behind unanswered; a difference, or any counter of a loss, makes the bench fail. Timings never do.
- "Hooks and filters, nothing wanted" is %s: every socket is looked at once and skipped from then on.
- With %s the same requests are counted twice, at the server's and at the client's end.
`, "`"+benchPath+"`", "`return 200`", r.seconds, agreement*100, r.others*100, warmUp, connections, "`--role client --port 1 --detail off`", "`--role both`")
}

// ratio prints a median with its quartiles.
func ratio(q quartiles) string {
	if math.IsNaN(q.median) {
		return "not measured"
	}
	return fmt.Sprintf("%.3f (%.3f–%.3f)", q.median, q.lower, q.upper)
}

func number(format string, v float64) string {
	if math.IsNaN(v) {
		return "not measured"
	}
	return fmt.Sprintf(format, v)
}

func shortTime(ns float64) string {
	if math.IsNaN(ns) {
		return "unknown"
	}
	return fmt.Sprintf("%.0f µs", ns/1e3)
}
