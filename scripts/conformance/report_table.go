// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// renderTable writes behaviours × programs.
func renderTable(b *bytes.Buffer, title string, results []result, all []behaviour) {
	rows := rowsOf(results)
	if len(results) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n", title)
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n| |")
		for _, row := range rows {
			fmt.Fprintf(b, " %s |", row.title)
		}
		fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---|", len(rows)))
	}
	for _, h := range withCells(rows, all) {
		fmt.Fprintf(b, "| %s |", h.title)
		for _, row := range rows {
			c, ok := row.cells[h.name]
			switch {
			case !ok:
				fmt.Fprint(b, " |")
			case c.fine:
				fmt.Fprintf(b, " %s |", c.text)
			default:
				fmt.Fprintf(b, " **%s** |", c.text)
			}
		}
		fmt.Fprintln(b)
	}
	for _, s := range results {
		if s.err != nil {
			fmt.Fprintf(b, "\n**%s could not be tested:** %v\n", s.title, s.err)
		}
	}
}

func rowsOf(results []result) []row {
	var rows []row
	for _, s := range results {
		rows = append(rows, s.rows...)
	}
	return rows
}

// withCells returns the behaviours that some row has a cell for.
func withCells(rows []row, all []behaviour) []behaviour {
	all = append(all, behaviour{name: strayLines, title: "lines that belong to no request"})
	return slices.DeleteFunc(all, func(b behaviour) bool {
		return !slices.ContainsFunc(rows, func(row row) bool { _, ok := row.cells[b.name]; return ok })
	})
}

// stepsAsBehaviours are the lines of the clients' table.
func stepsAsBehaviours() []behaviour {
	var all []behaviour
	for _, s := range steps() {
		all = append(all, behaviour{name: s.name, title: s.title})
	}
	return all
}

// mostDetails bounds what is listed of one cell.
const mostDetails = 12

func (r *report) renderDetails(b *bytes.Buffer) {
	wrong, not := details(rowsOf(r.servers), behaviours())
	wrong2, not2 := details(rowsOf(r.clients), stepsAsBehaviours())
	section(b, "Cells that are not exact", append(wrong, wrong2...))
	section(b, "Not applicable", append(not, not2...))
}

// details lists what is wrong with cells, and the reasons of those that are not
// applicable.
func details(rows []row, all []behaviour) (wrong, not []string) {
	for _, h := range withCells(rows, all) {
		reasons := map[string][]string{}
		for _, row := range rows {
			c, ok := row.cells[h.name]
			switch {
			case !ok:
			case c.text == "n/a":
				reasons[c.detail[0]] = append(reasons[c.detail[0]], row.title)
			case len(c.detail) > 0:
				wrong = append(wrong, fmt.Sprintf("- %s, %s: %s", row.title, h.title, c.text))
				wrong = append(wrong, atMost(c.detail, "  - ")...)
			}
		}
		for _, reason := range sortedKeys(reasons) {
			not = append(not, fmt.Sprintf("- %s: %s (%s)", h.title, reason, strings.Join(reasons[reason], ", ")))
		}
	}
	return wrong, not
}

// atMost returns the first lines, indented, and says how many more there are.
func atMost(lines []string, indent string) []string {
	var out []string
	for i, l := range lines {
		if i == mostDetails {
			return append(out, fmt.Sprintf("%sand %d more", indent, len(lines)-i))
		}
		out = append(out, indent+l)
	}
	return out
}

func section(b *bytes.Buffer, title string, lines []string) {
	if len(lines) > 0 {
		fmt.Fprintf(b, "\n## %s\n\n%s\n", title, strings.Join(lines, "\n"))
	}
}

// renderLogs says how the client's record agrees with the access logs.
func (r *report) renderLogs(b *bytes.Buffer) {
	if len(r.servers) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## The client against the servers' access logs\n\n")
	fmt.Fprintf(b, "| server | lines | compared | differences |\n|---|---|---|---|\n")
	var notes []string
	for _, s := range r.servers {
		for _, row := range s.rows {
			if row.log == nil {
				continue
			}
			n := len(row.log.differ) + len(row.log.missing) + row.log.extra
			fmt.Fprintf(b, "| %s | %d | %s | %d |\n", row.title, row.log.lines, s.log.fields(), n)
			for _, d := range row.log.differ {
				notes = append(notes, fmt.Sprintf("- **%s**: %s (log against client)", row.title, d))
			}
			for _, d := range row.log.missing {
				notes = append(notes, fmt.Sprintf("- **%s**: %s is not in the log", row.title, d))
			}
			for _, name := range sortedKeys(s.log.but) {
				notes = append(notes, fmt.Sprintf("- %s, left out: %s: %s", row.title, name, s.log.but[name]))
			}
		}
	}
	if len(notes) > 0 {
		fmt.Fprintf(b, "\n%s\n", strings.Join(notes, "\n"))
	}
}

func (t logTrust) fields() string {
	f := []string{"count, method, target, status"}
	if t.total {
		f = append(f, "response bytes")
	}
	if t.body {
		f = append(f, "body bytes")
	}
	if t.received {
		f = append(f, "request bytes")
	}
	return strings.Join(f, ", ")
}

func renderGaps(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n## Known gaps\n\n")
	if len(knownGaps()) == 0 {
		fmt.Fprintln(b, "None.")
		return
	}
	fmt.Fprintf(b, "| where | behaviour | fields | counter | why |\n|---|---|---|---|---|\n")
	for _, g := range knownGaps() {
		where := g.row
		if where == "" {
			where = "everywhere"
		}
		fmt.Fprintf(b, "| %s | %s | %s | `%s` | %s |\n", where, g.behaviour, strings.Join(g.fields, ", "), g.counter, g.why)
	}
}
