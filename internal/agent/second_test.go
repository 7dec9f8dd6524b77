// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"probe/internal/agent"
	"probe/internal/single"
	"probe/internal/testutil"
	"probe/pkg/export"
)

// An update: the new agent starts while the old one still runs, waits until it
// has sent its last interval, and takes over. Every request is counted once.
func TestSecondAgentTakesOver(t *testing.T) {
	const before, during, after = 100, 50, 70
	c, s := startChild(t), newSink(t)
	o := agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, LockDir: filepath.Join(t.TempDir(), "probe")}
	first := start(t, o)
	c.request(before)

	second := startSecond(t, first.opt)
	second.awaitLog("waiting for it to end")
	c.request(during)
	if _, err := os.Stat(second.opt.ReadyFile); err == nil {
		t.Error("the second agent is attached while the first still runs")
	}
	first.stop()
	second.awaitReady()
	c.request(after)
	second.stop()
	const n = before + during + after
	if got := s.await(requests, n); got != n {
		t.Errorf("%d requests exported, want %d", got, n)
	}
}

// One that is not going to end is not waited for without end, and goes on.
func TestSecondAgentIsRefused(t *testing.T) {
	const n = 60
	c, s := startChild(t), newSink(t)
	o := agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, LockDir: filepath.Join(t.TempDir(), "probe")}
	first := start(t, o)
	c.request(n / 2)
	o = first.opt
	o.LockWait, o.ReadyFile = 300*time.Millisecond, ""
	err := agent.Run(t.Context(), o)
	if !errors.Is(err, agent.ErrSecond) || !strings.Contains(err.Error(), "--allow-second") {
		t.Errorf("second agent: %v, want %v and the way out", err, agent.ErrSecond)
	}
	c.request(n / 2)
	first.stop()
	if got := s.await(requests, n); got != n {
		t.Errorf("%d requests exported, want %d", got, n)
	}
}

// Told to end while it waits, it ends.
func TestSecondAgentStopsWaiting(t *testing.T) {
	c, s := startChild(t), newSink(t)
	first := start(t, agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, LockDir: filepath.Join(t.TempDir(), "probe")})
	second := startSecond(t, first.opt)
	second.awaitLog("waiting for it to end")
	second.stop()
	first.stop()
}

// SIGHUP, which asks for new settings, does not kill an agent that waits.
func TestSignalWhileWaiting(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	s, dir := newSink(t), filepath.Join(t.TempDir(), "probe")
	held, _, err := single.Acquire(dir, single.Key(s.target(), export.DefaultPrefix))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	var log lockedBuffer
	cmd := startAgent(t, agentSettings{Statsd: s.target(), LockDir: dir, Reload: true, ShutdownTimeout: time.Second}, io.Discard, &log)
	waiting := &running{t: t, log: &log}
	waiting.awaitLog("waiting for it to end")
	for _, one := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := cmd.Process.Signal(one); err != nil {
			t.Error(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v, want that it waits until it is told to end\n%s", err, log.String())
	}
}

// Those that send elsewhere, trace, or print do not wait, and do not disturb:
// each sees every request.
func TestAgentsSideBySide(t *testing.T) {
	const n = 200
	c, s, elsewhere := startChild(t), newSink(t), newSink(t)
	dir := filepath.Join(t.TempDir(), "probe")
	var out lockedBuffer
	all := []*running{
		start(t, agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, LockDir: dir}),
		start(t, agent.Options{Statsd: elsewhere.target(), PIDs: []uint32{c.pid}, LockDir: dir}),
		start(t, agent.Options{Statsd: s.target(), Prefix: "another", PIDs: []uint32{c.pid}, LockDir: dir}),
		start(t, agent.Options{Trace: true, PIDs: []uint32{c.pid}, LockDir: dir, Stdout: &out}),
		start(t, agent.Options{PIDs: []uint32{c.pid}, LockDir: dir}),
	}
	c.request(n)
	for _, one := range all {
		one.stop()
		if got := one.ended(); got != n {
			t.Errorf("one of them saw %d requests, want %d", got, n)
		}
	}
	for where, got := range map[string]int{
		"the first": s.await(requests, n), "another receiver": elsewhere.await(requests, n),
		"another prefix": s.await("another.http.server.requests", n), "the trace": strings.Count(out.String(), "\n"),
	} {
		if got != n {
			t.Errorf("%s: %d requests, want %d", where, got, n)
		}
	}
}

