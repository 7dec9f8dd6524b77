// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/export"
)

func TestCount(t *testing.T) {
	t.Parallel()
	lines := func(numbers ...int) string {
		var b strings.Builder
		for _, n := range numbers {
			fmt.Fprintf(&b, "probe.self.%s:%d|c\n", name, n)
		}
		return b.String()
	}
	tests := map[string]struct {
		connections []string
		want        tally
	}{
		"all":                 {[]string{lines(1, 2, 3), lines(4, 5)}, tally{}},
		"nothing":             {[]string{"", ""}, tally{lost: 5}},
		"replayed":            {[]string{lines(1, 2, 3), lines(2, 3, 4, 5)}, tally{twice: 2}},
		"lost":                {[]string{lines(1, 2), lines(4, 5)}, tally{lost: 1}},
		"late":                {[]string{lines(1, 2, 4, 3, 5)}, tally{late: 1}},
		"half a line":         {[]string{lines(1, 2) + "probe.self", lines(3, 4, 5)}, tally{}},
		"glued":               {[]string{lines(1, 2) + "probe.self" + lines(3), lines(4, 5)}, tally{lost: 1, bad: 1}},
		"a number never sent": {[]string{lines(1, 2, 3, 4, 5, 6)}, tally{bad: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all [][]byte
			for _, c := range tt.connections {
				all = append(all, []byte(c))
			}
			if diff := cmp.Diff(tt.want, count(all, 5), cmp.AllowUnexported(tally{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	var r report
	r.add(row{name: "fine", lines: 10, must: true, tally: tally{twice: 5}, allowTwice: 5})
	r.add(row{name: "shown", lines: 10, mayLose: true, tally: tally{lost: 5}})
	r.add(row{name: "counted", lines: 10, tally: tally{lost: 5}, counters: export.Counters{DroppedFull: 5}})
	r.add(row{name: "balanced", lines: 10, books: true, most: 7, limit: 7, counters: export.Counters{LinesSent: 4, DroppedFull: 6}})
	if err := r.verdict(); err != nil {
		t.Error(err)
	}
	for _, bad := range []row{
		{tally: tally{lost: 5}}, {books: true, lines: 1}, {books: true, most: 2, limit: 1},
	} {
		if bad.problem() == "" {
			t.Errorf("%+v passes", bad)
		}
	}
	for _, bad := range []tally{{lost: 1}, {late: 1}, {bad: 1}, {twice: 6}} {
		r := r
		r.add(row{name: "bad", lines: 10, must: true, tally: bad, allowTwice: 5})
		if r.verdict() == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}
