// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
)

// The client's record is the oracle for the probe; here the oracle itself is
// checked against the server's own access log.

// logComparison is what came of it.
type logComparison struct {
	lines   int
	differ  []difference
	missing []string
	extra   int
}

func (c logComparison) agrees() bool {
	return len(c.differ) == 0 && len(c.missing) == 0 && c.extra == 0
}

// compareLog compares what the client saw with the access log, request by
// request: count, method, target, status, and the byte counts the log can be
// trusted with.
func compareLog(trust logTrust, seen []exchange, lines []logLine) logComparison {
	byTarget := map[string][]logLine{}
	for _, l := range lines {
		byTarget[logKey(l.target)] = append(byTarget[logKey(l.target)], l)
	}
	c := logComparison{lines: len(lines)}
	for _, x := range seen {
		k := logKey(x.target)
		found := byTarget[k]
		_, excused := trust.but[behaviourOfTarget(x.target)]
		if len(found) == 0 {
			if !x.unlogged && !excused {
				c.missing = append(c.missing, x.method+" "+x.target)
			}
			continue
		}
		byTarget[k] = found[1:]
		if !excused && !x.unlogged {
			c.differ = append(c.differ, logDifferences(trust, x, found[0])...)
		}
	}
	for k, rest := range byTarget {
		if _, excused := trust.but[behaviourOfKey(k)]; !excused {
			c.extra += len(rest)
		}
	}
	return c
}

func behaviourOfKey(k string) string {
	if k == "*" {
		return "star"
	}
	return behaviourOfTag(k)
}

// behaviourOfTarget returns the behaviour that sends a target.
func behaviourOfTarget(target string) string { return behaviourOfKey(logKey(target)) }

// logKey makes the absolute form and the origin form of a target the same,
// since many servers log the latter for both.
func logKey(target string) string {
	if tag := tagOf(target); tag != "" {
		return tag
	}
	return target
}

func logDifferences(trust logTrust, x exchange, l logLine) []difference {
	var ds []difference
	note := func(field string, ok bool, client, log any) {
		if !ok {
			ds = append(ds, difference{logKey(x.target), field, fmt.Sprint(client), fmt.Sprint(log)})
		}
	}
	note("method", x.method == l.method, x.method, l.method)
	note("status", x.status == l.status, x.status, l.status)
	if trust.total && l.total >= 0 {
		note("response bytes", responseSpan(x).contains(l.total), responseSpan(x), l.total)
	}
	if trust.body && l.body >= 0 && x.method != "HEAD" && x.outcome != outcomeAborted {
		note("body bytes", x.bodyBytes == l.body, x.bodyBytes, l.body)
	}
	if trust.received && l.received > 0 { // 0: refused before the head was complete
		s := requestSpan(x)
		if trust.peeks {
			s.max++
		}
		note("request bytes", s.contains(l.received), s, l.received)
	}
	return ds
}

func requestSpan(x exchange) span  { return span{x.requestMin, x.requestBytes} }
func responseSpan(x exchange) span { return span{x.responseBytes, x.responseMax} }
