// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"strings"
	"testing"

	"probe/internal/testutil"
)

func TestProcessed(t *testing.T) {
	for _, tt := range []struct {
		name, log string
		want      int
	}{
		{"statistics", "func#0 @0\nprocessed 1234 insns (limit 1000000) max_states_per_insn 4 total_states 70\n", 1234},
		{"with times", "verification time 812 usec\nstack depth 8+0\nprocessed 95 insns (limit 1000000)\n", 95},
		{"empty", "", 0},
		{"cut", "processed ", 0},
		{"not a number", "processed many insns", 0},
		{"negative", "processed -3 insns", 0},
		{"the last one", "processed 7 insns\nprocessed 9 insns\n", 9},
	} {
		if got := processed(tt.log); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestVerifiedTellsInstructions(t *testing.T) {
	testutil.RequireBPF(t, "5.9", "ring buffer and iterators")
	for _, stats := range []bool{false, true} {
		l, err := Load(Options{VerifierStats: stats})
		if err != nil {
			t.Fatal(err)
		}
		programs := l.Verified()
		if len(programs) != len(l.objects.Programs) {
			t.Errorf("%d programs, %d are loaded", len(programs), len(l.objects.Programs))
		}
		for _, p := range programs {
			if (p.Instructions > 0) != stats {
				t.Errorf("statistics %v: %s has %d instructions", stats, p.Name, p.Instructions)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The verifier keeps thousands of states of the large programs, each with a copy of
// the stack: 120 bytes for a word, rounded up to a power of two. With more than 17
// words that is 4 KiB instead of 2, and loading takes 10 MB more, which recent kernels
// charge to the control group of probe. That of system calls is one word above.
func TestStackOfLargePrograms(t *testing.T) {
	for source, programs := range map[Source][]string{
		SourceSocket:  {"http_sock_send", "http_sock_recv"},
		SourceSyscall: {"http_sys_exit"},
	} {
		most := 17 * 8
		if source == SourceSyscall {
			most = 18 * 8
		}
		testutil.RequireBPF(t, "6.3", "both sources")
		l, err := Load(Options{Source: source, Server: true, VerifierStats: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range programs {
			depth := 0
			_, after, _ := strings.Cut(l.objects.Programs[name].VerifierLog, "stack depth ")
			if _, err := fmt.Sscanf(after, "%d", &depth); err != nil {
				t.Errorf("%s: no depth in %q", name, after)
			}
			if depth == 0 || depth > most {
				t.Errorf("%s: %d bytes of stack in the program itself, want at most %d: move what needs it into a function of its own (noinline)", name, depth, most)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
