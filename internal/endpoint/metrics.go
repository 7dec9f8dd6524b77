// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"probe/pkg/events"
	"probe/pkg/stats"
)

// Metrics is a picture of the agent for Prometheus. Counters count from the
// start of the process.
type Metrics struct {
	Version string
	// Complete is false when the pipeline did not answer; then Source, Self and
	// Programs are missing.
	Complete bool
	// Source is the kernel source in use.
	Source string
	// ByRole is indexed by events.Role.
	ByRole [stats.NumRoles]stats.Counters
	// Series are those in memory.
	Series int
	// Self are the self counters, by their statsd names.
	Self     []Counter
	Export   *Export // nil without an exporter
	Programs []Program
	Parts    []Part
	// Saved is the time of the last save of the totals; zero without.
	Saved time.Time
}

// Counter is one self counter.
type Counter struct {
	Name  string
	Value uint64
}

// Export is the state of the way to the statsd receiver.
type Export struct {
	Connected              bool
	QueueBytes, QueueLines int
	// LastSuccess is zero when there was none yet.
	LastSuccess time.Time
}

// Program is a BPF program.
type Program struct {
	Name     string
	Attached bool
	// Measured: the kernel keeps account of the runs.
	Measured bool
	Runs     uint64
	RunTime  time.Duration
}

// Part is a part of the agent.
type Part struct {
	Name     string
	Stuck    bool
	Restarts uint64
}

// metricsHandler has a registry of its own, so that nothing else gets in.
func metricsHandler(source Source) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		&collector{source},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError})
}

// collector asks the source once per scrape. What it collects depends on the
// self counters there are, so it describes nothing beforehand.
type collector struct{ source Source }

func (c *collector) Describe(chan<- *prometheus.Desc) {}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	m := c.source.Metrics(context.Background())
	e := emitter{out}
	e.gauge("build_info", "Version of the program and the kernel source in use.", 1, "version", m.Version, "source", m.Source)
	for role := range m.ByRole {
		e.role(events.Role(role), &m.ByRole[role])
	}
	e.gauge("series", "Series in memory.", float64(m.Series))
	e.gauge("pipeline_answers", "1 if the pipeline answered this scrape; without it the counters below it are missing.", truth(m.Complete))
	for _, s := range m.Self {
		e.self(s)
	}
	if m.Export != nil {
		e.export(m.Export)
	}
	for _, p := range m.Programs {
		e.program(p)
	}
	for _, p := range m.Parts {
		e.gauge("part_stuck", "1 while a part of the agent does not get on.", truth(p.Stuck), "part", p.Name)
		e.counter("part_restarts_total", "Restarts of a part of the agent.", float64(p.Restarts), "part", p.Name)
	}
	if !m.Saved.IsZero() {
		e.gauge("state_saved_timestamp_seconds", "When the totals were written last.", seconds(m.Saved))
	}
}

// emitter sends metrics. Labels are pairs of name and value.
type emitter struct{ out chan<- prometheus.Metric }

func (e emitter) gauge(name, help string, value float64, labels ...string) {
	e.send(prometheus.GaugeValue, name, help, value, labels)
}

func (e emitter) counter(name, help string, value float64, labels ...string) {
	e.send(prometheus.CounterValue, name, help, value, labels)
}

func (e emitter) send(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	var names, values []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, strings.ToValidUTF8(labels[i+1], "\uFFFD"))
	}
	desc := prometheus.NewDesc("probe_"+name, help, names, nil)
	m, err := prometheus.NewConstMetric(desc, kind, value, values...)
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	e.out <- m
}

func (e emitter) role(role events.Role, c *stats.Counters) {
	if role == events.RoleUnknown && c.Requests == 0 {
		return
	}
	for outcome, n := range c.Outcomes {
		if events.Outcome(outcome) == events.OutcomeInProgress {
			continue // those have not ended, and are not counted here
		}
		e.counter("http_requests_total", "Requests that ended.", float64(n), "role", role.String(), "outcome", events.Outcome(outcome).String())
	}
	e.counter("http_errors_total", "Requests answered 5xx, cut short or not answered.", float64(c.Errors), "role", role.String())
	e.counter("http_request_bytes_total", "Bytes of requests.", float64(c.RequestBytes), "role", role.String())
	e.counter("http_response_bytes_total", "Bytes of responses.", float64(c.ResponseBytes), "role", role.String())
}

// self makes kernel.dropped.ring_full probe_kernel_dropped_total{reason="ring_full"}
// and stats.requests probe_stats_requests_total: what has a third part is one of
// several reasons.
func (e emitter) self(c Counter) {
	parts := strings.SplitN(c.Name, ".", 3)
	name := metricName(strings.Join(parts[:min(len(parts), 2)], "_")) + "_total"
	help := "Self counter " + strings.Join(parts[:min(len(parts), 2)], ".") + " (see docs/metrics.md)."
	if len(parts) == 3 {
		e.counter(name, help, float64(c.Value), "reason", parts[2])
		return
	}
	e.counter(name, help, float64(c.Value))
}

// metricName keeps what may be in a metric name.
func metricName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') {
			return r
		}
		return '_'
	}, s)
}

func (e emitter) export(x *Export) {
	e.gauge("export_connected", "1 if the last delivery arrived, as far as can be known.", truth(x.Connected))
	e.gauge("export_queue_bytes", "Bytes waiting to be sent.", float64(x.QueueBytes))
	e.gauge("export_queue_lines", "Lines waiting to be sent.", float64(x.QueueLines))
	if !x.LastSuccess.IsZero() {
		e.gauge("export_last_success_timestamp_seconds", "When the last delivery succeeded.", seconds(x.LastSuccess))
	}
}

func (e emitter) program(p Program) {
	e.gauge("bpf_program_attached", "1 if the program is attached.", truth(p.Attached), "program", p.Name)
	if p.Measured {
		e.counter("bpf_runs_total", "Runs of the program (kernel.bpf_stats_enabled).", float64(p.Runs), "program", p.Name)
		e.counter("bpf_run_time_seconds_total", "Time in the program (kernel.bpf_stats_enabled).", p.RunTime.Seconds(), "program", p.Name)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
