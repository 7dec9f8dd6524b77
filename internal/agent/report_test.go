// SPDX-License-Identifier: Apache-2.0

package agent

import "testing"

// The log line names what was not told, and nothing else.
func TestLogLineNamesLosses(t *testing.T) {
	for name, want := range map[string]bool{
		"kernel.dropped.ring_full": true, "kernel.unseen.tls": true, "kernel.raced": true, "records.lost": true,
		"records.undecodable": true, "agent.intervals_lost": true, "state.save_errors": true, "export.lines_refused": true,
		"kernel.records": false, "kernel.tunnels": false, "exchange.finished": false, "route.capped": false,
	} {
		if got := isLoss(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
