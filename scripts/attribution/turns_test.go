// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"
	"testing"
	"time"

	"probe/internal/testutil"
)

// Where a timer ends a wait that then goes on, what ends it in the end decides; a
// sleep stays one. A thread that is stopped waits for nothing that it called for, and
// one in io_uring for nobody knows what; nor does who wakes a thread of a runtime tell
// what one of its tasks waited for.
func TestWaitsInTurns(t *testing.T) {
	testutil.RequireBPF(t, "6.2", "bpf_task_from_pid")
	servers := map[string]*instance{}
	for _, name := range []string{"turns", "tokio-runtime-w"} {
		servers[name] = startC(t, "turns", name)
	}
	for _, tt := range []struct {
		thread, work string
		causes       []string // each for 50 ms
	}{
		{"turns", "turns", []string{lock}},
		{"turns", "sleep", []string{sleep}},
		{"turns", "net", []string{network}},
		{"turns", "both", []string{sleep, network}},
		{"turns", "help", []string{cpu}},
		{"turns", "stop", []string{other}},
		{"turns", "ring", []string{other}},
		{"tokio-runtime-w", "turns", []string{unattributed}},
	} {
		t.Run(tt.thread+" "+tt.work, func(t *testing.T) {
			in := servers[tt.thread]
			p := startProbe(t, "--port", strconv.Itoa(in.port))
			const samples = 7
			owns, err := in.send(tt.work, 0, warmUps+samples)
			if err != nil {
				t.Fatal(err)
			}
			seen, right := lines(t, p), 0
			for target := range owns {
				l := seen[target]
				if l == nil {
					t.Fatalf("%s was not seen", target)
				}
				got, rest := l.split(), l.served()
				for _, cause := range tt.causes {
					if got[cause] >= 40*time.Millisecond {
						rest -= got[cause]
					}
				}
				if rest -= got[runq]; rest <= 10*time.Millisecond {
					right++
				}
				t.Logf("%s: %s %v", target, l.Attribution, nonZero(got))
			}
			if right < samples/2+1 {
				t.Errorf("%d of %d requests have their time under %v", right, samples, tt.causes)
			}
		})
	}
}
