// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// report is all that was measured.
type report struct {
	date     time.Time
	machine  machine
	seconds  int
	pairs    int     // wanted
	others   float64 // part of one CPU
	bareRate float64 // median requests/s at full load
	full     []*result
	half     []*result
	switches []*result
	runTimes []runTime
}

func newReport(o *options) *report {
	return &report{date: time.Now(), machine: thisMachine(), seconds: o.seconds, pairs: o.pairs, others: o.others}
}

func (r *report) write(path string) error {
	text := r.markdown()
	if path == "-" {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// failure is an error if anything was lost or miscounted in any run.
func (r *report) failure() error {
	var errs []error
	for _, results := range [][]*result{r.full, r.half, r.switches} {
		for _, one := range results {
			for _, p := range one.all() {
				if p.complete() {
					continue
				}
				errs = append(errs, fmt.Errorf("%s: lost (of all traffic of the host) %v, miscounted %q", one.variant.name, p.with.lost(), p.with.miscounted))
			}
		}
	}
	return errors.Join(errs...)
}

func (p pair) complete() bool { return p.with.miscounted == "" && len(p.with.lost()) == 0 }

// figures of one variant under one load.
type figures struct {
	rate, p50, p99, part99 quartiles // with the probe / without
	cpu                    quartiles // seconds per million requests
	rssBytes               uint64    // highest of all runs
	incomplete             int       // runs with a loss or a wrong count
	lost                   uint64    // events, over all runs
}

func (r *result) figures() figures {
	f := figures{
		rate:   across(r.counted, func(p pair) float64 { return p.ratio(perSecond) }),
		p50:    across(r.counted, func(p pair) float64 { return p.ratio(p50) }),
		p99:    across(r.counted, func(p pair) float64 { return p.ratio(p99) }),
		part99: across(r.counted, func(p pair) float64 { return p.ratio(part99) }),
		cpu:    across(r.counted, func(p pair) float64 { return p.with.cpuPerMillion() }),
	}
	for _, p := range r.all() {
		f.rssBytes = max(f.rssBytes, p.with.rssBytes)
		if !p.complete() {
			f.incomplete++
		}
		for _, n := range p.with.lost() {
			f.lost += n
		}
	}
	return f
}

// find returns the result of a variant, nil if it was not measured.
func find(results []*result, name string) *result {
	i := slices.IndexFunc(results, func(r *result) bool { return r.variant.name == name })
	if i < 0 {
		return nil
	}
	return results[i]
}

// bareFigures are the runs without the probe, each once.
type bareFigures struct {
	rate, p50, p99, part99 quartiles
	// A bare run / the one before: of the rate, or of p50 at half load; and of both p99.
	noise, noiseP99, noisePart99 quartiles
}

func bareOf(results []*result, steadiness figure) bareFigures {
	runs := map[sample]bool{}
	var noise, noiseP99, noisePart99 []float64
	for _, r := range results {
		for _, p := range r.all() {
			runs[p.before], runs[p.after] = true, true
			noise = append(noise, p.noise(steadiness))
			noiseP99 = append(noiseP99, p.noise(p99))
			noisePart99 = append(noisePart99, p.noise(part99))
		}
	}
	of := func(f figure) quartiles {
		var values []float64
		for s := range maps.Keys(runs) {
			values = append(values, f(s))
		}
		return quartilesOf(values)
	}
	return bareFigures{
		rate: of(perSecond), p50: of(p50), p99: of(p99), part99: of(part99),
		noise: quartilesOf(noise), noiseP99: quartilesOf(noiseP99), noisePart99: quartilesOf(noisePart99),
	}
}

// goal is a figure to reach; must is the limit that is not negotiable. NaN
// means that there is none.
type goal struct {
	what       string
	value      float64
	goal, must float64
	// atLeast: more is better.
	atLeast bool
	format  string
	// noise is the same figure of a run without the probe to the one before; the zero
	// value: not known.
	noise quartiles
}

// undecided: bare runs differ by more than the limit allows, and no less than what was
// measured.
func (g goal) undecided() bool {
	if g.atLeast {
		return g.noise.lower < g.must && g.noise.lower <= g.value
	}
	return g.noise.upper > g.must && g.noise.upper >= g.value
}

func (g goal) reaches(limit float64) bool {
	if g.atLeast {
		return g.value >= limit
	}
	return g.value <= limit
}

func (g goal) verdict() string {
	switch {
	case math.IsNaN(g.value):
		return "not measured"
	case g.noise != quartiles{} && g.undecided():
		return fmt.Sprintf("not decided: without it %.2f to %.2f", g.noise.lower, g.noise.upper)
	case !math.IsNaN(g.must) && !g.reaches(g.must):
		return "**not met**"
	case !math.IsNaN(g.goal) && !g.reaches(g.goal):
		return "must met, goal not met"
	}
	return "met"
}

// goals compares what was measured with what was promised.
func (r *report) goals() []goal {
	none := math.NaN()
	var all []goal
	for _, v := range []struct {
		name       string
		goal, must float64
	}{{"server", 0.94, 0.88}, {"both", none, 0.80}} {
		one := find(r.full, v.name)
		if one == nil {
			continue
		}
		f := one.figures()
		name := "`--role " + v.name + "`: "
		rss, lost, incomplete := f.rssBytes, f.lost, f.incomplete
		all = append(all,
			goal{name + "requests/s, ratio to bare", f.rate.median, v.goal, v.must, true, "%.3f", bareOf(r.full, perSecond).noise},
			goal{name + "CPU seconds of the probe per million requests", f.cpu.median, 0.5, 1.2, false, "%.2f", quartiles{}})
		if half := find(r.half, v.name); half != nil {
			h := half.figures()
			rss, lost, incomplete = max(rss, h.rssBytes), lost+h.lost, incomplete+h.incomplete
			bare := bareOf(r.half, p50)
			all = append(all,
				goal{name + "half load, p50, ratio to bare", h.p50.median, none, 1.05, false, "%.3f", bare.noise},
				goal{name + "half load, p99, ratio to bare", h.p99.median, none, 1.05, false, "%.3f", bare.noiseP99})
		}
		all = append(all,
			goal{name + "resident memory, MB", float64(rss) / 1e6, none, 40, false, "%.1f", quartiles{}},
			goal{name + "events lost", float64(lost), none, 0, false, "%.0f", quartiles{}},
			goal{name + "runs with a wrong number of requests or a loss", float64(incomplete), none, 0, false, "%.0f", quartiles{}})
	}
	return append(all, r.detailGoals()...)
}

// detailGoals are about what it costs to know where the time goes.
func (r *report) detailGoals() (all []goal) {
	none := math.NaN()
	off, basic, full := find(r.full, "off"), find(r.full, "server"), find(r.full, "detail")
	if off != nil && basic != nil {
		all = append(all, goal{"`--detail basic`: requests/s, points below `off`",
			100 * (off.figures().rate.median - basic.figures().rate.median), none, 1, false, "%.1f", quartiles{}})
	}
	if off != nil && full != nil {
		all = append(all, goal{"`--detail full`: requests/s, points below `off`",
			100 * (off.figures().rate.median - full.figures().rate.median), 2, 4, false, "%.1f", quartiles{}})
	}
	for _, name := range []string{"server", "detail"} {
		if one := find(r.switches, name); one != nil {
			all = append(all, goal{one.variant.title + ": context switches/s, ratio to bare", one.figures().rate.median, none, 0.95, true, "%.3f", bareOf(r.switches, perSecond).noise})
		}
	}
	return all
}
