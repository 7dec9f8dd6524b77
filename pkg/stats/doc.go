// SPDX-License-Identifier: Apache-2.0

// Package stats turns finished requests into bounded aggregates.
//
// A Recorder takes one events.Request after the other and keeps, per Key, the
// counters, the latency histogram and a sample of raw timings of the current
// interval. Flush hands the interval over as a Snapshot and starts the next
// one. Beside the series the Recorder keeps two books that no Flush clears:
// Totals, exact and since the start, and the Summary of Calculate, which Reset
// clears.
//
// A Snapshotter keeps the last samples of the host itself, says whether it is
// overloaded, and adds the host's interval to the Snapshot. It reads nothing: a
// HostReader looks, or the looks are pushed.
//
// Every table has a limit (see Options), and what a limit refused is counted in
// Totals and leaves with the Snapshot as a self counter.
package stats
