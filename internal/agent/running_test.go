// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"probe/internal/agent"
	"probe/internal/testutil"
)

// running is an agent at work, with the traffic of one child.
type running struct {
	t      *testing.T
	opt    agent.Options
	log    *lockedBuffer
	cancel context.CancelFunc
	result chan error
}

// lockedBuffer is written by the agent and read by the test.
type lockedBuffer = testutil.Buffer

// start runs an agent and waits until it is attached.
func start(t *testing.T, o agent.Options) *running {
	t.Helper()
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	r := &running{t: t, log: &lockedBuffer{}, result: make(chan error, 1)}
	o.ReadyFile = filepath.Join(t.TempDir(), "ready")
	o.Source, o.Dialect = "auto", "dogstatsd"
	if o.Role == "" {
		o.Role = "server"
	}
	if o.Interval == 0 {
		o.Interval = time.Hour
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.ShutdownTimeout == 0 {
		o.ShutdownTimeout = agent.DefaultShutdownTimeout
	}
	o.Log = slog.New(slog.NewJSONHandler(r.log, nil))
	r.opt = o
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.result <- agent.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Logf("log of the agent:\n%s", r.log)
		}
	})
	r.awaitReady()
	return r
}

func (r *running) awaitReady() {
	r.t.Helper()
	for range 3000 {
		if _, err := os.Stat(r.opt.ReadyFile); err == nil {
			return
		}
		select {
		case err := <-r.result:
			r.t.Fatalf("agent ended before it was ready: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	r.t.Fatal("agent not ready")
}

// stop tells the agent to end, as a signal does, and waits for it.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	r.wait()
}

func (r *running) wait() {
	r.t.Helper()
	select {
	case err := <-r.result:
		if err != nil {
			r.t.Errorf("agent: %v", err)
		}
	case <-time.After(20 * time.Second):
		r.t.Fatal("agent does not end")
	}
	if _, err := os.Stat(r.opt.ReadyFile); !errors.Is(err, fs.ErrNotExist) {
		r.t.Errorf("ready file after the end: %v, want it gone", err)
	}
}

// totals returns the attributes of the last log line.
func (r *running) totals() map[string]any {
	r.t.Helper()
	var totals map[string]any
	for line := range strings.Lines(r.log.String()) {
		var attrs map[string]any
		if err := json.Unmarshal([]byte(line), &attrs); err != nil {
			r.t.Fatalf("log line %q: %v", line, err)
		}
		if attrs["msg"] == "totals" {
			totals = attrs
		}
	}
	if totals == nil {
		r.t.Fatal("no totals in the log")
	}
	return totals
}

// ended is the number of requests in the totals, finished or failed.
func (r *running) ended() int {
	r.t.Helper()
	totals := r.totals()
	finished, isNumber := totals["finished"].(float64)
	failed, isNumber2 := totals["failed"].(float64)
	if !isNumber || !isNumber2 {
		r.t.Fatalf("no numbers in the totals: %v", totals)
	}
	return int(finished + failed)
}
