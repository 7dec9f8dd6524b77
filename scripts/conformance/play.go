// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"probe/scripts/process"
)

// row is one line of the report's table: one end of one server.
type row struct {
	title string
	cells map[string]cell // by behaviour
	log   *logComparison  // nil where there is no access log to compare with
}

// cell is the verdict on one behaviour.
type cell struct {
	text   string
	fine   bool // exact, not applicable or a known gap
	detail []string
}

// played is what playing all behaviours on one server gave.
type played struct {
	runs  []*run
	lines []traceLine
	pids  map[int]bool      // processes of the server
	fails map[string]string // behaviour → why it could not be played
}

// player plays behaviours on servers under a probe.
type player struct {
	probe     tracer
	workDir   string
	behaviour string // "" for all
	verbose   bool
}

// play runs one server through every behaviour and returns its rows.
func (p *player) play(v *server) ([]row, error) {
	if what := missing(v.needs); what != "" {
		return nil, fmt.Errorf("%s is not installed", what)
	}
	in, err := v.up(p.workDir)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer in.down()
	all := played{pids: map[int]bool{}, fails: map[string]string{}}
	if v.lacks["unix"] == "" && (p.behaviour == "" || p.behaviour == "unix") {
		if err := p.session(in, &all, true); err != nil {
			return nil, fmt.Errorf("over the Unix socket: %w", err)
		}
	}
	if p.behaviour != "unix" {
		if err := p.session(in, &all, false); err != nil {
			return nil, err
		}
	}
	return p.rows(in, all)
}

// session starts a probe, plays the behaviours of one kind and collects what
// the probe printed.
func (p *player) session(in *instance, all *played, unix bool) error {
	var early *conn
	role, args := in.server.role(), []string{"--port", in.ports()}
	if unix {
		role, args = "server", nil
	} else if in.server.lacks["before"] == "" {
		var err error
		if early, err = openEarly(in); err != nil {
			return err
		}
		defer early.Close()
	}
	t, err := p.probe.start(in.Dir, role, args...)
	if err != nil {
		return err
	}
	for _, b := range inOrder(behaviours(), p.behaviour, unix) {
		if in.server.lacks[b.name] != "" {
			continue
		}
		if b.last {
			time.Sleep(in.server.logDelay) // it will not live to write its log
		}
		addPIDs(all.pids, in.procs)
		r := &run{behaviour: b.name, network: "tcp", address: in.address(), inst: in, early: early}
		if unix {
			r.network, r.address = "unix", in.Unix
		}
		if err := b.play(r); err != nil {
			all.fails[b.name] = err.Error()
		}
		all.runs = append(all.runs, r)
		if !b.last {
			addPIDs(all.pids, in.procs)
		}
	}
	lines, err := t.finish()
	if unix {
		// Without a port filter the probe also sees what is behind a proxy, and
		// other programs.
		front := map[int]bool{}
		addPIDs(front, in.procs[:1])
		lines = slices.DeleteFunc(lines, func(l traceLine) bool {
			return !front[l.PID] || behaviourOfTag(tagOf(l.Target)) != "unix"
		})
	}
	all.lines = append(all.lines, lines...)
	return err
}

// openEarly opens a connection and makes one request on it, which no probe may
// report since none is running.
func openEarly(in *instance) (*conn, error) {
	c, err := dial("tcp", in.address())
	if err != nil {
		return nil, err
	}
	if _, err := c.do(request{method: "GET", target: "/hello?c=unseen-1", tag: "unseen-1"}); err != nil {
		return nil, fmt.Errorf("request before the probe: %w", err)
	}
	return c, nil
}

