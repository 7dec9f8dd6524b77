// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// The load part: many requests, and not one may be missing or differ.

const loadConns = 16

// loadServers are those that keep connections open and write an access log.
var loadServers = []string{
	"nginx", "apache-event", "lighttpd", "haproxy", "caddy", "node", "go", "java", "aiohttp", "puma",
}

type loadResult struct {
	rows []loadRow
	errs []string
	// compared is false when there was no probe.
	compared bool
}

// loadRow counts the same requests in three places.
type loadRow struct {
	title       string
	client      int // sent and answered
	log         int // lines of the access log
	probe       int // lines of the probe
	clientBytes int64
	probeBytes  int64
	verdict     string
	exact       bool
	perSecond   int
}

func (l *loadResult) ok() bool {
	bad := func(r loadRow) bool { return r.client != r.log || l.compared && (!r.exact || r.probe != r.log) }
	return len(l.errs) == 0 && !slices.ContainsFunc(l.rows, bad)
}

// load spreads n requests over the servers.
func (p *player) load(n int) *loadResult {
	l := &loadResult{compared: p.probe.path != ""}
	share := (n + len(loadServers) - 1) / len(loadServers)
	for _, v := range servers() {
		if !slices.Contains(loadServers, v.name) {
			continue
		}
		rows, err := p.loadOn(v, share)
		l.take(v.title, rows, err)
		if v.name == "nginx" {
			row, err := p.loadWithAB(v, share)
			l.take("ab on "+v.title, []loadRow{row}, err)
		}
	}
	return l
}

func (l *loadResult) take(title string, rows []loadRow, err error) {
	if err != nil {
		l.errs = append(l.errs, fmt.Sprintf("%s: %v", title, err))
		fmt.Fprintf(os.Stderr, "load: %s: %v\n", title, err)
		return
	}
	for _, r := range rows {
		fmt.Fprintf(os.Stderr, "load: %s: client %d, log %d, probe %d, %s, %d/s\n", r.title, r.client, r.log, r.probe, r.verdict, r.perSecond)
	}
	l.rows = append(l.rows, rows...)
}

// loadOn sends n tagged requests to one server and compares each of them.
func (p *player) loadOn(v *server, n int) ([]loadRow, error) {
	if what := missing(v.needs); what != "" {
		return nil, fmt.Errorf("%s is not installed", what)
	}
	in, err := v.up(p.workDir)
	if err != nil {
		return nil, err
	}
	defer in.down()
	t, err := p.probe.start(in.Dir, v.role(), "--port", in.ports())
	if err != nil {
		return nil, err
	}
	r := &run{behaviour: "load", network: "tcp", address: in.address(), inst: in}
	begin := time.Now()
	playErr := r.flood(n, !v.cgi)
	rate := int(float64(n) / time.Since(begin).Seconds())
	lines, err := t.finish()
	if err := errors.Join(playErr, err); err != nil {
		return nil, err
	}
	log, err := in.log(n)
	if err != nil {
		return nil, err
	}
	var rows []loadRow
	for _, e := range v.ends(in) {
		row, err := countEnd(in, e, r, log, lines)
		if err != nil {
			return nil, err
		}
		row.perSecond = rate
		rows = append(rows, row)
	}
	return rows, nil
}

// countEnd compares one end's lines with what it must have seen.
func countEnd(in *instance, e end, r *run, log []logLine, lines []traceLine) (loadRow, error) {
	wants, err := e.wants(in, []*run{r}, log)
	if err != nil {
		return loadRow{}, err
	}
	mine := slices.DeleteFunc(slices.Clone(lines), func(l traceLine) bool { return !e.takes(l) })
	row := loadRow{title: e.title, client: len(r.seen), log: len(log), probe: len(mine)}
	if !e.main && e.ours {
		row.log = len(wants) // the log of the server behind
	}
	for _, w := range wants {
		row.clientBytes += w.response.min
	}
	for _, l := range mine {
		row.probeBytes += l.ResponseBytes
	}
	var all verdict
	for _, v := range compare(wants, mine) {
		all.matched += v.matched
		all.missing = append(all.missing, v.missing...)
		all.extra = append(all.extra, v.extra...)
		all.differ = append(all.differ, v.differ...)
	}
	row.verdict, row.exact = all.String(), all.exact()
	return row, nil
}

