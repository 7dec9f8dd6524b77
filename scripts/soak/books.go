// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// recursion counts runs of hooks that the kernel left out because the hook was
// interrupted on that CPU, for any socket of the host. It is shown, and no loss
// by itself: of two hooks at the end of a connection one tells what the other
// missed, and what nobody told shows in the counts of the clients.
const recursion = "kernel.dropped.recursion"

// raced counts hooks that found another one on their connection, and it did not
// leave in time: its CPU was taken away. What was left out shows in the counts.
const raced = "kernel.raced"

// lossNames are the counters that say that something was seen, or was to be
// seen, and is gone. What others on the host send that is no HTTP is no loss.
func lossNames() []string {
	return []string{
		"kernel.dropped.ring_full", "kernel.dropped.no_state", "kernel.dropped.no_thread", "kernel.dropped.no_delays",
		"kernel.dropped.not_asked", "records.lost", "records.undecodable",
		"exchange.dropped.queue_full", "exchange.connections_evicted", "agent.intervals_lost",
		"export.lines_dropped", "export.line_too_long", "export.dropped.queue_full", "export.dropped.queue_age",
		"export.dropped.spool_unreadable", "export.dropped.closed",
	}
}

// lossesOf are those of the counters that are not zero.
func lossesOf(counters map[string]uint64) map[string]uint64 {
	lost := map[string]uint64{}
	for _, name := range lossNames() {
		if n := counters[name]; n > 0 {
			lost[name] = n
		}
	}
	return lost
}

// lossText says what was lost, for reading.
func lossText(counters map[string]uint64) string {
	lost := lossesOf(counters)
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		parts = append(parts, fmt.Sprintf("`%s` %d", name, lost[name]))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// selfCounters are probe's own, by their names in its state.
func (s sums) selfCounters() map[string]uint64 {
	own := map[string]uint64{}
	for name, n := range s.counters {
		if short, ok := strings.CutPrefix(name, self); ok {
			own[short] = n
		}
	}
	return own
}

// balance checks the books of an agent that has ended: every request that the
// kernel side took has gone somewhere that is named, and what arrived at the
// receiver is what the agent says. n are its own counters, as received.
func (c *checks) balance(got sums, end totals) {
	n := got.selfCounters()
	c.balanceKernel(n)
	in := n["exchange.started"] + n["exchange.pipelined"] + n["exchange.orphan_responses"]
	out := n["exchange.finished"] + end.Pending + n["exchange.dropped.not_http"] + n["exchange.dropped.queue_full"] + n["exchange.dropped.response_unseen"] + n["exchange.dropped.raced"] + n["exchange.dropped.doubtful"]
	c.same("tracker: started + pipelined + orphans = finished + pending + not HTTP + refused + unseen + raced + doubtful", in, out)
	c.same("tracker: finished = recorded", n["exchange.finished"], n["stats.requests"])
	c.balanceLines(got, end)
}

func (c *checks) balanceKernel(n map[string]uint64) {
	told := n["exchange.started"] + n["exchange.inside_body"] + n["kernel.dropped.ring_full_requests"] + n["kernel.dropped.not_http_answer"] + n["kernel.dropped.raced_requests"]
	c.that(n["kernel.requests_seen"] == told, "kernel: requests seen = started + inside a body + ring full + answer not HTTP + raced",
		"%d and %d + %d + %d + %d + %d (%d pipelined, %d orphans, %d records behind a close)", n["kernel.requests_seen"],
		n["exchange.started"], n["exchange.inside_body"], n["kernel.dropped.ring_full_requests"], n["kernel.dropped.not_http_answer"], n["kernel.dropped.raced_requests"],
		n["exchange.pipelined"], n["exchange.orphan_responses"], n["exchange.records_after_close"])
}

// balanceLines: the sum of the lines is what the agent logged at its end.
func (c *checks) balanceLines(got sums, end totals) {
	c.same("lines: sum of `http.server.requests` = finished + failed of the log", got.counters[requests], end.Finished+end.Failed)
	c.same("lines: none is malformed", 0, got.bad)
}