// rows compares and fills in the table.
func (p *player) rows(in *instance, all played) ([]row, error) {
	var seen []exchange
	for _, r := range all.runs {
		seen = append(seen, r.seen...)
	}
	var log *logComparison
	var lines []logLine
	if !in.server.log.none {
		var err error
		if lines, err = in.log(len(seen)); err != nil {
			return nil, err
		}
		lines = slices.DeleteFunc(lines, func(l logLine) bool { return tagOf(l.target) == "unseen-1" })
		if len(all.fails) == 0 || p.verbose {
			c := compareLog(in.server.log, seen, lines)
			log = &c
		}
	}
	var rows []row
	for _, e := range in.server.ends(in) {
		wants, err := e.wants(in, all.runs, lines)
		if err != nil {
			return nil, err
		}
		mine := slices.DeleteFunc(slices.Clone(all.lines), func(l traceLine) bool { return !e.takes(l) })
		verdicts := compare(wants, mine)
		if e.ours {
			checkPIDs(verdicts, mine, all.pids)
		}
		r := row{title: e.title, cells: p.cells(in.server, e, all, verdicts)}
		if e.main {
			r.log = log
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// cells turns verdicts into cells.
func (p *player) cells(v *server, e end, all played, verdicts map[string]*verdict) map[string]cell {
	cells := map[string]cell{}
	for _, b := range behaviours() {
		switch reason, fail := v.lacks[b.name], all.fails[b.name]; {
		case p.behaviour != "" && p.behaviour != b.name:
		case reason != "":
			cells[b.name] = cell{text: "n/a", fine: true, detail: []string{reason}}
		case fail != "":
			cells[b.name] = cell{text: "not played", detail: []string{fail}}
		case p.probe.path == "":
			cells[b.name] = cell{text: "played", fine: true}
		case verdicts[b.name] == nil && !e.main:
			cells[b.name] = cell{text: "n/a", fine: true, detail: []string{"nothing reaches this end"}}
		case verdicts[b.name] == nil:
			cells[b.name] = cell{text: "nothing compared"}
		default:
			cells[b.name] = cellOf(e.title, b.name, verdicts[b.name])
		}
	}
	if v := verdicts[""]; v != nil {
		cells[strayLines] = cellOf(e.title, strayLines, v)
	}
	return cells
}

// strayLines is the pseudo behaviour of lines that belong to none.
const strayLines = "stray"

func cellOf(end, behaviour string, v *verdict) cell {
	c := cell{text: v.String(), fine: v.exact()}
	if c.fine {
		return c
	}
	if g, ok := gapFor(end, behaviour, v); ok {
		return cell{text: "known gap: " + g.counter, fine: true, detail: []string{g.why}}
	}
	for _, w := range v.missing {
		c.detail = append(c.detail, fmt.Sprintf("missing: %s %s %s, status %d, from %s", w.role, w.method, w.target, w.status, w.remote))
	}
	for _, l := range v.extra {
		c.detail = append(c.detail, fmt.Sprintf("extra: %s %s %s, status %d, outcome %s, from %s, %d/%d bytes", l.Role, l.Method, l.Target, l.Status, l.Outcome, l.Remote, l.RequestBytes, l.ResponseBytes))
	}
	for _, d := range v.differ {
		c.detail = append(c.detail, d.String())
	}
	return c
}

// checkPIDs notes lines that name a process which is not the server's.
func checkPIDs(verdicts map[string]*verdict, lines []traceLine, pids map[int]bool) {
	m := matcher{verdicts: verdicts}
	for _, l := range lines {
		if v := verdicts[m.behaviourOf(l)]; v != nil && !pids[l.PID] {
			v.differ = append(v.differ, difference{tagOf(l.Target), "pid", "one of the server's", strconv.Itoa(l.PID)})
		}
	}
}

// addPIDs adds the processes in the groups that procs lead.
func addPIDs(pids map[int]bool, procs []*process.Process) {
	var groups []int
	for _, p := range procs {
		groups = append(groups, p.Cmd.Process.Pid)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		f := strings.Fields(rest)
		if len(f) < 3 {
			continue
		}
		if group, err := strconv.Atoi(f[2]); err == nil && slices.Contains(groups, group) {
			pids[pid] = true
		}
	}
}

func behaviourOfTag(tag string) string {
	name, _, _ := strings.Cut(tag, "-")
	return name
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
