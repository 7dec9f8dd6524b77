// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// check is one thing that must be so, and whether it is.
type check struct {
	name string // what must be
	ok   bool
	got  string // what is
}

// checks of one experiment.
type checks []check

// that notes whether something is so; got is how it is.
func (c *checks) that(ok bool, name, got string, args ...any) {
	*c = append(*c, check{name, ok, fmt.Sprintf(got, args...)})
}

// same notes whether two counts are.
func (c *checks) same(name string, want, got uint64) {
	c.that(want == got, name, "%d and %d", want, got)
}

// failed lists what is not as it must be.
func (c checks) failed() []string {
	var bad []string
	for _, one := range c {
		if !one.ok {
			bad = append(bad, fmt.Sprintf("%s: %s", one.name, one.got))
		}
	}
	return bad
}

// section is a part of the report.
type section struct {
	title  string // of its heading
	text   string
	checks checks
}

func (s section) verdict() error {
	var all error
	for _, bad := range s.checks.failed() {
		all = errors.Join(all, fmt.Errorf("%s: %s", s.title, bad))
	}
	return all
}

const (
	heading  = "\n## "
	preamble = `# Soak, faults and scale

Written by ` + "`make soak`" + `; do not edit. [reliability.md](reliability.md) has what the export loses, [reliability-restart.md](reliability-restart.md) what a kill of the agent costs.
`
)

// titles are those of the sections, in their order.
func titles() []string { return []string{soakTitle, faultsTitle, scaleTitle} }

// write replaces the section in the report; the others stay as they are.
func (s section) write(path string) error {
	if path == "-" {
		return nil
	}
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read report: %w", err)
	}
	if err := os.WriteFile(path, []byte(s.into(string(before))), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// into returns the report with this section in it.
func (s section) into(report string) string {
	texts := map[string]string{}
	for i, part := range strings.Split(report, heading) {
		if title, text, ok := strings.Cut(part, "\n"); ok && i > 0 {
			texts[title] = strings.TrimSpace(text)
		}
	}
	texts[s.title] = strings.TrimSpace(s.text)
	var b strings.Builder
	b.WriteString(preamble)
	for _, title := range titles() {
		if text := texts[title]; text != "" {
			fmt.Fprintf(&b, "%s%s\n%s\n", heading, title, text)
		}
	}
	return b.String()
}

// list renders checks, one line each.
func (c checks) list() string {
	var b strings.Builder
	b.WriteString("| must be | is | |\n|---|---|---|\n")
	for _, one := range c {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", one.name, one.got, passed(one.ok))
	}
	return b.String()
}

func passed(ok bool) string {
	if ok {
		return "pass"
	}
	return "**FAIL**"
}
