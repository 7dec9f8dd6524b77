// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxTypos is how many letters may be wrong for a name to be suggested.
const maxTypos = 2

// meant is what to add to the refusal of a name: the valid one that it is
// probably a mistyped form of, or nothing.
func meant(typed, dashes string, names []string) string {
	for _, name := range nearest(typed, names)[:min(len(names), 1)] {
		if d := distance(typed, name); d <= maxTypos && d < min(len(typed), len(name)) {
			return fmt.Sprintf(": did you mean %s%s?", dashes, name)
		}
	}
	return ""
}

// mistyped returns the variables of the environment that look like one of a flag
// and are none, each with what was probably meant. Others are nobody's business:
// Kubernetes sets some for a Service that is called probe.
func mistyped(environment, flags []string) (lines []string) {
	names := make([]string, 0, len(flags)+1)
	for _, flag := range append(flags, "config") {
		names = append(names, variable(flag))
	}
	for _, setting := range environment {
		name, _, _ := strings.Cut(setting, "=")
		if rest, ours := strings.CutPrefix(name, envPrefix); !ours || rest == "" || slices.Contains(names, name) {
			continue
		}
		if hint := meant(name, "", names); hint != "" {
			lines = append(lines, name+" is no setting"+hint)
		}
	}
	return lines
}

// meantFlag is meant for the error of an unknown flag.
func meantFlag(cmd *cobra.Command, err error) string {
	unknown, is := errors.AsType[*pflag.NotExistError](err)
	if !is || unknown.GetSpecifiedShortnames() != "" {
		return ""
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return meant(unknown.GetSpecifiedName(), "--", names)
}

// nearest returns the three names that are most like key.
func nearest(key string, names []string) []string {
	sorted := slices.Clone(names)
	slices.SortStableFunc(sorted, func(a, b string) int {
		return cmp.Compare(distance(key, a), distance(key, b))
	})
	return sorted[:min(len(sorted), 3)]
}

// distance is how many letters must be added, removed or replaced to make a
// into b (Levenshtein). Keys longer than any flag are cut: they are like none.
func distance(a, b string) int {
	a = a[:min(len(a), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
