// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"probe/internal/agent"
)

// agentSettings are those of an agent in a process of its own.
type agentSettings struct {
	Statsd, StateDir, SpoolDir, ReadyFile string
	// Listen is the address of the endpoint, "" for none.
	Listen string
	// LockDir is where it waits for its turn, "" for not at all.
	LockDir string
	Reload  bool // SIGHUP reads the same settings again
	PIDs    []uint32
	// Trace prints requests, as JSON or as Text.
	Trace, Text     bool
	Query           bool // --capture-query
	Debug           bool // the level of the log
	ShutdownTimeout time.Duration
	// SnapshotInterval is between two looks at the host, 0 for none.
	SnapshotInterval time.Duration
	Role             string // server unless told otherwise
}

func agentMain() int {
	var s agentSettings
	if err := json.Unmarshal([]byte(os.Getenv(agentEnv)), &s); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	level := slog.LevelWarn
	if s.Debug {
		level = slog.LevelDebug
	}
	o := agent.Options{
		Role: cmp.Or(s.Role, "server"), Source: "auto", Dialect: "dogstatsd", Statsd: s.Statsd, PIDs: s.PIDs,
		Interval: killInterval, ShutdownTimeout: s.ShutdownTimeout, Listen: s.Listen,
		LockDir: s.LockDir, StateDir: s.StateDir, ReadyFile: s.ReadyFile, Trace: s.Trace, JSON: !s.Text, Query: s.Query,
		Export: agent.ExportOptions{SpoolDir: s.SpoolDir}, SnapshotInterval: s.SnapshotInterval,
		Stdout: os.Stdout, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	if s.Reload {
		o.Reload = func() (agent.Reloaded, error) { return agent.Reloaded{Options: o}, nil }
	}
	if err := agent.Run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		return 1
	}
	return 0
}

func startAgent(t *testing.T, s agentSettings, stdout, stderr io.Writer) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+childAgent, agentEnv+"="+string(text))
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// awaitFile waits for a ready file.
func awaitFile(t *testing.T, name string, ended <-chan error) {
	t.Helper()
	for range 3000 {
		if _, err := os.Stat(name); err == nil {
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("agent ended before it was ready: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("agent not ready")
}
