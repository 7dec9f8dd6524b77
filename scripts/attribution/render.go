// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const method = `# Where the time of a request goes: the probe against the servers' own clocks

Written by ` + "`make attribution`" + ` on %s, Linux %s.

A handler does one kind of work, about 50 ms of it, and measures it: wall time, CPU time, and run-queue delay (schedstat). For
reclaim, the kernel's delay accounting is asked (taskstats; the run-queue delay in reclaim may be under either).
` + "`probe trace --detail full`" + ` sees the same requests from outside. What the handler measured, less its CPU time and run-queue delay,
is the time of the cause under test.

- **right**: the share of it that the probe has under that cause.
- **wrong**: what the probe has there beyond it, and under causes that took none, as a share of the request. CPU time and
  run-queue delay may be all the rest of the request, and for *spin* the wait for an interpreter's lock; what a request without
  work waits for (median) is not wrong either.
- **unattributed**: the share of the request that the probe says it cannot tell.

Percent; median, in parentheses the 10th and 90th percentile, of %d requests per connection after %d to warm up. One request at a
time must have at least %.0f %% right and at most %.0f %% wrong. Where a runtime makes it impossible to tell, the cell is marked with
a note, and its time must be unattributed, not under a wrong cause. Several connections at a time are reported only; where a server
can measure only its whole process (Node, some of Go), CPU time and run-queue delay are then taken from the probe.

The work: *spin* the CPU for 50 ms; *sleep* 50 ms; *lock*: wait for one that another thread holds for 50 ms; *net*: a request to
another process that answers after 50 ms; *disk*: write 1 MB (Node 8 MB), fsync, and (but Node) read it back from the disk;
*memory*: write files for 150 ms in a memory group with 24 MB to spare. Node writes files through its thread pool, except for
*memory*.

The attribution of a request says what its split is worth: *thread*, the thread that read it answered it and served no other
meanwhile: exact. *handoff*, a thread answered that the reader woke for it: what both did one after the other. *loop*, the thread
had several requests in hand, or its Go scheduler waited: what the thread did, whichever request it was for. *partial*, another
thread answered: all unattributed.
`

func (r *report) render(b *bytes.Buffer) {
	fmt.Fprintf(b, method, time.Now().UTC().Format(time.DateOnly), firstLine("uname", "-r"), r.samples, warmUps, 100*leastRight, 100*mostWrong)
	for _, clients := range concurrencies() {
		title := "One request at a time"
		if clients > 1 {
			title = fmt.Sprintf("%d connections at a time", clients)
		}
		fmt.Fprintf(b, "\n## %s\n\n| server | work | right | wrong | unattributed | attribution |\n|---|---|---|---|---|---|\n", title)
		for _, row := range r.rows {
			for _, c := range row.cells {
				if c.clients == clients {
					c.render(b, row.title)
				}
			}
		}
	}
	r.renderNotes(b)
}

func (c *cell) render(b *bytes.Buffer, title string) {
	right, wrong := c.spread(right), c.spread(wrong)
	if !c.ok() {
		right, wrong = "**"+right+"**", "**"+wrong+"**"
	}
	note := ""
	if c.limit != "" {
		note = " (note)"
	}
	fmt.Fprintf(b, "| %s | %s%s | %s | %s | %s | %s |\n", title, c.path, note, right, wrong, c.spread(unknown), c.attributions())
}

func (r *report) renderNotes(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n## Notes\n\n")
	for _, row := range r.rows {
		if row.err != nil {
			fmt.Fprintf(b, "- **%s was not measured:** %s\n", row.title, strings.ReplaceAll(row.err.Error(), "\n", " "))
		}
		for _, c := range row.cells {
			if c.limit != "" && c.clients == 1 {
				fmt.Fprintf(b, "- %s, %s: %s\n", row.title, c.path, c.limit)
			}
		}
	}
	fmt.Fprintf(b, "- Versions:")
	for i, row := range r.rows {
		sep := ";"
		if i == 0 {
			sep = ""
		}
		fmt.Fprintf(b, "%s %s: %s", sep, row.name, firstLine(row.version[0], row.version[1:]...))
	}
	fmt.Fprintf(b, ".\n")
}

// firstLine returns the first line that a command prints.
func firstLine(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
