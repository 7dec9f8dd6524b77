// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/stats"
)

func TestUnderPressure(t *testing.T) {
	t.Parallel()
	stalled := func(some, full float64) *stats.Pressure {
		return &stats.Pressure{Some: &stats.Stall{Ratio: some}, Full: &stats.Stall{Ratio: full}}
	}
	throttled := 0.25
	calm := stats.Service{
		Name: "calm", CPU: &stats.ServiceCPU{Used: 1}, Memory: &stats.ServiceMemory{Used: 1 << 40},
		PSI: stats.PSI{CPU: stalled(0.09, 0.09)},
	}
	for _, tt := range []struct {
		name  string
		state stats.HostState
		want  []Finding
	}{
		{"nothing known", stats.HostState{}, nil},
		{"calm", stats.HostState{
			CPU:      &stats.HostCPU{CPURatios: stats.CPURatios{Used: 1, Iowait: 0.19, Steal: 0.04}},
			PSI:      stats.PSI{CPU: stalled(0.09, 0), Memory: &stats.Pressure{}},
			Listen:   &stats.Listen{Sockets: []stats.ListenSocket{{Length: 3, Limit: 8}, {Length: 0, Limit: 0}}, Counters: &stats.ListenCounters{}},
			Services: []stats.Service{calm},
		}, nil},
		{"cpu", stats.HostState{CPU: &stats.HostCPU{CPURatios: stats.CPURatios{Iowait: 0.2, Steal: 0.05}}}, []Finding{
			{"cpu", "", "5.0 % of the CPU time was given to other guests of the hypervisor"},
			{"cpu", "", "20.0 % of the CPU time was idle for want of a disk"},
		}},
		{"psi", stats.HostState{PSI: stats.PSI{CPU: stalled(0.5, 0.09), Memory: stalled(0.5, 0.125), IO: stalled(0.1, 0)}}, []Finding{
			{"psi.cpu", "", "something waited for a CPU for 50.0 % of the time"},
			{"psi.memory", "", "nothing could run for want of memory for 12.5 % of the time"},
			{"psi.io", "", "something waited for a disk for 10.0 % of the time"},
		}},
		{"listen", stats.HostState{Listen: &stats.Listen{
			Sockets:  []stats.ListenSocket{{Address: "::", Port: 80, Length: 4, Limit: 8}, {Address: "127.0.0.1", Port: 81, Length: 1}},
			Counters: &stats.ListenCounters{Overflows: 2, Drops: 3, RequestDrops: 4},
		}}, []Finding{
			{"listen", "[::]:80", "4 connections wait to be accepted, the limit is 8"},
			{"listen", "127.0.0.1:81", "1 connections wait to be accepted, the limit is 0"},
			{"listen", "", "3 connections lost, 2 of them because an accept queue was full"},
			{"listen", "", "4 connection requests lost because a queue of half-open connections was full"},
		}},
		{"service", stats.HostState{Services: []stats.Service{calm, {
			Name: "api", CPU: &stats.ServiceCPU{Throttled: &throttled}, Memory: &stats.ServiceMemory{Used: 95, Limit: 100},
			PSI: stats.PSI{Memory: stalled(0.2, 0)},
		}}}, []Finding{
			{"service.cpu", "api", "its quota took its CPUs away for 25.0 % of the time"},
			{"service.memory", "api", "it uses 95.0 % of its memory limit, page cache included"},
			{"service.psi.memory", "api", "something waited for memory for 20.0 % of the time"},
		}},
	} {
		if diff := cmp.Diff(tt.want, UnderPressure(&tt.state, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	got := UnderPressure(&stats.HostState{}, []stats.Overload{{Resource: stats.ResourceMemory, Reason: "too much"}})
	if diff := cmp.Diff([]Finding{{"memory", "", "too much"}}, got); diff != "" {
		t.Errorf("overload (-want +got):\n%s", diff)
	}
}
