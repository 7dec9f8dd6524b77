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
// one in io_uring for nobody knows what.
func TestWaitsInTurns(t *testing.T) {
	testutil.RequireBPF(t, "6.2", "bpf_task_from_pid")
	r := runtime{
		name: "turns", source: "turns.c", start: []string{"./turns"},
		build: []string{"gcc", "-O1", "-pthread", "-o", "turns", "turns.c"},
	}
	in, err := r.up(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Stop)
	for _, tt := range []struct {
		work   string
		causes []string // each for 50 ms
	}{
		{"turns", []string{lock}},
		{"sleep", []string{sleep}},
		{"net", []string{network}},
		{"both", []string{sleep, network}},
		{"help", []string{cpu}},
		{"stop", []string{other}},
		{"ring", []string{other}},
	} {
		t.Run(tt.work, func(t *testing.T) {
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
