// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// sample is one request.
type sample struct {
	own  own
	line *traceLine
	shares
}

// cell is one kind of work on one runtime.
type cell struct {
	work
	clients int
	played  int      // requests
	samples []sample // those that did the work: a lock may have been free
	limit   string   // why its cause cannot be known, or ""
}

// result is what one runtime gave.
type result struct {
	cells []*cell
	err   error
}

func (c *cell) splits() []split {
	var all []split
	for _, s := range c.samples {
		all = append(all, s.line.split())
	}
	return all
}

// judge compares every sample, given what a request without work costs.
func (c *cell) judge(usual split, runtime string) {
	c.limit = limits()[runtime+" "+c.path]
	c.played = len(c.samples)
	c.samples = slices.DeleteFunc(c.samples, func(s sample) bool { return s.own.Added < leastTime })
	for i := range c.samples {
		s := &c.samples[i]
		got := s.line.split()
		want := s.own.expect(c.cause, c.clients > 1, got, usual, s.line.served())
		s.shares = judge(got, usual, c.cause, want)
	}
}

func (c *cell) of(f func(sample) float64, q float64) float64 {
	var values []float64
	for _, s := range c.samples {
		values = append(values, f(s))
	}
	return quantile(values, q)
}

func right(s sample) float64   { return s.right }
func wrong(s sample) float64   { return s.wrong }
func unknown(s sample) float64 { return s.unknown }

// ok judges one request at a time; several are only reported.
func (c *cell) ok() bool {
	if c.clients > 1 {
		return true
	}
	return 2*len(c.samples) > c.played && c.of(wrong, 0.5) <= mostWrong && (c.of(right, 0.5) >= leastRight || c.limit != "")
}

// attributions lists what the lines said, most frequent first.
func (c *cell) attributions() string {
	count := map[string]int{}
	for _, s := range c.samples {
		count[s.line.Attribution]++
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return count[b] - count[a] })
	if len(names) == 1 {
		return names[0]
	}
	for i, n := range names {
		names[i] = fmt.Sprintf("%s %d %%", n, count[n]*100/len(c.samples))
	}
	return strings.Join(names, ", ")
}

func (c *cell) print(w io.Writer, runtime string, verbose bool) {
	verdict := "ok"
	if !c.ok() {
		verdict = "FAILED"
	}
	fmt.Fprintf(w, "%s %s, %d clients: right %s, wrong %s, unattributed %s, %s: %s\n", runtime, c.path, c.clients,
		c.spread(right), c.spread(wrong), c.spread(unknown), c.attributions(), verdict)
	if !verbose && c.ok() {
		return
	}
	for _, s := range c.samples {
		fmt.Fprintf(w, "  own %v cpu %v runq %v reclaim %v; probe %v %s %v\n",
			s.own.Added, s.own.CPU, s.own.RunQ, s.own.Reclaim, s.line.Duration, s.line.Attribution, nonZero(s.line.split()))
		if !verbose {
			break
		}
	}
}

func nonZero(s split) split {
	left := split{}
	for c, d := range s {
		if d != 0 {
			left[c] = d
		}
	}
	return left
}

// spread prints the median and the tenth and ninetieth percentile.
func (c *cell) spread(f func(sample) float64) string {
	percent := func(q float64) float64 { return 100 * c.of(f, q) }
	return fmt.Sprintf("%.1f (%.1f–%.1f)", percent(0.5), percent(0.1), percent(0.9))
}

// report is everything that was measured.
type report struct {
	samples int
	rows    []row
}

type row struct {
	runtime
	result
}

func (r *report) add(rt runtime, res result) {
	if res.err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", rt.name, res.err)
	}
	r.rows = append(r.rows, row{rt, res})
}

func (r *report) empty() bool { return len(r.rows) == 0 }

func (r *report) ok() bool {
	return !slices.ContainsFunc(r.rows, func(row row) bool {
		return row.err != nil || slices.ContainsFunc(row.cells, func(c *cell) bool { return !c.ok() })
	})
}

func (r *report) write(path string) error {
	var b bytes.Buffer
	r.render(&b)
	if path == "-" {
		_, err := os.Stdout.Write(b.Bytes())
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
