// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/stats"
)

// fullHost has every figure there is.
func fullHost() *stats.HostInterval {
	stalled := func(r float64) *stats.Pressure {
		return &stats.Pressure{Some: &stats.Stall{Ratio: r}, Full: &stats.Stall{Ratio: r / 2}}
	}
	psi := stats.PSI{CPU: stalled(0.5), Memory: stalled(0.12345), IO: stalled(1)}
	throttled := 1.25
	return &stats.HostInterval{
		HostState: stats.HostState{
			CPU:          &stats.HostCPU{CPURatios: stats.CPURatios{Used: 0.95, Iowait: 1e-9, Steal: 1.0 / 3}},
			Memory:       &stats.HostMemory{Used: 1 << 40, UsedRatio: 1},
			PSI:          psi,
			RunQueue:     &stats.RunQueue{Load1: 0.5, HasLoad: true},
			SchedDelay:   &stats.SchedDelay{Mean: 1500, Quantiles: true, P50: 1, P90: time.Millisecond, P99: time.Second, Max: time.Minute},
			ClientErrors: &stats.ClientErrors{RateLimited: 1, ServerErrors: 2},
			Listen:       &stats.Listen{Counters: &stats.ListenCounters{Overflows: 4, Drops: 5, RequestDrops: 6}},
			Services: []stats.Service{{
				Name: "nginx", CPU: &stats.ServiceCPU{Used: 1.5, Throttled: &throttled}, Memory: &stats.ServiceMemory{Used: 4096}, PSI: psi,
			}},
		},
		Samples: 10, Runnable: 2.5,
		Ports:    []stats.PortQueue{{Port: 8080, Length: 5, Limit: 8}},
		Overload: []stats.Overload{{Resource: stats.ResourceMemory, Reason: "much"}},
	}
}

func TestAppendHost(t *testing.T) {
	t.Parallel()
	want := `probe.vm.host.cpu.used_ratio:0.95|g
probe.vm.host.cpu.iowait_ratio:0|g
probe.vm.host.cpu.steal_ratio:0.3333|g
probe.vm.host.memory.used_ratio:1|g
probe.vm.host.memory.used_bytes:1099511627776|g
probe.vm.host.psi.cpu.some:50|g
probe.vm.host.psi.cpu.full:25|g
probe.vm.host.psi.memory.some:12.345|g
probe.vm.host.psi.memory.full:6.1725|g
probe.vm.host.psi.io.some:100|g
probe.vm.host.psi.io.full:50|g
probe.vm.host.run_queue:2.5|g
probe.vm.host.load1:0.5|g
probe.vm.host.listen_overflows:4|c
probe.vm.host.listen_drops:5|c
probe.vm.host.listen_request_drops:6|c
probe.vm.host.client_errors:3|c
probe.vm.host.overloaded:1|g
probe.vm.host.overload.cpu:0|g
probe.vm.host.overload.memory:1|g
probe.vm.host.overload.sched_delay:0|g
probe.vm.host.overload.client_errors:0|g
probe.vm.host.sched_delay.mean:0.0015|g
probe.vm.host.sched_delay.p50:0.000001|g
probe.vm.host.sched_delay.p90:1|g
probe.vm.host.sched_delay.p99:1000|g
probe.vm.host.sched_delay.max:60000|g
probe.vm.port_8080.host.accept_queue.length:5|g
probe.vm.port_8080.host.accept_queue.limit:8|g
probe.vm.nginx.host.service.cpu.used:1.5|g
probe.vm.nginx.host.service.cpu.throttled:1.25|g
probe.vm.nginx.host.service.memory.used:4096|g
probe.vm.nginx.host.service.psi.cpu.some:50|g
probe.vm.nginx.host.service.psi.cpu.full:25|g
probe.vm.nginx.host.service.psi.memory.some:12.345|g
probe.vm.nginx.host.service.psi.memory.full:6.1725|g
probe.vm.nginx.host.service.psi.io.some:100|g
probe.vm.nginx.host.service.psi.io.full:50|g
`
	got := string(newEncoder(t, EncoderOptions{Host: "vm"}).AppendHost(nil, fullHost()))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plain (-want +got):\n%s", diff)
	}
	got = string(newEncoder(t, EncoderOptions{Host: "vm", Dialect: DogStatsD}).AppendHost(nil, fullHost()))
	for _, line := range []string{
		"probe.host.cpu.used_ratio:0.95|g|#host:vm\n",
		"probe.host.accept_queue.length:5|g|#host:vm,service:port-8080\n",
		"probe.host.service.psi.memory.some:12.345|g|#host:vm,service:nginx\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no %q in:\n%s", line, got)
		}
	}
}

