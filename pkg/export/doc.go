// SPDX-License-Identifier: Apache-2.0

// Package export sends a stats.Snapshot as statsd lines.
//
// The way of a line: the Encoder renders it from the names of names.go in one
// of the dialects, the Packer puts as many whole lines as fit into a payload,
// the transport sends the payload, and the Exporter ties them together and
// keeps the books: every line is sent, dropped or too long, and counted as such.
//
// The lines keep to what all common receivers understand in the same way:
// counters are integers, rates and timings are plain decimals without exponent,
// one value per line, sections in the order value, type, rate, tags, and names
// of letters, digits, underscores and dots.
package export
