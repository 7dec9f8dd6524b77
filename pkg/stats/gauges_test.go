// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"probe/pkg/events"
)

func TestInFlightGaugesFallToZeroOnce(t *testing.T) {
	t.Parallel()
	r := New(Options{MaxSeries: 2})
	r.SetInFlight("b", events.RoleServer, 5)
	r.SetInFlight("a", events.RoleClient, 1)
	r.SetInFlight("c", events.RoleServer, 1)
	want := [][]InFlight{
		{{"b", events.RoleServer, 5}, {"a", events.RoleClient, 1}},
		{{"b", events.RoleServer, 7}, {"a", events.RoleClient, 0}},
		{{"b", events.RoleServer, 0}},
		nil,
	}
	for i, w := range want {
		got := r.Flush().InFlight
		if diff := cmp.Diff(w, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("flush %d: %s", i, diff)
		}
		if i == 0 {
			r.SetInFlight("b", events.RoleServer, 7)
		}
	}
	if got := r.Totals().GaugesRefused; got != 1 {
		t.Errorf("refused = %d, want 1", got)
	}
}

func TestSelfCountersBecomeDeltas(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	find := func(s *Snapshot, name string) SelfValue {
		for _, v := range s.Self {
			if v.Name == name {
				return v
			}
		}
		return SelfValue{}
	}
	r.SetSelf("drops.ring", 10)
	r.SetSelf("drops.ring", 25)
	steps := []struct {
		set  []uint64
		want SelfValue
	}{
		{nil, SelfValue{"drops.ring", 25, 25}},
		{nil, SelfValue{"drops.ring", 0, 25}},
		{[]uint64{40}, SelfValue{"drops.ring", 15, 40}},
		// The source began again at 0 after 50: 10 before, 4 after.
		{[]uint64{50, 4}, SelfValue{"drops.ring", 14, 4}},
	}
	for i, step := range steps {
		for _, v := range step.set {
			r.SetSelf("drops.ring", v)
		}
		if diff := cmp.Diff(step.want, find(r.Flush(), "drops.ring")); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
	for i := range 2 * maxSelf {
		r.SetSelf(fmt.Sprintf("n%d", i), 1)
	}
	s := r.Flush()
	if len(s.Self) != maxSelf || find(s, SelfCounterRefused).Delta == 0 {
		t.Errorf("%d self counters, refused %+v", len(s.Self), find(s, SelfCounterRefused))
	}
}
