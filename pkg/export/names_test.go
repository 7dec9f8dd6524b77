// SPDX-License-Identifier: Apache-2.0

package export

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
	"probe/pkg/stats"
)

// TestTableAndEncoderAgree renders everything there is and compares names and
// types with the table, both ways.
func TestTableAndEncoderAgree(t *testing.T) {
	t.Parallel()
	table := make(map[string]string)
	for _, m := range Metrics() {
		if _, twice := table[m.Name]; twice || m.Unit == "" || m.Description == "" {
			t.Errorf("%s is twice in the table or lacks unit or description", m.Name)
		}
		table[m.Name] = string(m.Type)
	}
	e := newEncoder(t, EncoderOptions{Dialect: DogStatsD})
	var lines []byte
	for _, role := range []events.Role{events.RoleServer, events.RoleClient} {
		s := oneSeries(1)
		s.Role = role
		if role == events.RoleClient { // has no waits: see events.Wait.Known
			s.Samples.WaitAccept, s.Samples.WaitSocket = nil, nil
		} else {
			for i := range s.Samples.Parts {
				s.Samples.Parts[i] = []time.Duration{1}
			}
		}
		lines = e.AppendSeries(lines, s)
		lines = e.AppendInFlight(lines, &stats.InFlight{Role: role})
	}
	lines = e.AppendHost(lines, fullHost())
	lines = e.AppendDelays(lines, []stats.ServiceDelay{{Service: "shop", SchedDelay: stats.SchedDelay{Quantiles: true}}})
	recorder := stats.New(stats.Options{})
	Counters{}.Report(recorder.SetSelf)
	for _, v := range recorder.Flush().Self {
		v.Delta = 1
		lines = e.AppendSelf(lines, &v)
	}
	sent := make(map[string]string)
	for _, p := range parseAll(t, lines, DogStatsD) {
		sent[strings.TrimPrefix(p.Name, "probe.")] = p.Type
	}
	if diff := cmp.Diff(table, sent); diff != "" {
		t.Error(diff)
	}
}

func TestPartMetricsFollowTheParts(t *testing.T) {
	t.Parallel()
	for i, m := range partMetrics {
		p := events.Part(i)
		want := p.String()
		if p >= events.PartLock && p <= events.PartOther {
			want = "blocked." + want
		}
		if m.name != want {
			t.Errorf("part %d is called %s, want %s", i, m.name, want)
		}
	}
}

func TestLongestName(t *testing.T) {
	t.Parallel()
	for _, m := range exchangeMetrics() {
		if len(m.Name) > longestName {
			t.Errorf("%s is longer than longestName = %d", m.Name, longestName)
		}
	}
}

func TestCountersReportEveryField(t *testing.T) {
	t.Parallel()
	got := make(map[uint64]string)
	var c Counters
	fields := reflect.ValueOf(&c).Elem()
	for i := range fields.NumField() {
		fields.Field(i).SetUint(uint64(i) + 1)
	}
	c.Report(func(name string, value uint64) { got[value] = name })
	if len(got) != fields.NumField() || got[0] != "" {
		t.Errorf("reported %v", got)
	}
}
