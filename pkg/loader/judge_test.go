// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"probe/pkg/loader"
)

// judges are the answers of a test to what the kernel side asks.
type judges struct {
	*observer
	asked map[uint32]loader.Process
}

func judging(t *testing.T, source loader.Source) judges {
	t.Helper()
	return judges{
		observer: observe(t, loader.Options{Source: source, JudgeProcesses: true, Server: true, Client: true}),
		asked:    map[uint32]loader.Process{},
	}
}

// await takes questions until there is one about pid.
func (j judges) about(pid uint32) loader.Process {
	j.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err := j.kernel.Asked(func(p loader.Process) { j.asked[p.PID] = p }); err != nil {
			j.t.Fatal(err)
		}
		if p, asked := j.asked[pid]; asked {
			return p
		}
	}
	j.t.Fatalf("the kernel side does not ask about process %d", pid)
	return loader.Process{}
}

func (j judges) say(p loader.Process, wanted bool) {
	j.t.Helper()
	if err := j.kernel.Judge(p, wanted); err != nil {
		j.t.Fatal(err)
	}
}

func (j judges) expect(n int, target string) {
	j.t.Helper()
	seen := j.observer.await(n)
	if len(seen) != n {
		j.t.Errorf("%d exchanges, want %d", len(seen), n)
	}
	for _, x := range seen {
		if x.Target != target {
			j.t.Errorf("exchange of someone else: %+v", x)
		}
	}
}

// Only processes that are wanted are observed, and of the others nothing is
// counted, whether they were there before or come later.
func TestJudgedProcesses(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		requireSource(t, source)
		wanted, unwanted := startChild(t), startChild(t)
		j := judging(t, source)
		players := map[uint32]bool{wanted.pid: true, unwanted.pid: false}
		found := 0
		if err := j.kernel.Processes(func(p loader.Process) {
			if want, isPlayer := players[p.PID]; isPlayer {
				found++
				j.say(p, want)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if found != len(players) {
			t.Fatalf("%d of the players are listed, want %d", found, len(players))
		}
		const target = "/on-the-known-port"
		wanted.play(order{Scenario: "on the known port"})
		unwanted.play(order{Scenario: "on the known port"})
		j.expect(6, target)

		// One that nobody has judged is as good as not there.
		later := startChild(t)
		p := j.about(later.pid) // asked when it was started, before it did anything
		later.play(order{Scenario: "on the known port"})
		j.expect(0, "")
		// A connection that began meanwhile is taken from where it is.
		later.play(order{Scenario: "keep a connection"})
		j.say(p, true)
		later.play(order{Scenario: "burst on the kept connection", Repeat: 5})
		j.expect(10, "/burst-on-the-kept-connection")
		if seen := j.counter("kernel.requests_seen"); seen != 16 {
			t.Errorf("the kernel side took %d requests, want 16", seen)
		}
	})
}

// A fork is judged like its parent at once; exec asks anew.
func TestJudgementIsInherited(t *testing.T) {
	requireSource(t, loader.SourceAuto)
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatalf("bash is needed for a fork without exec: %v", err)
	}
	server := startChild(t) // only accepts: its kernel does
	j := judging(t, loader.SourceAuto)
	script := fmt.Sprintf(`read go
ask() { exec 3<>/dev/tcp/127.0.0.1/%d; printf 'GET /forked HTTP/1.1\r\n\r\n' >&3; exec 3>&-; }
( ask ); ( ask )
exec -a other %s -c 'read go; true'`, server.port, bash)
	cmd := exec.Command(bash, "-c", script)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := uint32(cmd.Process.Pid)
	before := j.about(pid)
	j.say(before, true)
	if before.StartTicks() == 0 {
		t.Error("the process has no start")
	}
	delete(j.asked, pid)
	fmt.Fprintln(stdin)
	after := j.about(pid)
	if after.Execs == before.Execs || after.StartNS != before.StartNS {
		t.Errorf("asked about %+v after exec of %+v", after, before)
	}
	fmt.Fprintln(stdin)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	j.drain()
	j.tracker.Close(j.clock.Now())
	forked := 0
	for _, x := range j.seen {
		if x.Target == "/forked" && x.Role == "client" {
			forked++
		}
	}
	if forked != 2 {
		t.Errorf("%d requests of forks, want 2: %+v", forked, j.seen)
	}
}

func TestNotJudging(t *testing.T) {
	requireSource(t, loader.SourceAuto)
	obs := observe(t, loader.Options{Ports: []uint16{1}})
	if obs.kernel.Processes(nil) == nil || obs.kernel.Asked(nil) == nil {
		t.Error("processes are judged without being asked to")
	}
}
