// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"os"
	"strconv"
	"time"

	"probe/pkg/events"
	"probe/pkg/loader"
	"probe/pkg/stats"
)

// Description is the state of a running agent, as /debug/state and SIGUSR1 show
// it. The names are stable.
type Description struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Now     time.Time `json:"now"`
	Role    string    `json:"role"`
	// Problems are what /healthz and /readyz complain about.
	Problems []string `json:"problems"`
	// Pipeline is what it is doing; Answers is false when it does not answer,
	// then Source, Open, Counters and Programs are missing.
	Pipeline string `json:"pipeline"`
	Answers  bool   `json:"pipeline_answers"`
	Source   string `json:"source,omitempty"`
	// Requests are those since Started, Remembered those since State.Since, by
	// role and outcome.
	Requests   map[string]RoleCounts `json:"requests"`
	Remembered map[string]RoleCounts `json:"remembered"`
	Summary    Figures               `json:"summary"`
	Open       uint64                `json:"open"`
	Series     int                   `json:"series"`
	Parts      map[string]PartState  `json:"parts"`
	Export     *exportStatus         `json:"export,omitempty"`
	State      *memoryStatus         `json:"state,omitempty"`
	// TopSeries are those of State with the most requests.
	TopSeries []SeriesFigures       `json:"top_series,omitempty"`
	Counters  map[string]uint64     `json:"counters,omitempty"`
	Programs  []loader.ProgramStats `json:"programs,omitempty"`
}

// RoleCounts are the requests of one role.
type RoleCounts struct {
	Requests      uint64            `json:"requests"`
	Errors        uint64            `json:"errors"`
	RequestBytes  uint64            `json:"request_bytes"`
	ResponseBytes uint64            `json:"response_bytes"`
	Outcomes      map[string]uint64 `json:"outcomes"`
}

// PartState says how a part is.
type PartState struct {
	// BusyNS is how long its present work has been going on; 0: none.
	BusyNS   time.Duration `json:"busy_ns"`
	Stuck    bool          `json:"stuck"`
	Restarts uint64        `json:"restarts"`
}

func (a *Agent) describe(ctx context.Context) Description {
	now := a.clock.Now()
	d := Description{
		Version: a.opt.Version, PID: os.Getpid(), Role: a.opt.Role,
		Started: a.clock.Wall(a.startedNS).UTC(), Now: a.clock.Wall(now).UTC(),
		Problems: []string{}, Pipeline: stage(a.parts.at.Load()).String(),
		Requests: countsByRole(a.stats.Totals().ByRole), Remembered: countsByRole(a.stats.Lifetime()),
		Summary: figuresOf(a.stats.Calculate()), Series: a.stats.ActiveSeries(), Parts: map[string]PartState{},
	}
	if err := (*view)(a).Ready(); err != nil {
		d.Problems = append(d.Problems, err.Error())
	}
	for _, p := range a.parts.all() {
		s := PartState{Restarts: p.restarts.Load()}
		if since := p.sinceNS.Load(); since > 0 && since < now {
			s.BusyNS = time.Duration(now - since)
		}
		_, s.Stuck = p.stuckFor(now)
		d.Parts[p.name] = s
	}
	if !a.opt.Trace {
		s := a.exportStatus()
		d.Export = &s
	}
	if a.memory != nil {
		s := a.memory.status(a.opt.StateDir)
		d.State, d.TopSeries = &s, topSeries(a.memory.series.List())
	}
	if in, err := a.askInside(ctx); err == nil {
		d.Answers, d.Source, d.Open, d.Programs = true, string(in.source), in.open, in.programs
		d.Counters = make(map[string]uint64, len(in.counters))
		for _, c := range in.counters {
			d.Counters[c.Name] = c.Value
		}
	}
	return d
}

// countsByRole leaves out the unknown role where it counts nothing.
func countsByRole(all [stats.NumRoles]stats.Counters) map[string]RoleCounts {
	roles := make(map[string]RoleCounts, len(all))
	for role, c := range all {
		if events.Role(role) == events.RoleUnknown && c.Requests == 0 {
			continue
		}
		outcomes := make(map[string]uint64, len(c.Outcomes))
		for outcome, n := range c.Outcomes {
			outcomes[events.Outcome(outcome).String()] = n
		}
		roles[events.Role(role).String()] = RoleCounts{
			Requests: c.Requests, Errors: c.Errors,
			RequestBytes: c.RequestBytes, ResponseBytes: c.ResponseBytes, Outcomes: outcomes,
		}
	}
	return roles
}

// SeriesFigures are the totals of one series.
type SeriesFigures struct {
	Role     string        `json:"role"`
	Service  string        `json:"service"`
	Method   string        `json:"method"`
	Route    string        `json:"route"`
	Status   uint16        `json:"status"`
	Requests uint64        `json:"requests"`
	Errors   uint64        `json:"errors"`
	AvgNS    time.Duration `json:"avg_ns"`
	MaxNS    time.Duration `json:"max_ns"`
}

// maxTopSeries is how many series are shown.
const maxTopSeries = 20

func topSeries(list []stats.SeriesTotal) []SeriesFigures {
	list = list[:min(len(list), maxTopSeries)]
	top := make([]SeriesFigures, 0, len(list))
	for _, s := range list {
		f := SeriesFigures{
			Role: s.Role.String(), Service: s.Service, Method: s.Method, Route: s.Route, Status: s.Status,
			Requests: s.Requests, Errors: s.Errors, MaxNS: s.Max,
		}
		if s.Timed > 0 {
			f.AvgNS = s.Duration / time.Duration(s.Timed)
		}
		top = append(top, f)
	}
	return top
}

// Figures are those of stats.Summary, named for JSON.
type Figures struct {
	Finished          uint64            `json:"finished"`
	Failed            uint64            `json:"failed"`
	AvgFinishedNS     time.Duration     `json:"avg_finished_ns"`
	AvgFailedNS       time.Duration     `json:"avg_failed_ns"`
	FinishedPerMinute float64           `json:"finished_per_minute"`
	FailedPerMinute   float64           `json:"failed_per_minute"`
	RuntimeNS         time.Duration     `json:"runtime_ns"`
	MinNS             time.Duration     `json:"min_ns"`
	P50NS             time.Duration     `json:"p50_ns"`
	P90NS             time.Duration     `json:"p90_ns"`
	P99NS             time.Duration     `json:"p99_ns"`
	P999NS            time.Duration     `json:"p999_ns"`
	MaxNS             time.Duration     `json:"max_ns"`
	StatusCodes       map[string]uint64 `json:"status_codes"`
}

func figuresOf(s stats.Summary) Figures {
	f := Figures{
		Finished: s.Finished, Failed: s.Failed, AvgFinishedNS: s.AvgFinished, AvgFailedNS: s.AvgFailed,
		FinishedPerMinute: s.FinishedPerMinute, FailedPerMinute: s.FailedPerMinute, RuntimeNS: s.Runtime,
		MinNS: s.Latency.Min, P50NS: s.Latency.P50, P90NS: s.Latency.P90, P99NS: s.Latency.P99,
		P999NS: s.Latency.P999, MaxNS: s.Latency.Max, StatusCodes: map[string]uint64{},
	}
	for _, c := range s.StatusCodes {
		f.StatusCodes[statusName(c.Code)] = c.Count
	}
	return f
}

// statusName: code 0 stands for those outside 100..999.
func statusName(code int) string {
	if code == 0 {
		return "other"
	}
	return strconv.Itoa(code)
}
