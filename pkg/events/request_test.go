// SPDX-License-Identifier: Apache-2.0

package events

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNames(t *testing.T) {
	var roles, outcomes []string
	for r := RoleUnknown; r <= RoleClient+1; r++ {
		roles = append(roles, r.String())
	}
	for o := OutcomeOK; o <= OutcomeInProgress+1; o++ {
		outcomes = append(outcomes, o.String())
	}
	if d := cmp.Diff([]string{"unknown", "server", "client", "invalid"}, roles); d != "" {
		t.Errorf("roles (-want +got):\n%s", d)
	}
	want := []string{"ok", "error", "aborted", "upgraded", "unanswered", "in_progress", "invalid"}
	if d := cmp.Diff(want, outcomes); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
}

func TestOutcomeFailed(t *testing.T) {
	want := map[Outcome]bool{
		OutcomeOK: false, OutcomeError: true, OutcomeAborted: true,
		OutcomeUpgraded: false, OutcomeUnanswered: true, OutcomeInProgress: false,
	}
	for o, failed := range want {
		if o.Failed() != failed {
			t.Errorf("%v: failed %v, want %v", o, o.Failed(), failed)
		}
	}
}
