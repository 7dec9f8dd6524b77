// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// child is a player, seen from the test. Its command name is its own, and that
// of its workers, so that a filter tells their traffic from everyone else's.
type child struct {
	t     *testing.T
	comm  string
	pid   uint32
	port  uint16 // of its listener for the scenario "on the known port"
	stdin io.WriteCloser
	lines *bufio.Reader
}

// order is one line to a player, report the line it answers.
type order struct {
	Scenario string
	Repeat   int `json:",omitempty"`
}

type report struct {
	Error string     `json:",omitempty"`
	Truth []exchange `json:",omitempty"`
	Times []moments  `json:",omitempty"` // where they are the point
	Port  int        `json:",omitempty"` // in the first report
}

// childCount makes the names of the players of one run differ.
var childCount atomic.Uint32

// startChild starts a player, which ends with the test.
func startChild(t *testing.T) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The command name of a process is that of the file it runs.
	comm := "pt" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(int(childCount.Add(1)))
	path := filepath.Join(t.TempDir(), comm)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	// Without the runtime's signals no call is interrupted half-way.
	cmd.Env = append(os.Environ(), childEnv+"="+childPlayer, "GODEBUG=asyncpreemptoff=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, comm: comm, pid: uint32(cmd.Process.Pid), stdin: stdin, lines: bufio.NewReader(stdout)}
	t.Cleanup(func() {
		stdin.Close() // the player ends when it has nothing more to read
		kill := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("player: %v", err)
		}
	})
	c.port = uint16(c.report().Port)
	return c
}

// play has a scenario played and returns what truly happened.
func (c *child) play(o order) []exchange {
	c.t.Helper()
	c.begin(o)
	return c.result()
}

func (c *child) begin(o order) {
	c.t.Helper()
	line, err := json.Marshal(o)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.stdin.Write(append(line, '\n')); err != nil {
		c.t.Fatalf("order %s: %v", o.Scenario, err)
	}
}

func (c *child) result() []exchange {
	c.t.Helper()
	return c.report().Truth
}

func (c *child) report() report {
	c.t.Helper()
	line, err := c.lines.ReadBytes('\n')
	if err != nil {
		c.t.Fatalf("player gone: %v", err)
	}
	var r report
	if err := json.Unmarshal(line, &r); err != nil {
		c.t.Fatalf("report %q: %v", line, err)
	}
	if r.Error != "" {
		c.t.Fatalf("player: %s", r.Error)
	}
	return r
}

// playerMain is the player: it obeys orders until its input ends.
func playerMain() int {
	s, err := newStage()
	if err != nil {
		return answer(report{Error: err.Error()})
	}
	defer s.worker.stop()
	answer(report{Port: s.knownPort})
	orders := json.NewDecoder(os.Stdin)
	for {
		var o order
		if err := orders.Decode(&o); err == io.EOF {
			return 0
		} else if err != nil {
			return answer(report{Error: err.Error()})
		}
		answer(s.perform(o))
	}
}

func answer(r report) int {
	line, err := json.Marshal(r)
	if err != nil {
		line = []byte(`{"Error": "report not encoded"}`)
	}
	fmt.Printf("%s\n", line)
	return 1
}
