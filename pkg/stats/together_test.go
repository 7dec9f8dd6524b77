// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestServicesTogether(t *testing.T) {
	t.Parallel()
	share := func(v float64) *float64 { return &v }
	a := Service{
		Name: "nginx", Cgroup: "/a", CPU: &ServiceCPU{Used: 1, Throttled: share(0.25)}, Memory: &ServiceMemory{Used: 10, Limit: 100},
		PSI: PSI{CPU: &Pressure{Some: &Stall{Ratio: 0.5}, Full: &Stall{Ratio: 0.1}}},
	}
	b := Service{
		Name: "nginx", Cgroup: "/b", CPU: &ServiceCPU{Used: 2, Throttled: share(0.5)}, Memory: &ServiceMemory{Used: 20, Limit: 200},
		PSI: PSI{CPU: &Pressure{Some: &Stall{Ratio: 0.25}, Full: &Stall{Ratio: 0.2}}, IO: &Pressure{Some: &Stall{Ratio: 1}}},
	}
	both := Service{
		Name: "nginx", Cgroup: "/a", CPU: &ServiceCPU{Used: 3, Throttled: share(0.75)}, Memory: &ServiceMemory{Used: 30, Limit: 300},
		PSI: PSI{CPU: &Pressure{Some: &Stall{Ratio: 0.5}, Full: &Stall{Ratio: 0.2}}, IO: &Pressure{Some: &Stall{Ratio: 1}}},
	}
	bare := Service{Name: "nginx", Cgroup: "/a"}
	unlimited := Service{CPU: &ServiceCPU{Used: 1}, Memory: &ServiceMemory{Used: 1}}
	tests := []struct {
		name       string
		a, b, want Service
	}{
		{"all of both", a, b, both},
		{"nothing of one", a, Service{}, a},
		{"nothing of the other", bare, Service{CPU: b.CPU, Memory: b.Memory, PSI: b.PSI}, Service{Name: "nginx", Cgroup: "/a", CPU: b.CPU, Memory: b.Memory, PSI: b.PSI}},
		{
			"limits of one only", a, unlimited,
			Service{Name: "nginx", Cgroup: "/a", CPU: &ServiceCPU{Used: 2, Throttled: share(0.25)}, Memory: &ServiceMemory{Used: 11}, PSI: a.PSI},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tt.want, tt.a.Together(tt.b)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDelaysTogether(t *testing.T) {
	t.Parallel()
	a := ServiceDelay{Service: "api", SchedDelay: SchedDelay{Count: 1, Mean: 2, Quantiles: true, P50: 3, Max: time.Second}}
	b := ServiceDelay{Service: "api", SchedDelay: SchedDelay{Count: 2, Mean: 1, Quantiles: true, P50: 4, Max: time.Minute}}
	want := ServiceDelay{Service: "api", SchedDelay: SchedDelay{Count: 3, Mean: 2, Quantiles: true, P50: 4, Max: time.Minute}}
	if d := cmp.Diff(want, a.Together(b)); d != "" {
		t.Error(d)
	}
}
