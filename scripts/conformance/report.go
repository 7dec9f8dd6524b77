// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"probe/scripts/process"
)

// report gathers the results and writes the document.
type report struct {
	workDir   string // must not show in the document
	behaviour string
	source    string
	compared  bool // there was a probe
	servers   []result
	clients   []result
	load      *loadResult
	times     *timesResult
}

// result is what came of one server or client.
type result struct {
	title   string
	version string
	log     logTrust
	rows    []row
	err     error
}

func newReport(o options, workDir string) *report {
	return &report{workDir: workDir, behaviour: o.behaviour, source: o.source, compared: o.probe != "none"}
}

func (r *report) add(v *server, rows []row, err error) {
	s := result{title: v.title, log: v.log, rows: rows, err: err}
	if missing(v.needs) == "" {
		s.version = versionText(v.version)
	}
	r.servers = append(r.servers, s)
}

func (r *report) addClient(c client, clientRow row, err error) {
	s := result{title: c.title, err: err, log: logTrust{none: true}}
	if err == nil {
		s.rows = []row{clientRow}
	}
	if missing(c.needs) == "" {
		s.version = versionText(c.version)
	}
	r.clients = append(r.clients, s)
}

func (r *report) ok() bool {
	for _, s := range r.results() {
		if s.err != nil {
			return false
		}
		for _, row := range s.rows {
			if row.log != nil && !row.log.agrees() {
				return false
			}
			for _, c := range row.cells {
				if !c.fine {
					return false
				}
			}
		}
	}
	return (r.load == nil || r.load.ok()) && (r.times == nil || r.times.ok())
}

func (r *report) results() []result { return slices.Concat(r.servers, r.clients) }

// summary returns what to tell about a result at once.
func (s result) summary(verbose bool) []string {
	if s.err != nil {
		return []string{"FAILED: " + s.err.Error()}
	}
	var out []string
	for _, row := range s.rows {
		exact, na := 0, 0
		var bad []string
		for _, name := range sortedKeys(row.cells) {
			switch c := row.cells[name]; {
			case c.text == "n/a":
				na++
			case c.fine:
				exact++
			default:
				bad = append(bad, fmt.Sprintf("    %s: %s", name, c.text))
				if verbose {
					for _, d := range c.detail[:min(len(c.detail), mostDetails)] {
						bad = append(bad, "      "+d)
					}
				}
			}
		}
		out = append(out, fmt.Sprintf("  %s: %d fine, %d n/a, %d not", row.title, exact, na, len(row.cells)-exact-na))
		out = append(out, bad...)
		out = append(out, logSummary(row.log)...)
	}
	return out
}

func logSummary(c *logComparison) []string {
	if c == nil || c.agrees() {
		return nil
	}
	out := []string{fmt.Sprintf("    access log: %d missing, %d extra, %d differences", len(c.missing), c.extra, len(c.differ))}
	for i, m := range c.missing {
		if i == mostDetails {
			break
		}
		out = append(out, "      not in the log: "+m)
	}
	for i, d := range c.differ {
		if i == mostDetails {
			break
		}
		out = append(out, "      log against client: "+d.String())
	}
	return out
}

// write renders the document to a file, or to standard output for "-".
func (r *report) write(path string) error {
	var b bytes.Buffer
	r.render(&b)
	text := bytes.ReplaceAll(b.Bytes(), []byte(r.workDir), []byte("…"))
	switch path {
	case "":
		return nil
	case "-":
		_, err := os.Stdout.Write(text)
		return err
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (r *report) render(b *bytes.Buffer) {
	fmt.Fprintf(b, "# Conformance\n\n")
	fmt.Fprintf(b, "Written by `go run ./scripts/conformance` on %s, Linux %s", time.Now().Format(time.DateOnly), process.KernelRelease())
	if r.source != "" {
		fmt.Fprintf(b, ", event source %s", r.source)
	}
	fmt.Fprintf(b, ".\n\n%s\n", introduction)
	renderTable(b, "Servers and behaviours", r.servers, behaviours())
	renderTable(b, "Clients, seen in the client role", r.clients, stepsAsBehaviours())
	r.renderDetails(b)
	r.renderLogs(b)
	if r.load != nil {
		r.load.render(b)
	}
	if r.times != nil {
		r.times.render(b)
	}
	renderGaps(b)
	r.renderVersions(b)
}

const introduction = `Each cell compares every line of ` + "`probe trace --json`" + ` with what a raw-socket client counted on the wire:
number of requests, method, target, status, outcome, request and response bytes, remote address, process.
The client in turn is compared with the server's own access log, where there is one.
Foreign clients are compared with a raw-socket server in the same way.

- **exact**: the same requests, each field equal.
- **n/a**: the server cannot do it; the reason is given below.
- **known gap**: not exact, for a reason the probe itself counts.
- anything else is a failure.
`

// longestVersion cuts long versions.
const longestVersion = 90

func (r *report) renderVersions(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n## Versions\n\n| program | version |\n|---|---|\n")
	for _, s := range r.results() {
		text := s.version
		if len(text) > longestVersion {
			text = text[:longestVersion]
		}
		fmt.Fprintf(b, "| %s | %s |\n", s.title, escapeCell(text))
	}
}

func escapeCell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
