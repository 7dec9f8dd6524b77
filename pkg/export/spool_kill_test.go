// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// childEnv makes the test binary an exporter with a spool: socket and directory
// are its arguments, the variable is the first number.
const childEnv = "EXPORT_TEST_CHILD"

// exportForever is the child: it exports numbered lines and says after each
// Export which was the last.
func exportForever(first string) {
	next, err := strconv.Atoi(first)
	if err != nil {
		panic(err)
	}
	target, err := ParseTarget(os.Args[1])
	if err != nil {
		panic(err)
	}
	x, err := New(spoolOptions(target, os.Args[2]))
	if err != nil {
		panic(err)
	}
	for ; ; next += 100 {
		if err := x.Export(context.Background(), numbered(next, 100)); err != nil && !errors.Is(err, errDown) {
			panic(err)
		}
		fmt.Println(next + 99)
		time.Sleep(time.Millisecond)
	}
}

// The process is killed at random moments, the receiver comes and goes, and no
// line that Export took is lost.
func TestSpoolSurvivesKill(t *testing.T) {
	t.Parallel()
	for _, scheme := range []Scheme{TCP, Unix} {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, scheme)
			dir := filepath.Join(t.TempDir(), "spool")
			rnd := rand.New(rand.NewPCG(3, uint64(len(scheme))))
			const rounds, perRound = 8, 1_000_000
			last := make([]int, rounds)
			for round := range rounds {
				last[round] = killedChild(t, p.target, dir, round*perRound+1, time.Duration(10+rnd.IntN(60))*time.Millisecond)
				if rnd.IntN(2) == 0 {
					p.stop()
					p.start()
				}
			}
			x, err := New(spoolOptions(p.target, dir))
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Export(context.Background(), numbered(rounds*perRound+1, 1)); err != nil && !errors.Is(err, errDown) {
				t.Error(err)
			}
			closeNow(t, x)
			if c := x.Counters(); c.DroppedSpool+c.DroppedFull+c.DroppedAge != 0 {
				t.Errorf("counters = %+v", c)
			}
			p.finish()
			checkRounds(t, p.got(), last, perRound)
		})
	}
}

// killedChild runs a child until it is killed and returns the last number it
// reported.
func killedChild(t *testing.T, target Target, dir string, first int, life time.Duration) (last int) {
	t.Helper()
	child := exec.Command(os.Args[0], target.String(), dir)
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d", childEnv, first))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if last == 0 {
			time.AfterFunc(life, func() { _ = child.Process.Kill() })
		}
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v", err)
	}
	return last
}

// checkRounds: of each round all numbers up to the last reported one arrived,
// in order but for what was sent twice.
func checkRounds(t *testing.T, lines []string, last []int, perRound int) {
	t.Helper()
	at := make([]int, len(last)+1)
	for _, line := range lines {
		var n int
		if _, err := fmt.Sscanf(line, "probe.self.n:%d|c", &n); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		round, i := (n-1)/perRound, (n-1)%perRound+1
		if i > at[round]+1 {
			t.Fatalf("round %d: %d came after %d", round, i, at[round])
		}
		at[round] = i
	}
	for round, n := range last {
		if want := (n-1)%perRound + 1; at[round] < want {
			t.Errorf("round %d: the last one that arrived is %d, Export took %d", round, at[round], want)
		}
	}
	if at[len(last)] != 1 {
		t.Error("the line of the last process is missing")
	}
}
