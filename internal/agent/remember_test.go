// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"probe/internal/agent"
	"probe/internal/testutil"
)

// Totals go on after a restart; the statsd lines do not say them again.
func TestTotalsSurviveARestart(t *testing.T) {
	const n = 30
	dir := t.TempDir()
	c := startChild(t)
	for run := 1; run <= 3; run++ {
		s := newSink(t)
		r := start(t, agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, StateDir: dir})
		c.request(n)
		r.stop()
		if got := r.ended(); got != run*n {
			t.Errorf("run %d: totals say %d requests, want %d", run, got, run*n)
		}
		if got := s.await(requests, n); got != n {
			t.Errorf("run %d: %d requests exported, want %d", run, got, n)
		}
		status, err := agent.ReadStatus(t.Context(), "", dir)
		if err != nil {
			t.Fatal(err)
		}
		server := status.Totals["server"]
		if status.Running || !status.Known || status.Starts != uint64(run) || server.Requests != uint64(run*n) || server.Errors != uint64(run*n/10) {
			t.Errorf("run %d: status %+v", run, status)
		}
		if top := status.TopSeries; len(top) != 2 || top[0].Route != "/items/{id}" || top[0].Requests != uint64(run*(n-n/10)) || top[1].Errors != uint64(run*n/10) {
			t.Errorf("run %d: series %+v", run, top)
		}
		if got := status.Summary.StatusCodes; got["200"] != uint64(run*(n-n/10)) || got["503"] != uint64(run*n/10) {
			t.Errorf("run %d: status codes %v", run, got)
		}
	}
}

// An agent at work is asked by its endpoint, also by who only knows the directory.
func TestStatusAndResetOfARunningAgent(t *testing.T) {
	const n = 20
	dir := t.TempDir()
	c := startChild(t)
	r := start(t, agent.Options{PIDs: []uint32{c.pid}, StateDir: dir, Listen: loopback, Interval: agent.MinInterval})
	address := r.address()
	c.request(n)
	for _, where := range []struct{ listen, dir string }{{address, ""}, {"", dir}, {address, dir}} {
		var status agent.Status
		for range 500 { // until the pipeline has drained
			var err error
			if status, err = agent.ReadStatus(t.Context(), where.listen, where.dir); err != nil {
				t.Fatal(err)
			}
			if status.Totals["server"].Requests >= n {
				break
			}
		}
		if !status.Running || status.PID != os.Getpid() || status.Listen != address || status.Totals["server"].Requests != n {
			t.Errorf("%+v: %+v", where, status)
		}
	}
	if err := agent.ResetTotals(t.Context(), "", dir); err != nil {
		t.Fatal(err)
	}
	c.request(n / 2)
	r.stop()
	if got := r.ended(); got != n/2 {
		t.Errorf("totals say %d requests, want the %d since the reset", got, n/2)
	}
	status, err := agent.ReadStatus(t.Context(), "", dir)
	if err != nil || status.Totals["server"].Requests != n/2 || status.Starts != 1 || status.TopSeries[0].Requests >= n/2+1 {
		t.Errorf("%+v, %v", status, err)
	}
	if err := agent.ResetTotals(t.Context(), "", dir); err != nil {
		t.Error(err)
	}
	if _, err := agent.ReadStatus(t.Context(), "", dir); !errors.Is(err, agent.ErrNothingKept) {
		t.Errorf("status after reset: %v", err)
	}
}

// Without an endpoint: one is told who holds the totals.
func TestStatusOfAnAgentThatCannotBeAsked(t *testing.T) {
	dir := t.TempDir()
	c := startChild(t)
	r := start(t, agent.Options{PIDs: []uint32{c.pid}, StateDir: dir})
	status, err := agent.ReadStatus(t.Context(), "", dir)
	if err != nil || !status.Running || status.Known || status.PID != os.Getpid() {
		t.Errorf("%+v, %v", status, err)
	}
	if err := agent.ResetTotals(t.Context(), "", dir); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("reset: %v", err)
	}
	// A second agent is refused, and leaves the first one's totals alone.
	err = agent.Run(t.Context(), plainOptions(agent.Options{StateDir: dir}))
	if err == nil || !strings.Contains(err.Error(), "in use by a running probe (pid ") {
		t.Errorf("second agent: %v", err)
	}
	c.request(3)
	r.stop()
	if got := r.ended(); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
}

// What cannot be read is set aside, said, and counting begins anew.
func TestDamagedStateIsSetAside(t *testing.T) {
	testutil.CheckFDs(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "probe.db"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := startChild(t)
	r := start(t, agent.Options{PIDs: []uint32{c.pid}, StateDir: dir})
	if what, _ := r.logged("state set aside; counting begins anew")["what"].(string); !strings.Contains(what, "damaged") {
		t.Errorf("log: %q", what)
	}
	c.request(2)
	r.stop()
	if got := r.ended(); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
}
