// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"probe/internal/agent"
	"probe/internal/state"
	"probe/internal/testutil"
	"probe/pkg/events"
)

const (
	// roundsEnv says how often TestKill kills; `make test-restart` says 50.
	roundsEnv     = "PROBE_KILL_ROUNDS"
	defaultRounds = 6
	// childAgent as the value of childEnv makes this binary an agent, with the
	// settings in agentEnv.
	childAgent = "agent"
	agentEnv   = "PROBE_AGENT_TEST_OPTIONS"

	killInterval = 200 * time.Millisecond
)

// killing is the test of restarts: an agent that is killed again and again
// while one child makes requests.
type killing struct {
	t        *testing.T
	child    *child
	sink     *sink
	settings agentSettings
	rnd      *rand.Rand

	answered  int      // requests the child has got an answer to
	moments   []moment // how that grew in the present round
	persisted int      // at the last look
	starts    uint64   // starts of the agent that got as far as to write
	maxLost   int      // requests
	maxBehind time.Duration
}

type moment struct {
	at       time.Time
	answered int
}

// Killed at random moments under load: the agent starts again each time, what
// it has written is whole, and is behind what it has exported by one flush at
// most. Requests that were counted once stay counted.
func TestKill(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	rounds := defaultRounds
	if text := os.Getenv(roundsEnv); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k := &killing{t: t, child: startChild(t), sink: newSink(t), rnd: rand.New(rand.NewPCG(seed, 0))}
	k.settings = agentSettings{
		Statsd: k.sink.target(), StateDir: t.TempDir(), PIDs: []uint32{k.child.pid}, ShutdownTimeout: agent.DefaultShutdownTimeout,
	}
	for round := range rounds {
		if round%5 == 4 {
			k.killStarting()
		} else {
			k.killWorking()
		}
	}
	k.stopGracefully()
	t.Logf("%d kills, %d requests answered, %d kept; at most %d requests and %v behind at a kill",
		rounds, k.answered, k.persisted, k.maxLost, k.maxBehind.Round(time.Millisecond))
}

// launch starts the agent with a ready file of its own.
func (k *killing) launch() (cmd *exec.Cmd, ended <-chan error) {
	k.settings.ReadyFile = filepath.Join(k.t.TempDir(), "ready")
	cmd = startAgent(k.t, k.settings, nil, os.Stderr)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return cmd, done
}

func (k *killing) awaitReady(ended <-chan error) {
	k.t.Helper()
	awaitFile(k.t, k.settings.ReadyFile, ended)
}

func (k *killing) kill(cmd *exec.Cmd) {
	if err := cmd.Process.Kill(); err != nil {
		k.t.Errorf("kill: %v", err)
	}
}

// killWorking kills somewhere within the first seconds of work.
func (k *killing) killWorking() {
	k.t.Helper()
	cmd, ended := k.launch()
	k.awaitReady(ended)
	before := k.answered
	k.moments = k.moments[:0]
	var killed atomic.Bool
	var killedAt time.Time
	timer := time.AfterFunc(time.Duration(k.rnd.Int64N(int64(8*killInterval))), func() {
		k.kill(cmd)
		killedAt = time.Now()
		killed.Store(true)
	})
	defer timer.Stop()
	for !killed.Load() {
		k.request()
	}
	<-ended
	was := k.persisted
	k.look()
	if gain := k.persisted - was; gain > k.answered-before {
		k.t.Errorf("%d requests written in a round with %d", gain, k.answered-before)
	}
	if exported := k.exportedBeforeLast(); k.persisted-was < exported {
		k.t.Errorf("%d requests written, but %d were exported one flush before the last", k.persisted-was, exported)
	}
	k.measure(before, k.persisted-was, killedAt)
}

func (k *killing) request() {
	const n = 10
	k.child.request(n)
	k.answered += n
	k.moments = append(k.moments, moment{time.Now(), k.answered})
}

// exportedBeforeLast is what this round's agent had sent up to the flush before
// its last one.
func (k *killing) exportedBeforeLast() int {
	time.Sleep(50 * time.Millisecond) // what is in the socket
	flushes := k.sink.takeFlushes()
	sum := 0
	for _, n := range flushes[:max(len(flushes)-1, 0)] {
		sum += n
	}
	return sum
}

// measure notes how far what was written was behind when the agent was killed.
func (k *killing) measure(before, written int, killedAt time.Time) {
	for _, m := range k.moments {
		if m.at.After(killedAt) {
			return
		}
		if m.answered-before > written { // the first that is missing
			k.maxBehind = max(k.maxBehind, killedAt.Sub(m.at))
			k.maxLost = max(k.maxLost, k.lastBefore(killedAt)-before-written)
			return
		}
	}
}

func (k *killing) lastBefore(t time.Time) int {
	last := 0
	for _, m := range k.moments {
		if !m.at.After(t) {
			last = m.answered
		}
	}
	return last
}

// killStarting kills while the agent starts, without any request.
func (k *killing) killStarting() {
	k.t.Helper()
	cmd, ended := k.launch()
	time.Sleep(time.Duration(k.rnd.Int64N(int64(killInterval))))
	k.kill(cmd)
	<-ended
	k.sink.takeFlushes()
	was := k.persisted
	k.look()
	if k.persisted != was {
		k.t.Errorf("%d requests written without any", k.persisted-was)
	}
}

// look reads what was written, which checks that it is whole, and that it has
// not become less.
func (k *killing) look() {
	k.t.Helper()
	saved, err := state.Read(k.settings.StateDir)
	if errors.Is(err, fs.ErrNotExist) && k.persisted == 0 {
		return // killed before the first write
	}
	if err != nil {
		k.t.Fatal(err)
	}
	server := saved.Stats.ByRole[events.RoleServer]
	if int(server.Requests) < k.persisted || saved.Starts < k.starts || saved.Starts > k.starts+1 {
		k.t.Errorf("%d requests after %d starts; there were %d and %d", server.Requests, saved.Starts, k.persisted, k.starts)
	}
	if ended := saved.Stats.Finished.Count + saved.Stats.Failed.Count; ended != server.Requests {
		k.t.Errorf("%d requests, but %d ends", server.Requests, ended)
	}
	if server.Requests > 0 && server.Errors != server.Outcomes[events.OutcomeError] {
		k.t.Errorf("%+v", server)
	}
	k.persisted, k.starts = int(server.Requests), saved.Starts
	aside, err := filepath.Glob(filepath.Join(k.settings.StateDir, "*damaged*"))
	if err != nil || len(aside) > 0 {
		k.t.Errorf("set aside: %q, %v", aside, err)
	}
}

// stopGracefully runs the agent once more and ends it as it should be: then
// nothing of that run is missing.
func (k *killing) stopGracefully() {
	k.t.Helper()
	cmd, ended := k.launch()
	k.awaitReady(ended)
	const n = 20
	for range n {
		k.request()
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		k.t.Fatal(err)
	}
	if err := <-ended; err != nil {
		k.t.Errorf("agent: %v", err)
	}
	was := k.persisted
	k.look()
	if got := k.persisted - was; got != 10*n {
		k.t.Errorf("%d requests written by a run that ended well, want %d", got, 10*n)
	}
}
