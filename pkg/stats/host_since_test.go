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

// A service that was started again between two looks has a control group of the
// same path, which begins at 0. A total that went back for another reason says
// nothing.
func TestSinceARestart(t *testing.T) {
	t.Parallel()
	look := func(at, total time.Duration) *HostState {
		stall := &Pressure{Some: &Stall{Total: total}}
		return &HostState{
			Time: at, CPU: &HostCPU{Cores: make([]CoreCPU, 2)},
			Services: []Service{{Cgroup: "/a", CPU: &ServiceCPU{TotalUsed: total, TotalThrottled: &total}, PSI: PSI{CPU: stall}}},
		}
	}
	for name, test := range map[string]struct {
		before, after   time.Duration
		used, throttled float64
		stalled         float64
	}{
		"goes on":                       {100 * time.Second, 105 * time.Second, 0.5, 0.5, 0.5},
		"again":                         {100 * time.Second, 4 * time.Second, 0.4, 0.4, 0.4},
		"again, on both CPUs":           {100 * time.Second, 15 * time.Second, 1.5, 1.5, 0},
		"more than it can have used":    {100 * time.Second, 21 * time.Second, 0, 0, 0},
		"again, and used as much since": {3 * time.Second, 3 * time.Second, 0, 0, 0},
	} {
		s := look(20*time.Second, test.after).since(look(10*time.Second, test.before)).Services[0]
		if s.CPU.Used != test.used || *s.CPU.Throttled != test.throttled || s.PSI.CPU.Some.Ratio != test.stalled {
			t.Errorf("%s: used %v, throttled %v, stalled %v; want %v, %v, %v",
				name, s.CPU.Used, *s.CPU.Throttled, s.PSI.CPU.Some.Ratio, test.used, test.throttled, test.stalled)
		}
	}
}
