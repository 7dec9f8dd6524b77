// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every threshold, above and not above.
func TestThresholdsVerdicts(t *testing.T) {
	t.Parallel()
	limits := Thresholds{MaxMemorySize: 100 << 20}.withDefaults()
	quantiles := func(p99 time.Duration) *SchedDelay {
		return &SchedDelay{Quantiles: true, Mean: time.Hour, P99: p99, Max: time.Hour}
	}
	cpu := func(used float64) Verdict { return limits.cpu(0, &HostCPU{CPURatios: CPURatios{Used: used}}).Verdict }
	memory := func(used uint64, ratio float64) Verdict {
		return limits.memory(0, &HostMemory{Used: used, UsedRatio: ratio}).Verdict
	}
	errs := func(limited, server uint64) Verdict {
		return limits.clientErrors(0, &ClientErrors{RateLimited: limited, ServerErrors: server}).Verdict
	}
	for _, tt := range []struct {
		name string
		got  Verdict
		want string
	}{
		{"cpu", cpu(0.951), "used ratio 0.951 is above 0.95"},
		{"cpu at the threshold", cpu(0.95), ""},
		{"memory", memory(0, 0.901), "used ratio 0.901 is above 0.9"},
		{"memory at the threshold", memory(0, 0.9), ""},
		{"memory size", memory(100<<20+1, 0.1), "104857601 bytes used, above 104857600"},
		{"memory at the size", memory(100<<20, 0.1), ""},
		{"delay", limits.schedDelay(0, quantiles(51*time.Millisecond)).Verdict, "p99 51ms is above 50ms"},
		{"delay at the threshold", limits.schedDelay(0, quantiles(50*time.Millisecond)).Verdict, ""},
		{"mean delay", limits.schedDelay(0, &SchedDelay{Mean: time.Second}).Verdict, "mean 1s is above 50ms"},
		{"client errors", errs(1, 2), "3 answers with 429 or 5xx, above 2"},
		{"client errors at the threshold", errs(1, 1), ""},
	} {
		want := Verdict{Overloaded: tt.want != "", Reason: tt.want}
		if diff := cmp.Diff(want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A resource trips at 40 % of the window and clears at 10 %, not before.
func TestOverloadTripsAndClears(t *testing.T) {
	t.Parallel()
	h := &hostSim{}
	s := newSnapshotter(t, h, nil)
	push := func(cpu float64) bool {
		s.Push(h.use(time.Second, cpu, 0.5, 0))
		return len(s.Overload()) > 0
	}
	push(0)
	for range 20 {
		if push(0.5) {
			t.Fatal("overloaded at half use")
		}
	}
	for i := 1; i <= 4; i++ { // of the ten in the window
		if got, want := push(1), i == 4; got != want {
			t.Errorf("overloaded %v after %d busy samples", got, i)
		}
	}
	want := []Overload{{ResourceCPU, "used ratio 1.000 is above 0.95"}}
	if diff := cmp.Diff(want, s.Overload()); diff != "" {
		t.Errorf("overload (-want +got):\n%s", diff)
	}
	for i := 1; i <= 9; i++ { // the last of the four leaves at the tenth
		if got, want := push(0.5), i < 9; got != want {
			t.Errorf("overloaded %v after %d calm samples", got, i)
		}
	}
	if push(1) {
		t.Error("one busy sample alone trips")
	}
	for range 4 {
		push(1)
	}
	h.now += time.Minute
	if got := s.Overload(); len(got) != 0 {
		t.Errorf("judged a minute after the last sample: %v", got)
	}
}

// The first samples decide by themselves.
func TestOverloadFirstSample(t *testing.T) {
	t.Parallel()
	h := &hostSim{}
	s := newSnapshotter(t, h, nil)
	s.Push(h.use(time.Second, 0, 0, 0))
	h.errors.ServerErrors = 5
	s.Push(h.use(time.Second, 1, 0.99, 0))
	var got []Resource
	for _, o := range s.Overload() {
		got = append(got, o.Resource)
	}
	if diff := cmp.Diff([]Resource{ResourceCPU, ResourceMemory, ResourceClientErrors}, got); diff != "" {
		t.Errorf("overload (-want +got):\n%s", diff)
	}
}

func TestFromConfig(t *testing.T) {
	t.Parallel()
	now := SnapshotterOptions{Now: func() time.Duration { return 0 }}
	s, err := FromConfig(map[string]string{
		"max_used_cpu_ratio": "0.5", "max_used_memory_ratio": "0.6", "max_event_loop_delay": "7ms",
		"max_client_errors": "8", "max_memory_size": "9",
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Thresholds{0.5, 0.6, 7 * time.Millisecond, 8, 9}, s.opt.Thresholds); diff != "" {
		t.Errorf("thresholds (-want +got):\n%s", diff)
	}
	if s, err = FromConfig(nil, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Thresholds{0.95, 0.9, 50 * time.Millisecond, 2, 0}, s.opt.Thresholds); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	for key, value := range map[string]string{
		"max_used_cpu_ratio": "1.1", "max_used_memory_ratio": "NaN", "max_event_loop_delay": "-1s",
		"max_client_errors": "-1", "max_memory_size": "1GiB", "max_cpu": "1",
	} {
		if _, err := FromConfig(map[string]string{key: value}, now); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
	if _, err := NewSnapshotter(SnapshotterOptions{}); err == nil {
		t.Error("no clock, no error")
	}
	if _, err := NewSnapshotter(SnapshotterOptions{Now: now.Now, Interval: -1}); err == nil {
		t.Error("negative interval, no error")
	}
}
