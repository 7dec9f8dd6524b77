// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"runtime"
	"slices"
	"testing"

	"probe/internal/testutil"
	"probe/pkg/loader"
)

// What moves without a buffer in user memory is seen where it is read from what
// the sockets hold, and only there; so this is how it was read.
func TestReadsWhatSocketsHold(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("amd64 only, see bpf/skb.h")
	}
	testutil.RequireBPF(t, "6.3", "the socket source")
	order := order{Scenario: "no buffer to read"}
	o := loader.Options{Source: loader.SourceSocket, Server: true, Client: true}

	t.Run("held", func(t *testing.T) {
		player := startChild(t)
		o.Comms = []string{player.comm}
		obs := observe(t, o)
		if why := obs.kernel.UserMemory(); why != "" {
			t.Fatalf("reads user memory: %s", why)
		}
		want := sorted(player.play(order))
		compareExchanges(t, want, obs.await(len(want)))
		for _, name := range []string{"kernel.unseen.io_uring", "kernel.unseen.no_buffer"} {
			if n := obs.counter(name); n != 0 {
				t.Errorf("%s is %d", name, n)
			}
		}
	})
	t.Run("user memory", func(t *testing.T) {
		player := startChild(t)
		o.Comms = []string{player.comm}
		obs := observe(t, loader.UserMemory(o))
		if obs.kernel.UserMemory() == "" {
			t.Error("does not say that it reads user memory")
		}
		player.play(order)
		obs.poll()
		// Both ends send and receive one message; one end sends by sendfile.
		if n := obs.counter("kernel.unseen.io_uring"); n != 4 {
			t.Errorf("%d pieces moved by io_uring, want 4", n)
		}
		if n := obs.counter("kernel.unseen.no_buffer"); n != 1 {
			t.Errorf("%d pieces without a buffer, want 1", n)
		}
	})
}

func TestPageSteps(t *testing.T) {
	for _, tt := range []struct {
		end  int64
		want []int64
	}{
		{0, []int64{0}},
		{3, []int64{0, 1, 2, 3}},
		{63, ramp(0, 63)},
		{64, append(ramp(0, 64), ramp(-1, -64)...)},
		{130, append(ramp(0, 130), ramp(-1, -128)...)},
	} {
		if got := loader.PageSteps(tt.end); !slices.Equal(got, tt.want) {
			t.Errorf("memory up to %d GiB: %v, want %v", tt.end, got, tt.want)
		}
	}
	if n := len(loader.PageSteps(1 << 40)); n > 20000 {
		t.Errorf("%d steps: too many to try", n)
	}
}

func ramp(from, to int64) []int64 {
	steps := []int64{from}
	for from != to {
		if from < to {
			from++
		} else {
			from--
		}
		steps = append(steps, from)
	}
	return steps
}
