// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"probe/pkg/export"
	"probe/scripts/process"
)

// row is the outcome of one experiment.
type row struct {
	name  string
	lines int
	kills int
	tally tally
	// mayLose: that lines are lost without a trace is what is shown.
	mayLose bool
	// must: nothing may be lost or out of order, and at most allowTwice may
	// come twice.
	must       bool
	allowTwice int
	// books: the peer keeps nothing; what counts are the books and the queue,
	// most of which may be limit bytes.
	books       bool
	most, limit int
	// idle is the CPU time per second with nothing new to send.
	idle        time.Duration
	connections uint64
	counters    export.Counters
}

type report struct{ rows []row }

func (r *report) add(one row) {
	r.rows = append(r.rows, one)
	fmt.Fprintf(os.Stderr, "%s: %+v\n", one.name, one.tally)
}

// dropped are the lines of a row that the exporter gave up, by its books.
func (one row) dropped() uint64 {
	c := one.counters
	return c.LinesDropped + c.LinesTooLong + c.DroppedFull + c.DroppedAge + c.DroppedSpool + c.DroppedClosed
}

// problem says what a row should not be.
func (one row) problem() string {
	t := one.tally
	switch {
	case one.books && one.counters.LinesSent+one.dropped() != uint64(one.lines):
		return "the books do not balance"
	case one.books && one.most > one.limit:
		return "the queue is beyond its limit"
	case one.must && (t.lost > 0 || t.late > 0 || t.bad > 0):
		return "lines were lost, late or broken"
	case one.must && t.twice > one.allowTwice:
		return "more lines came twice than one segment per connection explains"
	case !one.mayLose && !one.books && t.lost != int(one.dropped()):
		return "more is lost than the books say"
	}
	return ""
}

func (r *report) verdict() error {
	var all error
	for _, one := range r.rows {
		if p := one.problem(); p != "" {
			all = errors.Join(all, fmt.Errorf("%s: %s: %+v", one.name, p, one.tally))
		}
	}
	return all
}

func (r *report) markdown(s settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Reliability

What the export loses when things break. Written by %[1]smake reliability%[1]s; do not edit. [reliability-soak.md](reliability-soak.md) has the agent as a whole: half an hour of load, other faults, very many connections.

Measured %[2]s on Linux %[3]s, %[4]d lines of %[5]d bytes per experiment; with kills about 20,000 lines per second, otherwise as fast as it goes.

A killed receiver dies by SIGKILL at a random moment, 5 to 80 ms after its first line. It moves what it reads on within the kernel, so that nothing it has read is lost with it: what is missing was lost on the way. *Twice* are lines that arrived again after a new connection, *late* are lines behind a later one.

## What arrives

| experiment | kills | lines | lost | twice | late | connections lost | sent again on purpose | dropped by the books |
|---|---|---|---|---|---|---|---|---|
`, "`", time.Now().UTC().Format(time.DateOnly), process.KernelRelease(), s.lines, lineBytes)
	for _, one := range r.rows {
		if one.books {
			continue
		}
		t, c := one.tally, one.counters
		if c == (export.Counters{}) {
			fmt.Fprintf(&b, "| %s | %s | %d | **%d** | %d | %d | | | |\n", one.name, some(one.kills), one.lines, t.lost, t.twice, t.late)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %d | **%d** | %d | %d | %d | %d | %d |\n",
			one.name, some(one.kills), one.lines, t.lost, t.twice, t.late, one.connections, c.LinesReplayed, one.dropped())
	}
	b.WriteString(reading)
	b.WriteString(`
## Peers that take nothing

The queue has 1 MiB. *Confirmed* lines lie in the peer's kernel, which nobody will ever read.

| peer | lines | confirmed | dropped by the books | most in the queue | connections lost | CPU with nothing new |
|---|---|---|---|---|---|---|
`)
	for _, one := range r.rows {
		if one.books {
			fmt.Fprintf(&b, "| %s | %d | %d | %d | %d bytes | %d | %.1f ms/s |\n", one.name, one.lines, one.counters.LinesSent,
				one.dropped(), one.most, one.connections, float64(one.idle.Microseconds())/1000)
		}
	}
	return b.String()
}

// some is empty for none.
func some(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// reading explains the first table.
const reading = `
- Over a Unix socket the kernel tells what the receiver itself has read, so only what it read in its last moment can come twice.
- Over TCP the kernel confirms what the receiver's kernel has. A receiver that dies with bytes unread resets the connection, and then the last 64 KiB that were confirmed are sent again: at least once, rather than at most once.
- A TCP receiver that is behind (it reads 4 MB/s in pieces of 4 KiB) may have more unread than that when it dies. By how much its window has shrunk says about how much, and that is sent again, up to 1 MiB. It is an estimate: lines may be lost here.
- A client that writes until it gets an error loses what the kernel had taken, and does not know it.
- With the network cut, TCP itself keeps what it has; after 30 seconds the connection is given up and its lines are sent on the next one. A queue that is too small for the cut drops the oldest lines and counts them.
`