// A reload cannot lead to a receiver that another agent already sends to, and
// frees the one that was left once the interval that had begun is there.
func TestReloadTakesTurn(t *testing.T) {
	c, old, taken, free := startChild(t), newSink(t), newSink(t), newSink(t)
	dir := filepath.Join(t.TempDir(), "probe")
	other := start(t, agent.Options{Statsd: taken.target(), PIDs: []uint32{c.pid}, LockDir: dir})
	next := make(chan agent.Options, 1)
	o := agent.Options{Statsd: old.target(), PIDs: []uint32{c.pid}, LockDir: dir, Interval: time.Second}
	o.Reload = func() (agent.Reloaded, error) {
		return agent.Reloaded{Options: <-next, Changed: []string{"statsd"}}, nil
	}
	r := start(t, o)
	reload := func(target, says string) {
		changed := r.opt
		changed.Statsd = target
		next <- changed
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		r.awaitLog(says)
	}
	reload(taken.target(), "settings not reloaded")
	reload(free.target(), "settings reloaded")
	third := start(t, agent.Options{Statsd: old.target(), PIDs: []uint32{c.pid}, LockDir: dir})
	for _, one := range []*running{third, r, other} {
		one.stop()
	}
	if all, err := single.Holders(dir); err != nil || len(all) != 0 {
		t.Errorf("locks after the end: %v, %v", all, err)
	}
}

// Where no lock can be made, the agent says so and runs.
func TestWithoutLock(t *testing.T) {
	c, s := startChild(t), newSink(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, LockDir: file})
	r.awaitLog("cannot tell whether another probe")
	r.stop()
}

// startSecond runs an agent with the options of another, and does not wait.
func startSecond(t *testing.T, o agent.Options) *running {
	t.Helper()
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	r := &running{t: t, log: &lockedBuffer{}, result: make(chan error, 1)}
	o.ReadyFile = filepath.Join(t.TempDir(), "ready")
	o.Log, o.Stdout = slog.New(slog.NewJSONHandler(r.log, nil)), io.Discard
	r.opt = o
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	t.Cleanup(cancel)
	go func() { r.result <- agent.Run(ctx, o) }()
	return r
}

func (r *running) awaitLog(text string) {
	r.t.Helper()
	for range 1000 {
		if strings.Contains(r.log.String(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatalf("no %q in the log:\n%s", text, r.log)
}

// A signal that comes while programs are loaded ends the agent, without an error and
// before anything is attached.
func TestSignalWhileLoading(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	dir := filepath.Join(t.TempDir(), "probe")
	s := newSink(t)
	var log lockedBuffer
	cmd := startAgent(t, agentSettings{Statsd: s.target(), LockDir: dir, Debug: true, ShutdownTimeout: time.Second}, io.Discard, &log)
	for range 1000 { // it loads next once it has the lock
		if all, err := single.Holders(dir); err == nil && len(all) == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if text := log.String(); strings.Contains(text, "msg=attached") || !strings.Contains(text, "before it was attached") {
		t.Errorf("log: %s", text)
	}
}

// One that is told to end as soon as it has its turn gives it back.
func TestEndsWithItsTurn(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	dir := filepath.Join(t.TempDir(), "probe")
	s := newSink(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var log lockedBuffer
	err := agent.Run(ctx, agent.Options{
		Role: "server", Source: "auto", Dialect: "plain", Statsd: s.target(), LockDir: dir,
		Interval: time.Second, ShutdownTimeout: time.Second, Stdout: io.Discard, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Errorf("ended with %v", err)
	}
	if text := log.String(); !strings.Contains(text, "before it was attached") {
		t.Errorf("log: %s", text)
	}
	if all, err := single.Holders(dir); err != nil || len(all) != 0 {
		t.Errorf("locks after the end: %v, %v", all, err)
	}
}
