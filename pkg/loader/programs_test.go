// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"probe/pkg/loader"
)

// The programs in use, which of them are attached, and how often they ran.
func TestPrograms(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Client: true, Comms: []string{player.comm}})
		measure, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
		if err != nil {
			t.Fatal(err)
		}
		defer measure.Close()
		obs.await(len(player.play(order{Scenario: "churn", Repeat: 50})))
		programs, err := obs.kernel.Programs()
		if err != nil {
			t.Fatal(err)
		}
		var runs uint64
		seen := map[string]bool{}
		for _, p := range programs {
			seen[p.Name] = true
			// Without the server's end nobody needs arrival times.
			if want := p.Name != "http_arrival" && p.Name != "http_tab_arrive"; p.Attached != want {
				t.Errorf("%s: attached %v, want %v", p.Name, p.Attached, want)
			}
			if (p.Runs > 0) != (p.RunTime > 0) {
				t.Errorf("%s: %d runs took %v", p.Name, p.Runs, p.RunTime)
			}
			runs += p.Runs
		}
		if runs < 50 {
			t.Errorf("%d runs, want at least one per connection", runs)
		}
		if len(programs) < 4 || len(seen) != len(programs) {
			t.Errorf("programs %+v", programs)
		}
		if err := obs.kernel.Detach(); err != nil {
			t.Fatal(err)
		}
		programs, err = obs.kernel.Programs()
		if err != nil {
			t.Fatal(err)
		}
		attached := 0
		for _, p := range programs {
			if p.Attached {
				attached++
			}
		}
		if attached != 1 {
			t.Errorf("%d programs attached after Detach, want only the sweep", attached)
		}
	})
}
