// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// gap is something the probe is known not to get right in one place, together
// with the counter under which the probe itself reports it. What is not in this
// table and not exact fails the run.
type gap struct {
	row       string // a row's title; "" for every row
	behaviour string
	fields    []string // differing fields it excuses; "missing" and "extra" excuse whole lines
	counter   string
	why       string
}

func knownGaps() []gap {
	return []gap{}
}

// gapFor returns the gap that excuses everything wrong in a verdict.
func gapFor(row, behaviour string, v *verdict) (gap, bool) {
	for _, g := range knownGaps() {
		if (g.row == "" || g.row == row) && g.behaviour == behaviour && g.excuses(v) {
			return g, true
		}
	}
	return gap{}, false
}

func (g gap) excuses(v *verdict) bool {
	if len(v.missing) > 0 && !slices.Contains(g.fields, "missing") {
		return false
	}
	if len(v.extra) > 0 && !slices.Contains(g.fields, "extra") {
		return false
	}
	return !slices.ContainsFunc(v.differ, func(d difference) bool { return !slices.Contains(g.fields, d.field) })
}
