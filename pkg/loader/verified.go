// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"slices"
	"strconv"
	"strings"
)

// Verified is what loading one program took.
type Verified struct {
	Name string
	// Instructions that the kernel's verifier walked through, on all paths; the
	// kernel stops at a million. 0 without Options.VerifierStats.
	Instructions int
}

// Verified lists what is loaded, by name.
func (l *Loader) Verified() []Verified {
	var all []Verified
	for name, p := range l.objects.Programs {
		all = append(all, Verified{Name: name, Instructions: processed(p.VerifierLog)})
	}
	slices.SortFunc(all, func(a, b Verified) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// processed finds the number in "processed 1234 insns (limit 1000000) ...", the
// last line of the verifier's statistics (kernel 5.2), or returns 0.
func processed(log string) int {
	const before = "processed "
	at := strings.LastIndex(log, before)
	if at < 0 {
		return 0
	}
	number, _, _ := strings.Cut(log[at+len(before):], " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
