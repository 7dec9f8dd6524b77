// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"probe/internal/testutil"
)

func TestMain(m *testing.M) {
	asChild()
	os.Exit(m.Run())
}

// The experiments of docs/reliability.md, smaller.
func TestSmall(t *testing.T) {
	s := settings{lines: 10_000, kills: 4, cuts: []time.Duration{time.Second}}
	experiments := map[string]func(settings, *report) error{
		"receivers killed": killReceivers, "bad peers": badPeers, "exporter killed": killExporter, "network cut": cutNetwork,
	}
	for name, run := range experiments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "network cut" {
				testutil.RequireRoot(t, "make a network namespace")
			}
			var r report
			if err := run(s, &r); err != nil {
				t.Fatal(err)
			}
			if err := r.verdict(); err != nil {
				t.Error(err)
			}
			for _, one := range r.rows {
				if strings.Contains(one.name, "killed") && one.kills == 0 {
					t.Errorf("%s: nothing was killed", one.name)
				}
			}
		})
	}
}
