// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"probe/pkg/stats"
)

// name makes lines of about 95 bytes, as long as real ones.
var name = "reliability." + strings.Repeat("x", 64)

// numbered is a Snapshot of lines that carry their numbers.
func numbered(first, n int) *stats.Snapshot {
	s := new(stats.Snapshot)
	for i := range n {
		s.Self = append(s.Self, stats.SelfValue{Name: name, Delta: uint64(first + i)})
	}
	return s
}

// tally is what arrived of the lines 1 to n.
type tally struct {
	lost int
	// twice are copies, late what came for the first time behind a later one.
	twice, late int
	bad         int // lines that are none of ours
}

// count goes through what each connection brought, in order. What follows the
// last newline of one is half a line and does not count.
func count(connections [][]byte, n int) tally {
	var t tally
	seen := make([]bool, n+1)
	last, unique := 0, 0
	for _, all := range connections {
		for line := range bytes.Lines(all[:bytes.LastIndexByte(all, '\n')+1]) {
			number := 0
			_, err := fmt.Sscanf(string(line), "probe.self."+name+":%d|c\n", &number)
			switch {
			case err != nil || number < 1 || number > n:
				t.bad++
				continue
			case seen[number]:
				t.twice++
				continue
			case number < last:
				t.late++
			}
			seen[number] = true
			unique++
			last = max(last, number)
		}
	}
	t.lost = n - unique
	return t
}

// since is the clock of an experiment.
func since() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}
