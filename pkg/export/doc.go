// SPDX-License-Identifier: Apache-2.0

// Package export sends statsd lines: those of a stats.Snapshot (Exporter), or
// one by one (Client).
//
// The way of a line: the Encoder renders it from the names of names.go in one
// of the dialects, the Packer puts as many whole lines as fit into a payload,
// and the sender hands payloads to a transport and keeps the books. A transport
// of packets (udp.go, unixgram.go) or files (file.go) sends at once. A stream
// (stream.go) puts them into a queue (queue.go), on disk if wanted (spool.go);
// its goroutine (stream_run.go) writes the queue to a connection (stream_link.go)
// and takes out what is confirmed. Every line is sent, waiting, or dropped for
// one reason, and counted as such.
//
// The lines keep to what all common receivers understand in the same way:
// counters are integers, rates and timings are plain decimals without exponent,
// one value per line, sections in the order value, type, rate, tags, and names
// of letters, digits, underscores and dots.
package export
