// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"testing"
	"time"
)

// A source that comes or goes between two looks has no figures over the time
// between them.
func TestSinceWithoutASource(t *testing.T) {
	t.Parallel()
	throttled := time.Second
	all := func(at time.Duration) *HostState {
		stalls := PSI{CPU: &Pressure{Some: &Stall{Total: at}}, Memory: &Pressure{Full: &Stall{Total: at}}, IO: &Pressure{}}
		return &HostState{
			Time: at, CPU: &HostCPU{Times: CPUTimes{Total: at, Used: at}, Cores: []CoreCPU{{Number: 1}}}, PSI: stalls,
			SchedDelay: &SchedDelay{TotalCount: 1}, ClientErrors: &ClientErrors{}, Listen: &Listen{Counters: &ListenCounters{}},
			Services: []Service{{Cgroup: "/a", CPU: &ServiceCPU{TotalUsed: at, TotalThrottled: &throttled}, PSI: stalls}},
		}
	}
	bare := func(at time.Duration) *HostState {
		return &HostState{Time: at, PSI: PSI{CPU: &Pressure{}}, Listen: &Listen{}, Services: []Service{{Cgroup: "/a"}}}
	}
	for name, got := range map[string]*HostState{
		"gone":       (&HostState{Time: 2}).since(all(1)),
		"come":       all(2).since(&HostState{Time: 1}),
		"parts gone": bare(2).since(all(1)),
		"parts come": all(2).since(bare(1)),
	} {
		if got.CPU != nil || got.SchedDelay != nil || got.ClientErrors != nil || got.PSI.Memory != nil || got.PSI.IO != nil {
			t.Errorf("%s: %+v", name, got)
		}
		if p := got.PSI.CPU; p != nil && (p.Some != nil || p.Full != nil) {
			t.Errorf("%s: pressure %+v", name, p)
		}
		if got.Listen != nil && got.Listen.Counters != nil {
			t.Errorf("%s: counters %+v", name, got.Listen.Counters)
		}
		for _, s := range got.Services {
			if s.CPU != nil || s.PSI.Memory != nil {
				t.Errorf("%s: service %+v", name, s)
			}
		}
	}
	whole := all(2).since(all(1))
	if whole.CPU == nil || whole.CPU.Used != 1 || whole.PSI.CPU.Some.Ratio != 1 || whole.Listen.Counters == nil || whole.Services[0].CPU.Throttled == nil {
		t.Errorf("with all sources: %+v", whole)
	}
}
