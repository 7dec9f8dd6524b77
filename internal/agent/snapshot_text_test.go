// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"testing"
	"time"

	"probe/internal/host"
	"probe/internal/testutil"
	"probe/pkg/stats"
)

// The table with everything in it, and with nothing.
func TestSnapshotText(t *testing.T) {
	stalled := &stats.Pressure{Some: &stats.Stall{Ratio: 0.25}, Full: &stats.Stall{Ratio: 0.125}}
	throttled := 0.5
	full := hostReport{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Host: "vm",
		HostState: stats.HostState{
			Interval: time.Second,
			CPU: &stats.HostCPU{CPURatios: stats.CPURatios{Used: 0.5, Iowait: 0.25, Steal: 0.125}, Cores: []stats.CoreCPU{
				{Number: 0}, {Number: 1, CPURatios: stats.CPURatios{Used: 1}},
			}},
			Memory:     &stats.HostMemory{Total: 3 << 30, Used: 3 << 29, UsedRatio: 0.5, SwapTotal: 1 << 20, SwapUsed: 512},
			PSI:        stats.PSI{CPU: &stats.Pressure{Some: &stats.Stall{Ratio: 1}}, Memory: stalled, IO: stalled},
			RunQueue:   &stats.RunQueue{Runnable: 3, Blocked: 1, Load1: 1, Load5: 0.5, Load15: 0.25, HasLoad: true},
			SchedDelay: &stats.SchedDelay{Count: 7, Mean: 1500 * time.Microsecond},
			Listen:     &stats.Listen{Refused: 3, Counters: &stats.ListenCounters{Overflows: 2, Drops: 5}},
			Services: []stats.Service{
				{Name: "idle"},
				{Name: "nginx", CPU: &stats.ServiceCPU{Used: 1.5, Throttled: &throttled}, Memory: &stats.ServiceMemory{Used: 3 << 19, Limit: 1 << 21}, PSI: stats.PSI{Memory: stalled}},
				{Name: "redis", CPU: &stats.ServiceCPU{Used: 0.5}, Memory: &stats.ServiceMemory{Used: 4096}},
			},
			Missing: []stats.MissingSource{{Source: "client_errors", Reason: "outbound calls are not observed"}},
		},
		UnderPressure: []host.Finding{{Resource: "cpu", Reason: "too busy"}, {Resource: "service.cpu", Subject: "nginx", Reason: "throttled"}},
	}
	for port := range uint16(12) {
		full.Listen.Sockets = append(full.Listen.Sockets, stats.ListenSocket{Address: "::", Port: 80 + port, Length: uint32(port % 3), Limit: 128})
	}
	var out bytes.Buffer
	if err := full.print(&out); err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "snapshot.txt", out.Bytes())

	out.Reset()
	empty := hostReport{Host: "vm"}
	if err := empty.print(&out); err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "snapshot_empty.txt", out.Bytes())
}

// Services are called what those who made their control groups chose.
func TestSnapshotTextIsPlain(t *testing.T) {
	const name = "evil\x1b[2J\n\x00\xff\u009b1m"
	r := hostReport{
		HostState: stats.HostState{
			Services: []stats.Service{{Name: name}},
			Missing:  []stats.MissingSource{{Source: "x", Reason: name}},
		},
		UnderPressure: []host.Finding{{Resource: "service.cpu", Subject: name, Reason: name}},
	}
	var out bytes.Buffer
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(out.Bytes(), []byte("evil?[2J????1m")); got != 4 {
		t.Errorf("%q", out.String())
	}
	if bytes.ContainsAny(out.Bytes(), "\x1b\x00\u009b") {
		t.Errorf("control characters in %q", out.String())
	}
}
