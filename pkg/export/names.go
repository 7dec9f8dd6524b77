// SPDX-License-Identifier: Apache-2.0

package export

import (
	"strings"

	"probe/pkg/stats"
)

// Type is the statsd type of a metric, as written on the wire.
type Type string

// Types in use.
const (
	Counter Type = "c"
	Gauge   Type = "g"
	Timer   Type = "ms"
)

// Metric describes one metric of the program.
type Metric struct {
	// Name without the prefix.
	Name        string
	Type        Type
	Unit        string
	Description string
}

// Last parts of the names of the metrics of an exchange, after the scope.
const (
	nameRequests      = "requests"
	nameErrors        = "errors"
	nameDuration      = "duration"
	nameTTFB          = "ttfb"
	nameWaitAccept    = "wait.accept"
	nameWaitSocket    = "wait.socket"
	nameRequestBytes  = "request_bytes"
	nameResponseBytes = "response_bytes"
	nameInFlight      = "in_flight"
	// longestName is the room that a cut name must leave for these.
	longestName = len(nameResponseBytes)
)

// Scopes, the first parts of the names. For an exchange it is scopeHTTP and the
// name of the role: server, client, or unknown.
const (
	scopeHTTP = "http."
	scopeSelf = "self"
)

// exchangeMetrics exist once per scope.
func exchangeMetrics() []Metric {
	all := []Metric{
		{nameRequests, Counter, "requests", "requests that ended, in whatever way"},
		{nameErrors, Counter, "requests", "of these, answered 5xx, cut short or not answered; not sent while 0"},
		{nameDuration, Timer, "ms", "start of the request to last byte of the response"},
		{nameTTFB, Timer, "ms", "start of the request to first byte of the response"},
		{nameWaitAccept, Timer, "ms", "part of the wait before the process accepted the connection; 0 on a connection in use"},
		{nameWaitSocket, Timer, "ms", "arrival of the request to its first read, less wait.accept"},
		{nameRequestBytes, Counter, "bytes", "bytes of the requests, heads and framing included; not sent while 0"},
		{nameResponseBytes, Counter, "bytes", "bytes of the responses, heads and framing included; not sent while 0"},
		{nameInFlight, Gauge, "requests", "requests without a complete response at the end of the interval; tags host and service only"},
	}
	for _, p := range partMetrics {
		all = append(all, Metric{p.name, Timer, "ms", p.description + partsDescription})
	}
	return all
}

// Self counters of the Exporter, for stats.Recorder.SetSelf.
const (
	selfPacketsSent      = "export.packets_sent"
	selfBytesSent        = "export.bytes_sent"
	selfLinesSent        = "export.lines_sent"
	selfLinesDropped     = "export.lines_dropped"
	selfLinesTooLong     = "export.line_too_long"
	selfLinesRefused     = "export.lines_refused"
	selfLinesReplayed    = "export.lines_replayed"
	selfDroppedFull      = "export.dropped.queue_full"
	selfDroppedAge       = "export.dropped.queue_age"
	selfDroppedSpool     = "export.dropped.spool_unreadable"
	selfDroppedClosed    = "export.dropped.closed"
	selfErrorsRefused    = "export.send_errors.refused"
	selfErrorsUnresolved = "export.send_errors.unresolved"
	selfErrorsConnect    = "export.send_errors.connect"
	selfErrorsNoBuffer   = "export.send_errors.no_buffer"
	selfErrorsOther      = "export.send_errors.other"
	selfErrorsSpool      = "export.spool_errors"
	selfSpoolTorn        = "export.spool_torn"
	selfReconnects       = "export.reconnects"
)

// selfMetrics are the self counters of stats and export; other parts of the
// program add theirs by stats.Recorder.SetSelf.
func selfMetrics() []Metric {
	count := func(name, unit, description string) Metric {
		return Metric{scopeSelf + "." + name, Counter, unit, description}
	}
	return []Metric{
		count(stats.SelfRequests, "requests", "requests recorded, both roles"),
		count(stats.SelfInProgress, "requests", "requests reported while in progress, in no series"),
		count(stats.SelfInvalid, "requests", "requests with an unknown role or outcome number, in no series"),
		count(stats.SelfOverflowed, "requests", "requests counted under {other}, the limit of series being reached"),
		count(stats.SelfSeriesCreated, "series", "series created"),
		count(stats.SelfSeriesDropped, "series", "series dropped after idle intervals"),
		count(stats.SelfIDsRefused, "calls", "calls by id refused, too many being open; only Go programs that use the package make such calls"),
		count(stats.SelfIDsUnknown, "calls", "calls by id that ended without a start; as above"),
		count(stats.SelfGaugesRefused, "calls", "in-flight gauges refused, too many services"),
		count(stats.SelfCounterRefused, "calls", "self counters refused, too many names"),
		count(selfPacketsSent, "packets", "packets handed to the kernel; on a connection, writes"),
		count(selfBytesSent, "bytes", "bytes of these packets"),
		count(selfLinesSent, "lines", "lines in these packets; on a connection, those that arrived"),
		count(selfLinesDropped, "lines", "lines lost by a target without a queue: receiver unreachable, send failed, or out of time"),
		count(selfLinesTooLong, "lines", "lines lost: longer than a payload"),
		count(selfLinesRefused, "lines", "of the lines sent, those in a packet that the receiver's host refused"),
		count(selfLinesReplayed, "lines", "of the lines sent, those sent twice because the receiver died and may not have read them"),
		count(selfDroppedFull, "lines", "oldest lines lost, the queue or the spool being full"),
		count(selfDroppedAge, "lines", "lines lost: in the queue longer than --queue-age"),
		count(selfDroppedSpool, "lines", "lines lost: their file in the spool could not be read"),
		count(selfDroppedClosed, "lines", "lines lost: still in the queue at the end, without a spool"),
		count(selfErrorsRefused, "errors", "refused packets (no one listens on the port or socket)"),
		count(selfErrorsUnresolved, "errors", "failed look-ups of the receiver's name"),
		count(selfErrorsConnect, "errors", "failed attempts to connect"),
		count(selfErrorsNoBuffer, "errors", "packets for which the kernel had no room, the receiver not reading"),
		count(selfErrorsOther, "errors", "other send errors"),
		count(selfErrorsSpool, "errors", "payloads that could not be written to the spool, or read"),
		count(selfSpoolTorn, "errors", "files of the spool whose end was cut off at the start, not being whole"),
		count(selfReconnects, "connections", "connections to the receiver that were lost"),
	}
}

// Metrics returns every metric with its full name, less the prefix.
func Metrics() []Metric {
	var all []Metric
	for _, scope := range []string{scopeHTTP + "server", scopeHTTP + "client"} {
		for _, m := range exchangeMetrics() {
			if scope == scopeHTTP+"client" && serverOnly(m) {
				continue
			}
			m.Name = scope + "." + m.Name
			all = append(all, m)
		}
	}
	all = append(all, hostMetrics()...)
	return append(all, selfMetrics()...)
}

// serverOnly: only a server lets a request wait, and is seen to work on it.
func serverOnly(m Metric) bool {
	return strings.HasPrefix(m.Name, "wait.") || strings.HasSuffix(m.Description, partsDescription)
}
