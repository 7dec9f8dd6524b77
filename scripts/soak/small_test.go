// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"probe/internal/testutil"
)

// TestMain lets the test binary stand in for this program where it starts
// itself as a server.
func TestMain(m *testing.M) {
	asChild()
	testutil.Main(m)
}

// All of docs/reliability-soak.md, but less of everything; the second agent,
// which waits for long, has a test in internal/agent.
func TestSmall(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	probe := filepath.Join(t.TempDir(), "probe")
	build(t, probe)
	for name, part := range map[string]func(context.Context, settings) (section, error){
		partSoak: soak, partFaults: faults, partScale: scale,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := settings{probe: probe, duration: 15 * time.Second, rate: 0.3, small: true, dir: t.TempDir()}
			one, err := part(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if len(one.checks) < 10 {
				t.Errorf("only %d checks:\n%s", len(one.checks), one.text)
			}
			if err := one.verdict(); err != nil {
				t.Errorf("%v\n%s", err, one.text)
			}
		})
	}
}
