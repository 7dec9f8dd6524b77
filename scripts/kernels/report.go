// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"probe/scripts/kernels/result"
)

// reportOf is the part of the report about one architecture.
func reportOf(guests []guest, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Run on %s.\n\n", now.UTC().Format(time.DateOnly))
	b.WriteString("| kernel | source | detail asked for | in use | programs | `probe trace`: requests exact | `probe run` |\n|---|---|---|---|---|---|---|\n")
	for _, g := range guests {
		for _, c := range g.checks {
			if c.Kind == result.KindLoad {
				writeRow(&b, g, c)
			}
		}
	}
	b.WriteString("\nInstructions that the verifier walks through (the limit is 1,000,000), per program and detail:\n\n| program | detail |")
	numbers := map[string]map[string]int{} // row, then series
	for _, g := range guests {
		fmt.Fprintf(&b, " %s |", series(g.release))
		for row, n := range instructionsOf(g) {
			if numbers[row] == nil {
				numbers[row] = map[string]int{}
			}
			numbers[row][series(g.release)] = n
		}
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(guests)) + "\n")
	for _, row := range slices.Sorted(maps.Keys(numbers)) {
		program, detail, _ := strings.Cut(row, " ")
		fmt.Fprintf(&b, "| `%s` | %s |", program, detail)
		for _, g := range guests {
			if n := numbers[row][series(g.release)]; n > 0 {
				fmt.Fprintf(&b, " %d |", n)
			} else {
				b.WriteString(" – |")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func writeRow(b *strings.Builder, g guest, load result.Check) {
	if load.Unsupported {
		fmt.Fprintf(b, "| %s | %s | %s | – | not there, said so | – | – |\n", g.release, load.Source, load.Detail)
		return
	}
	loaded := fmt.Sprintf("%d, all load", len(load.Programs))
	if len(load.Problems) > 0 {
		loaded = "**refused**"
	}
	trace, run := "not tried", "–"
	for _, c := range g.checks {
		switch {
		case c.Kind == result.KindTrace && c.Source == load.Source && c.Detail == load.Detail:
			trace = outcome(c)
			if len(c.Problems) == 0 && c.Timed > 0 {
				trace += ", times add up"
			}
		case c.Kind == result.KindRun && load.Detail == c.Detail && load.Source == sourceOf(g):
			run = outcome(c)
		}
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", g.release, load.Source, load.Detail, load.Got, loaded, trace, run)
}

// sourceOf is the one that probe takes by itself.
func sourceOf(g guest) string {
	for _, c := range g.checks {
		if c.Kind == result.KindLoad && c.Source == "socket" && !c.Unsupported {
			return "socket"
		}
	}
	return "syscall"
}

func outcome(c result.Check) string {
	if inexact(c) {
		return fmt.Sprintf("**not exact**: %d calls missed, counted", c.Missed)
	}
	if len(c.Problems) > 0 {
		return "**failed**"
	}
	exact := fmt.Sprintf("%d of %d", c.Requests-c.Untold, c.Requests)
	if c.LeftOut > 0 {
		exact += fmt.Sprintf(" (calls left out, counted: %d)", c.LeftOut)
	}
	return exact
}
