// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"log/slog"
	"strings"

	"probe/pkg/loader"
)

// selfCounters are the books of every part, under their exported names.
func (a *Agent) selfCounters() []loader.Counter {
	a.counters = a.counters[:0]
	add := func(name string, v uint64) {
		a.counters = append(a.counters, loader.Counter{Name: name, Value: v})
	}
	kernel, err := a.kernel.Counters(a.counters)
	if err != nil {
		a.log.Warn("kernel counters not read", "error", err)
	} else {
		a.counters = kernel
	}
	x := a.tracker.Stats()
	add("records.undecodable", a.decodeErr)
	add("records.lost", x.LostRecords)
	add("exchange.started", x.Started)
	add("exchange.pipelined", x.Pipelined)
	add("exchange.orphan_responses", x.Orphans)
	add("exchange.finished", x.Finished)
	add("exchange.in_progress_reports", x.InProgress)
	add("exchange.inside_body", x.InsideBody)
	add("exchange.responses_inside_body", x.InsideAnswer)
	add("exchange.dropped.not_http", x.NotHTTP)
	add("exchange.dropped.queue_full", x.Evicted)
	add("exchange.dropped.raced", x.Raced)
	add("exchange.dropped.doubtful", x.Doubtful)
	add("exchange.dropped.response_unseen", x.Unseen)
	add("exchange.unseen.http2", x.HTTP2)
	add("exchange.records_after_close", x.AfterClose)
	add("exchange.connections_evicted", x.EvictedConns)
	add("exchange.connections_unknown", x.UnknownConns)
	r := a.routes.Stats()
	add("route.capped", r.Capped)
	add("route.overflow", r.Overflow)
	add("route.services_evicted", r.Evicted)
	a.names.report(add)
	add("agent.restarts.exporter", a.parts.exporter.restarts.Load())
	add("agent.restarts.endpoint", a.parts.endpoint.restarts.Load())
	add("agent.restarts.state", a.parts.memory.restarts.Load())
	add("agent.restarts.state_sync", a.parts.disk.restarts.Load())
	if a.export != nil {
		a.reportExport(add)
		add("agent.intervals_lost", a.deliver.lost.Load())
	}
	if a.memory != nil {
		add("state.saves", a.memory.saves.Load())
		add("state.save_errors", a.memory.failures.Load())
	}
	if a.server != nil {
		add("endpoint.dropped.busy", a.server.Refused())
		add("endpoint.dropped.idle", a.server.Evicted())
	}
	a.host.report(add)
	if a.trace != nil {
		_, lost := a.trace.Counts()
		add("trace.lines_lost", lost)
	}
	return a.counters
}

// logSummary writes one line: the requests so far and everything that was
// refused or lost, where there is any.
func (a *Agent) logSummary(title string) {
	attrs := a.stats.Calculate().LogAttrs()
	attrs = append(attrs, slog.Uint64("pending", a.tracker.Stats().Open))
	var losses []any
	for _, c := range a.counters {
		if c.Value > 0 && isLoss(c.Name) {
			losses = append(losses, slog.Uint64(c.Name, c.Value))
		}
	}
	if len(losses) > 0 {
		attrs = append(attrs, slog.Group("not_seen", losses...))
	}
	a.log.LogAttrs(context.Background(), slog.LevelInfo, title, attrs...)
}

// isLoss: what is not told because of it.
func isLoss(name string) bool {
	for _, part := range []string{".dropped.", ".unseen.", ".raced", "lost", "undecodable", "lines_dropped", "lines_refused", "too_long", "save_errors"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