// What is not known is not told, least of all as 0.
func TestAppendHostUnknown(t *testing.T) {
	t.Parallel()
	h := &stats.HostInterval{HostState: stats.HostState{
		RunQueue: &stats.RunQueue{}, SchedDelay: &stats.SchedDelay{}, Listen: &stats.Listen{},
		PSI: stats.PSI{CPU: &stats.Pressure{Some: &stats.Stall{}}}, Services: []stats.Service{{Name: "x", CPU: &stats.ServiceCPU{}}},
	}, Samples: 1}
	want := `probe.vm.host.psi.cpu.some:0|g
probe.vm.host.run_queue:0|g
probe.vm.host.overloaded:0|g
probe.vm.host.overload.sched_delay:0|g
probe.vm.host.sched_delay.mean:0|g
probe.vm.x.host.service.cpu.used:0|g
`
	got := string(newEncoder(t, EncoderOptions{Host: "vm"}).AppendHost(nil, h))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// An interval without a look has counters, and is no reason to call the host fine.
func TestAppendHostWithoutLook(t *testing.T) {
	t.Parallel()
	h := &stats.HostInterval{
		HostState: stats.HostState{
			ClientErrors: &stats.ClientErrors{ServerErrors: 2}, Listen: &stats.Listen{Counters: &stats.ListenCounters{Drops: 1}},
		},
		Overload: []stats.Overload{{Resource: stats.ResourceCPU, Reason: "much"}},
	}
	want := "probe.vm.host.listen_drops:1|c\nprobe.vm.host.client_errors:2|c\n"
	got := string(newEncoder(t, EncoderOptions{Host: "vm"}).AppendHost(nil, h))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestAppendHostLongNames(t *testing.T) {
	t.Parallel()
	h := fullHost()
	h.Services[0].Name = strings.Repeat("long.slice/", 60)
	e := newEncoder(t, EncoderOptions{Prefix: strings.Repeat("p", 100), Host: strings.Repeat("h", 100)})
	for _, p := range parseAll(t, e.AppendHost(nil, h), Plain) {
		if len(p.Name) > maxNameLength {
			t.Errorf("name of %d characters: %s", len(p.Name), p.Name)
		}
	}
}

// A Snapshot with a host is sent whole.
func TestExportHost(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	x, err := New(Options{Host: "vm", Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Export(context.Background(), &stats.Snapshot{Host: fullHost()}); err != nil {
		t.Fatal(err)
	}
	want := string(newEncoder(t, EncoderOptions{Host: "vm"}).AppendHost(nil, fullHost()))
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if err := x.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// The names of a service's figures leave no more room than fit counts with.
func TestHostLongestName(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{scopeServicePSI, scopeServiceWait, scopeAcceptQueue, scopeService} {
		for _, m := range hostMetrics() {
			name, of := strings.CutPrefix(m.Name, scope+".")
			if of && !strings.HasPrefix(name, "psi.") && !strings.HasPrefix(name, "sched_delay.") && len(name) > longestName {
				t.Errorf("%s is longer than longestName = %d", name, longestName)
			}
		}
	}
}

// Without a service on the lines, those of all services would be one.
func TestAppendHostWithoutServices(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]EncoderOptions{
		"tags": {Dialect: Influx, Fields: []Field{FieldHost}}, "segments": {Fields: []Field{FieldHost}}, "template": {Template: "{host}.{scope}.{metric}"},
	} {
		e := newEncoder(t, opt)
		got := string(e.AppendDelays(e.AppendHost(nil, fullHost()), []stats.ServiceDelay{{Service: "shop"}}))
		if strings.Contains(got, "host.service") || strings.Contains(got, "accept_queue") || !strings.Contains(got, "host.sched_delay.max") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

// Services whose lines have the same name are told as one: a receiver would keep
// the last one's gauges, and those of one that has gone are 0.
func TestAppendHostSameNames(t *testing.T) {
	t.Parallel()
	h := &stats.HostInterval{HostState: stats.HostState{Services: []stats.Service{
		{Name: "app@1", CPU: &stats.ServiceCPU{Used: 1}, Memory: &stats.ServiceMemory{Used: 10}},
		{Name: "other", CPU: &stats.ServiceCPU{Used: 5}},
		{Name: "app-1", CPU: &stats.ServiceCPU{Used: 2}, PSI: stats.PSI{CPU: &stats.Pressure{Some: &stats.Stall{Ratio: 0.5}}}},
		{Name: "app 1", CPU: &stats.ServiceCPU{}, Memory: &stats.ServiceMemory{}},
	}}}
	delays := []stats.ServiceDelay{
		{Service: "app@1", SchedDelay: stats.SchedDelay{Mean: time.Millisecond}},
		{Service: "app-1", SchedDelay: stats.SchedDelay{}},
	}
	e := newEncoder(t, EncoderOptions{Host: "vm"})
	got := string(e.AppendDelays(e.AppendHost(nil, h), delays))
	want := `probe.vm.app_1.host.service.cpu.used:3|g
probe.vm.app_1.host.service.memory.used:10|g
probe.vm.app_1.host.service.psi.cpu.some:50|g
probe.vm.other.host.service.cpu.used:5|g
probe.vm.app_1.host.service.sched_delay.mean:1|g
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	tagged := newEncoder(t, EncoderOptions{Host: "vm", Dialect: DogStatsD})
	if n := strings.Count(string(tagged.AppendHost(nil, h)), "service.cpu.used:"); n != 4 {
		t.Errorf("%d services where tags tell them apart, want 4", n)
	}
}
