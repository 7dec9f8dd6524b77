// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"probe/scripts/process"
)

// The times part: the probe's times against those the server measured itself.

// timeCase is one kind of request to a server that measures itself.
type timeCase struct {
	title string
	// samples is how many requests are compared.
	samples int
	// path of the measuring net/http server, or a mode of the raw one.
	path string
	raw  rawMode
	// tolerance of each compared time, given the server's own.
	tolerance func(own time.Duration) time.Duration
}

// 0.3 ms + 1 %: the server's clock starts when its handler runs, the probe's
// when the request arrives.
func ofHandler(own time.Duration) time.Duration { return 300*time.Microsecond + own/100 }

func ofWait(time.Duration) time.Duration { return time.Millisecond }

func timeCases() []timeCase {
	return []timeCase{
		{title: "handler, 0 ms", samples: 200, path: "/timed/0", tolerance: ofHandler},
		{title: "handler, 1 ms", samples: 200, path: "/timed/1", tolerance: ofHandler},
		{title: "handler, 10 ms", samples: 100, path: "/timed/10", tolerance: ofHandler},
		{title: "handler, 100 ms", samples: 20, path: "/timed/100", tolerance: ofHandler},
		{title: "handler, 1000 ms", samples: 5, path: "/timed/1000", tolerance: ofHandler},
		{title: "handler, first byte after 10 ms, last after 20 ms", samples: 50, path: "/halves/10", tolerance: ofHandler},
		{title: "read 20 ms late on a kept connection", samples: 50, raw: lateRead, tolerance: ofWait},
		{title: "accept 50 ms late", samples: 20, raw: lateAccept, tolerance: ofWait},
		{title: "accept 50 ms late, read 20 ms later (where accept is not observed, the first touch ends wait.accept)", samples: 20, raw: lateBoth, tolerance: ofWait},
	}
}

// ownTimes is what the server measured of one request.
type ownTimes struct{ ttfb, duration, accept, socket time.Duration }

// timeRow compares one kind of time of one case.
type timeRow struct {
	title, field string
	own, probe   time.Duration // medians
	diff, worst  time.Duration // median and largest difference, without sign
	within, n    int
}

// enoughWithin is the share of samples that must be within the tolerance: the
// two clocks are read by different code, and any of the two may be interrupted
// between its event and its clock.
const enoughWithin = 0.95

func (r timeRow) ok() bool { return r.n > 0 && float64(r.within) >= enoughWithin*float64(r.n) }

type timesResult struct {
	rows []timeRow
	errs []string
}

func (t *timesResult) ok() bool {
	return len(t.errs) == 0 && !slices.ContainsFunc(t.rows, func(r timeRow) bool { return !r.ok() })
}

func (p *player) times() *timesResult {
	t := &timesResult{}
	for _, c := range timeCases() {
		rows, err := p.timeOne(c)
		if err != nil {
			t.errs = append(t.errs, fmt.Sprintf("%s: %v", c.title, err))
			fmt.Fprintf(os.Stderr, "times: %s: %v\n", c.title, err)
			continue
		}
		for _, r := range rows {
			fmt.Fprintf(os.Stderr, "times: %s: %s own %v, probe %v, difference %v, worst %v, %d of %d within\n",
				r.title, r.field, r.own, r.probe, r.diff, r.worst, r.within, r.n)
		}
		t.rows = append(t.rows, rows...)
	}
	return t
}

// timeOne plays one case under a probe of its own.
func (p *player) timeOne(c timeCase) ([]timeRow, error) {
	dir, err := os.MkdirTemp(p.workDir, "times-")
	if err != nil {
		return nil, err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	srv, err := startTimed(dir, port, c)
	if err != nil {
		return nil, err
	}
	defer srv.Stop()
	t, err := p.probe.start(dir, "server", "--port", fmt.Sprint(port))
	if err != nil {
		return nil, err
	}
	sends, playErr := c.play(fmt.Sprintf("127.0.0.1:%d", port))
	lines, err := t.finish()
	if err := errors.Join(playErr, err); err != nil {
		return nil, err
	}
	own, err := readOwnTimes(srv.Stdout, sends)
	if err != nil {
		return nil, err
	}
	return c.rows(own, lines)
}

// rows pairs the server's own times with the probe's.
func (c timeCase) rows(own map[string]ownTimes, lines []traceLine) ([]timeRow, error) {
	type pair struct{ own, probe time.Duration }
	fields := map[string][]pair{}
	for _, l := range lines {
		o, ok := own[tagOf(l.Target)]
		if !ok {
			return nil, fmt.Errorf("the server knows nothing of %s", l.Target)
		}
		note := func(field string, own time.Duration, probe int64) {
			fields[field] = append(fields[field], pair{own, time.Duration(probe)})
		}
		switch c.raw {
		case notRaw:
			note("ttfb", o.ttfb, l.TTFB)
			note("duration", o.duration, l.Duration)
		case lateBoth:
			note("wait.accept + wait.socket", o.accept+o.socket, l.Wait.Accept+l.Wait.Socket)
		default:
			note("wait.accept", o.accept, l.Wait.Accept)
			note("wait.socket", o.socket, l.Wait.Socket)
		}
	}
	if len(lines) != len(own) {
		return nil, fmt.Errorf("%d lines for %d requests", len(lines), len(own))
	}
	var rows []timeRow
	for _, f := range sortedKeys(fields) {
		r := timeRow{title: c.title, field: f, n: len(fields[f])}
		var owns, probes, diffs []time.Duration
		for _, p := range fields[f] {
			d := (p.probe - p.own).Abs()
			owns, probes, diffs = append(owns, p.own), append(probes, p.probe), append(diffs, d)
			if d <= c.tolerance(p.own) {
				r.within++
			}
		}
		r.own, r.probe, r.diff, r.worst = median(owns), median(probes), median(diffs), slices.Max(diffs)
		rows = append(rows, r)
	}
	return rows, nil
}

func median(ds []time.Duration) time.Duration {
	ds = slices.Sorted(slices.Values(ds))
	return ds[len(ds)/2]
}

func (t *timesResult) render(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n## Times\n\nThe probe against the server's own clock, in milliseconds. At least %.0f %% of the requests must be within the tolerance:\n", 100*enoughWithin)
	fmt.Fprintf(b, "0.3 ms + 1 %% for ttfb and duration, 1 ms for the waits.\n\n")
	fmt.Fprintf(b, "| case | time | server's own, median | probe's, median | difference, median | worst | within |\n|---|---|---|---|---|---|---|\n")
	for _, r := range t.rows {
		within := fmt.Sprintf("%d of %d", r.within, r.n)
		if !r.ok() {
			within = "**" + within + "**"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.title, r.field,
			milliseconds(r.own), milliseconds(r.probe), milliseconds(r.diff), milliseconds(r.worst), within)
	}
	for _, e := range t.errs {
		fmt.Fprintf(b, "\n**Not measured:** %s\n", strings.ReplaceAll(e, "\n", " "))
	}
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()*1000) }
