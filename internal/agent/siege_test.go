// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"probe/internal/agent"
	"probe/internal/testutil"
)

// maxSiegeRSS bounds the resident memory of an agent, in bytes, whatever the
// processes it watches do. Without them it has about 40 MiB; the rest is what
// the bounded tables have when they are full.
const maxSiegeRSS = 128 << 20

// siege is an agent in a process of its own that watches two: the victim, a
// child that serves itself requests all the time and behaves, and this one,
// which does not.
type siege struct {
	t       *testing.T
	sink    *sink
	victim  *child
	agent   *exec.Cmd
	address string // of its endpoint
	log     lockedBuffer
	ended   chan error

	over    chan struct{}
	running sync.WaitGroup
	asked   int      // requests of the victim
	refused []string // what the endpoint answered that was not well
	maxRSS  int      // bytes
}

// besiege starts the victim and the agent.
func besiege(t *testing.T) *siege {
	t.Helper()
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	s := &siege{
		t: t, sink: newStreamSink(t), victim: startChild(t), address: freeAddress(t),
		ended: make(chan error, 1), over: make(chan struct{}),
	}
	settings := agentSettings{
		Statsd: s.sink.target(), PIDs: []uint32{s.victim.pid, uint32(os.Getpid())}, Listen: s.address,
		ReadyFile: filepath.Join(t.TempDir(), "ready"), ShutdownTimeout: agent.DefaultShutdownTimeout,
	}
	s.agent = startAgent(t, settings, nil, &s.log)
	go func() { s.ended <- s.agent.Wait() }()
	t.Cleanup(func() {
		s.agent.Process.Kill()
		if t.Failed() {
			t.Logf("log of the agent:\n%.5000s", s.log.String())
		}
	})
	awaitFile(t, settings.ReadyFile, s.ended)
	s.running.Go(s.play)
	s.running.Go(s.watch)
	return s
}

// play is what the victim does meanwhile.
func (s *siege) play() {
	const n = 50
	for !s.isOver() {
		if err := s.victim.tryRequest(n); err != nil {
			s.t.Error(err)
			return
		}
		s.asked += n
	}
}

// watch looks whether the agent is well.
func (s *siege) watch() {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for !s.isOver() {
		for _, path := range []string{"/healthz", "/readyz"} {
			response, err := client.Get("http://" + s.address + path)
			switch {
			case err != nil:
				s.refused = append(s.refused, path+": "+err.Error())
			case response.StatusCode != http.StatusOK:
				s.refused = append(s.refused, path+": "+response.Status)
			}
			if err == nil {
				response.Body.Close()
			}
		}
		rss, err := residentBytes(s.agent.Process.Pid)
		if err != nil {
			s.t.Error(err)
			return
		}
		s.maxRSS = max(s.maxRSS, rss)
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *siege) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// residentBytes is VmRSS of proc(5).
func residentBytes(pid int) (int, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, err
	}
	status, err := p.NewStatus()
	return int(status.VmRSS), err
}

// state is what the agent says of itself.
func (s *siege) state() (d agent.Description) {
	s.t.Helper()
	_, text := get(s.t, s.address, "/debug/state")
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		s.t.Fatalf("%v: %s", err, text)
	}
	return d
}

// end ends the siege, whose connections must be closed by now, and the agent,
// and checks what holds of every one: the agent was well all the time, its
// memory bounded, the victim's requests exact, and the books balanced.
func (s *siege) end() {
	s.t.Helper()
	close(s.over)
	s.running.Wait()
	var d agent.Description
	for range 200 {
		if d = s.state(); d.Answers && d.Open == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !d.Answers || d.Open != 0 {
		s.t.Errorf("%d exchanges are open and nobody is there, pipeline answers: %v", d.Open, d.Answers)
	}
	if err := s.agent.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		s.t.Errorf("agent: %v", err)
	}
	if len(s.refused) > 0 {
		s.t.Errorf("the agent was not well: %q", s.refused)
	}
	s.t.Logf("%d MiB at most, %d requests of the victim", s.maxRSS>>20, s.asked)
	// The race detector keeps several bytes for each of the program's.
	if s.maxRSS > maxSiegeRSS && !testutil.RaceDetector {
		s.t.Errorf("%d MiB of memory, want at most %d", s.maxRSS>>20, maxSiegeRSS>>20)
	}
	if got := s.sink.await(requests+" route:/items/{id}", s.asked); got != s.asked {
		s.t.Errorf("%d requests of the victim, want %d", got, s.asked)
	}
	s.checkBooks()
}

func (s *siege) self(name string) int { return s.sink.sum(self + name) }

// checkBooks: what the kernel side took is told, lost or refused; what was told
// has ended, was handed out, or was dropped for a reason.
func (s *siege) checkBooks() {
	s.t.Helper()
	in := s.self("exchange.started") + s.self("exchange.pipelined") + s.self("exchange.orphan_responses")
	out := s.self("exchange.finished") + s.self("exchange.dropped.not_http") +
		s.self("exchange.dropped.queue_full") + s.self("exchange.dropped.response_unseen") + s.self("exchange.dropped.raced") + s.self("exchange.dropped.doubtful")
	if in != out {
		s.t.Errorf("%d exchanges in, %d out", in, out)
	}
	seen := s.self("kernel.requests_seen")
	told := s.self("exchange.started") + s.self("exchange.inside_body") +
		s.self("kernel.dropped.ring_full_requests") + s.self("kernel.dropped.not_http_answer") +
		s.self("kernel.dropped.raced_requests")
	if seen != told {
		s.t.Errorf("%d requests of the kernel side, %d told or dropped", seen, told)
	}
	if all, recorded := s.sink.sum(requests), s.self("stats.requests"); all != recorded || all != s.self("exchange.finished") {
		s.t.Errorf("%d requests in the series, %d recorded, %d finished", all, recorded, s.self("exchange.finished"))
	}
	for _, name := range []string{"records.undecodable", "records.lost", "kernel.dropped.ring_full", "export.dropped.queue_full"} {
		if n := s.self(name); n != 0 {
			s.t.Errorf("%s: %d", name, n)
		}
	}
	if s.t.Failed() {
		s.t.Logf("counters: %v", s.counters())
	}
}

// counters are those of the agent itself that are not 0.
func (s *siege) counters() map[string]int {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	all := map[string]int{}
	for name, n := range s.sink.sums {
		if own, found := strings.CutPrefix(name, self); found && n != 0 && !strings.Contains(own, " ") {
			all[own] = n
		}
	}
	return all
}
