// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/internal/testutil"
	"probe/pkg/loader"
)

// Every scenario comes out of the pipeline as it was played: no exchange more,
// none less, and each with its method, target, status and bytes. With each source,
// each way to sweep and each way to read; where the kernel refuses iterators over
// maps both ways to sweep are one, played once.
func TestScenarios(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		o := loader.Options{Source: source, Server: true, Client: true}
		if overMaps := playScenarios(t, o); overMaps {
			t.Run("sweep by files", func(t *testing.T) {
				if playScenarios(t, loader.SweepFiles(o)) {
					t.Error("sweeps go over maps")
				}
			})
		}
		if source == loader.SourceSocket {
			t.Run("from user memory", func(t *testing.T) { playScenarios(t, loader.UserMemory(o)) })
		}
	})
}

// playScenarios reports whether sweeps went over maps.
func playScenarios(t *testing.T, o loader.Options) bool {
	player := startChild(t)
	o.Comms = []string{player.comm}
	obs := observe(t, o)
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			obs.t, player.t = t, t
			obs.await(0) // what one before left behind when it failed
			want := sorted(player.play(order{Scenario: sc.name}))
			compareExchanges(t, want, obs.await(len(want)))
		})
	}
	t.Run("churn", func(t *testing.T) {
		obs.t, player.t = t, t
		churn(t, obs, player)
	})
	obs.t, player.t = t, t
	return !obs.kernel.SweepsFiles()
}

func compareExchanges(t *testing.T, want, got []exchange) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		if want[i].TID == anyThread {
			got[i].TID = anyThread
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exchanges (-want +got):\n%s", diff)
	}
}

// churn: sockets, descriptors and the addresses of kernel objects are reused all
// the time; no exchange may be taken for that of the connection before.
func churn(t *testing.T, obs *observer, player *child) {
	const connections = 5000
	dropped := obs.counter("kernel.dropped.ring_full")
	player.begin(order{Scenario: "churn", Repeat: connections})
	done := make(chan []exchange)
	go func() { done <- player.result() }()
	var want []exchange
	for want == nil {
		select {
		case want = <-done:
		default:
			obs.poll()
		}
	}
	got := obs.await(2 * connections)
	if n := obs.counter("kernel.dropped.ring_full") - dropped; n > 0 {
		t.Fatalf("%d records dropped: the test drains too slowly", n)
	}
	compareExchanges(t, sorted(want), got)
}

func TestLoadAndClose(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		requireSource(t, source)
		testutil.CheckFDs(t)
		l, err := loader.Load(loader.Options{Source: source})
		if err != nil {
			t.Fatalf("load: %v\n%s", err, loader.VerifierLog(err))
		}
		if l.Source() != source {
			t.Errorf("source %s, want %s", l.Source(), source)
		}
		for _, step := range []struct {
			name string
			do   func() error
		}{
			{"sweep", func() error { return l.Sweep(0, true) }},
			{"drain", func() error { _, _, err := l.Drain(func([]byte) {}); return err }},
			{"detach", l.Detach}, {"detach again", l.Detach},
			{"sweep after detach", func() error { return l.Sweep(0, true) }},
			{"drain after detach", func() error { _, _, err := l.Drain(func([]byte) {}); return err }},
			{"close", l.Close}, {"close again", l.Close},
		} {
			if err := step.do(); err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
		}
	})
}

func TestLoadChoosesSource(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	testutil.CheckFDs(t)
	l, err := loader.Load(loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Source() != loader.SourceSocket && l.Source() != loader.SourceSyscall {
		t.Errorf("source %q", l.Source())
	}
}

// Nothing stays behind when loading stops half-way.
func TestLoadRefuses(t *testing.T) {
	testutil.CheckFDs(t)
	for name, o := range map[string]loader.Options{
		"source":  {Source: "kprobe"},
		"capture": {CaptureBytes: loader.MinCaptureBytes - 1},
		"ring":    {RingBytes: 5000},
		"ports":   {Ports: make([]uint16, loader.MaxPorts+1)},
		"pids":    {PIDs: make([]uint32, loader.MaxPIDs+1)},
		"comm":    {Comms: []string{"a name too long!"}},
		"table":   {TableEntries: -1},
	} {
		if l, err := loader.Load(o); err == nil {
			l.Close()
			t.Errorf("%s: loaded", name)
		}
	}
}