// flood sends n requests over loadConns connections: a mix of kinds, or GET only.
func (r *run) flood(n int, mixed bool) error {
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, loadConns)
	for range loadConns {
		go func() { errs <- r.drain(&left, mixed) }()
	}
	var all []error
	for range loadConns {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

func (r *run) drain(left *atomic.Int64, mixed bool) error {
	var c *conn
	for i := 0; left.Add(-1) >= 0; i++ {
		if c == nil || c.closed {
			var err error
			if c, err = r.dial(); err != nil {
				return err
			}
			defer c.Close()
		}
		kind := 0
		if mixed {
			kind = i
		}
		if _, err := r.do(c, r.mixed(kind)); err != nil {
			return err
		}
	}
	return nil
}

var abComplete = regexp.MustCompile(`Complete requests:\s+([0-9]+)`)

// loadWithAB uses a client that is not ours; requests have no tags, so only the
// numbers of lines can be compared.
func (p *player) loadWithAB(v *server, n int) (loadRow, error) {
	in, err := v.up(p.workDir)
	if err != nil {
		return loadRow{}, err
	}
	defer in.down()
	t, err := p.probe.start(in.Dir, "server", "--port", in.ports())
	if err != nil {
		return loadRow{}, err
	}
	begin := time.Now()
	out, abErr := exec.Command("ab", "-q", "-k", "-n", strconv.Itoa(n), "-c", strconv.Itoa(loadConns), "http://"+in.address()+"/hello?c=ab-0").CombinedOutput()
	rate := int(float64(n) / time.Since(begin).Seconds())
	lines, err := t.finish()
	if err := errors.Join(abErr, err); err != nil {
		return loadRow{}, fmt.Errorf("ab: %w", err)
	}
	log, err := in.log(n)
	if err != nil {
		return loadRow{}, err
	}
	m := abComplete.FindSubmatch(out)
	if m == nil {
		return loadRow{}, errors.New("ab does not say how many requests it made")
	}
	row := loadRow{title: "ab on " + v.title, log: len(log), probe: len(lines), perSecond: rate, verdict: "exact", exact: true}
	if row.client, err = strconv.Atoi(string(m[1])); err != nil {
		return row, err
	}
	for _, l := range log {
		row.clientBytes += l.total
	}
	wrong := 0
	for _, l := range lines {
		row.probeBytes += l.ResponseBytes
		if l.Status != 200 || l.Method != "GET" || l.Outcome != outcomeOK {
			wrong++
		}
	}
	if p.probe.path != "" && (wrong > 0 || row.probeBytes != row.clientBytes) {
		row.exact, row.verdict = false, fmt.Sprintf("%d lines differ, %d bytes for %d", wrong, row.probeBytes, row.clientBytes)
	}
	return row, nil
}

func (l *loadResult) render(b *bytes.Buffer) {
	total := 0
	for _, r := range l.rows {
		total += r.probe
	}
	fmt.Fprintf(b, "\n## Load\n\nMixed requests (GET only where a CGI would start a process for the others) over %d keep-alive connections, each compared on its own; `ab` by numbers only. %d lines in all.\n\n", loadConns, total)
	fmt.Fprintf(b, "| end | client | access log | probe | difference | response bytes | probe's | each request | requests/s |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range l.rows {
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d | %s | %d |\n",
			r.title, r.client, r.log, r.probe, r.probe-r.log, r.clientBytes, r.probeBytes, r.verdict, r.perSecond)
	}
	for _, e := range l.errs {
		fmt.Fprintf(b, "\n**Not measured:** %s\n", e)
	}
}
