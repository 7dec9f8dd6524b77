// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// base is what the committed report says.
type base struct {
	text string
	// instructions by architecture, program with detail, and kernel series.
	instructions map[string]map[string]map[string]int
}

// maxGrowth is by how much a program may cost the verifier more than before.
const maxGrowth = 1.2

// Each architecture has its own part of the report between two such lines.
func beginMark(arch string) string { return "<!-- " + arch + " -->\n" }
func endMark(arch string) string   { return "<!-- end of " + arch + " -->\n" }

func readBase(path string) (base, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return base{}, fmt.Errorf("read the report to compare with: %w", err)
	}
	b := base{text: string(text), instructions: map[string]map[string]map[string]int{}}
	for _, arch := range []string{"amd64", "arm64"} {
		_, part, err := b.part(arch)
		if err != nil {
			return base{}, err
		}
		b.instructions[arch] = readTable(part)
	}
	return b, nil
}

// part returns what is before the part of an architecture, and that part.
func (b base) part(arch string) (before, part string, err error) {
	before, rest, found := strings.Cut(b.text, beginMark(arch))
	part, _, ended := strings.Cut(rest, endMark(arch))
	if !found || !ended {
		return "", "", fmt.Errorf("the report has no part %q", strings.TrimSpace(beginMark(arch)))
	}
	return before, part, nil
}

// readTable finds the table of programs: | program | detail | 5.10 | 6.1 | ...
func readTable(part string) map[string]map[string]int {
	all := map[string]map[string]int{}
	var kernels []string
	for line := range strings.Lines(part) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		switch {
		case len(cells) > 2 && cells[0] == "program":
			kernels = cells[2:]
		case strings.HasPrefix(cells[0], "---"):
		case kernels != nil && len(cells) == len(kernels)+2:
			row := map[string]int{}
			for i, k := range kernels {
				if n, err := strconv.Atoi(cells[i+2]); err == nil {
					row[k] = n
				}
			}
			all[rowOf(cells[0], cells[1])] = row
		default:
			kernels = nil // the table is over
		}
	}
	return all
}

func rowOf(program, detail string) string { return program + " " + detail }

// compare says which programs grew. A kernel series that the report does not
// have is no error, but it is said.
func (b base) compare(arch string, g guest) []error {
	var problems []error
	known := false
	for row, n := range instructionsOf(g) {
		was := b.instructions[arch][row][series(g.release)]
		known = known || was > 0
		if was > 0 && float64(n) > maxGrowth*float64(was) {
			problems = append(problems, fmt.Errorf("%s: %s needs %d instructions of the verifier, the report says %d; make it simpler, or run with -update", g.release, row, n, was))
		}
	}
	if !known {
		fmt.Printf("%s: not in the report, nothing to compare with\n", g.release)
	}
	return problems
}

// instructionsOf are the highest numbers of a guest, by row of the table.
func instructionsOf(g guest) map[string]int {
	all := map[string]int{}
	for _, c := range g.checks {
		if c.Got != c.Detail {
			continue // the programs are those of another detail
		}
		for _, p := range c.Programs {
			row := rowOf(p.Name, c.Detail)
			all[row] = max(all[row], p.Instructions)
		}
	}
	return all
}

// write puts the part of one architecture anew.
func (b base) write(path, arch string, guests []guest, now time.Time) error {
	if len(guests) == 0 {
		return errors.New("no kernel ran: the report stays as it is")
	}
	before, part, err := b.part(arch)
	if err != nil {
		return err
	}
	after := strings.TrimPrefix(b.text, before+beginMark(arch)+part)
	text := before + beginMark(arch) + reportOf(guests, now) + after
	return os.WriteFile(path, []byte(text), 0o644)
}
